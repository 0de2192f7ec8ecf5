# SPDX-License-Identifier: Apache-2.0
"""`mlxguard log`: tail, query, verify as a user types them."""
import time

import pytest


@pytest.fixture
def model(cli, tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights").write_bytes(b"w" * 1000)
    cli.sign(folder)
    cli.ok("verify", folder)
    (folder / "weights").write_bytes(b"x" * 1000)
    assert cli.run("verify", folder).returncode == 1
    return folder


def test_query_by_type_outcome_model_and_time(cli, model):
    assert [event["type"] for event in cli.events("--type", "model.refused")] == ["model.refused"]
    assert {event["outcome"] for event in cli.events("--outcome", "refused")} == {"refused"}
    assert cli.events("--model", "no-such-model") == []
    assert len(cli.events("--type", "model.", "--limit", "2")) == 2
    assert cli.events("--since", "2999-01-01") == []
    assert cli.events("--until", "2000-01-01") == []
    times = [event["time"] for event in cli.events("--oldest-first")]
    assert times == sorted(times)


def test_a_refusal_says_file_expected_and_found(cli, model):
    event = cli.events("--type", "model.refused")[0]
    assert event["code"] == "signature.digest_mismatch"
    fields = event["record"]["unmapped"]
    assert fields["subject"] == "weights"
    assert len(fields["expected"]) == 64 and len(fields["actual"]) == 64
    assert fields["expected"] != fields["actual"]


@pytest.mark.parametrize("arguments, code", [
    (["--type", "nonsense"], "usage"),
    (["--outcome", "maybe"], "usage"),
    (["--since", "yesterday"], "usage"),
    (["--code", "no.such"], "usage"),
])
def test_wrong_questions_are_usage_errors(cli, model, arguments, code):
    done = cli.run("log", "query", *arguments)
    assert done.returncode == 2
    assert f"[{code}]" in done.stderr
    assert "hint:" in done.stderr


def test_tail_shows_the_last_lines_for_people(cli, model):
    lines = cli.ok("log", "tail", "-n", "3").stdout.splitlines()
    assert len(lines) == 3
    assert "model.refused" in lines[-1]
    assert "\x1b" not in lines[-1]


def test_verify_after_every_kind_of_tampering_has_its_own_test(cli, model):
    report = cli.json("log", "verify")
    assert report["status"] == "verified"
    assert report["size"] >= 6
    bundle = next((cli.state / "log/tile/entries").rglob("*.p/*"))
    data = bytearray(bundle.read_bytes())
    data[20] ^= 1
    bundle.write_bytes(data)
    report = cli.json("log", "verify", exit_code=1)
    assert report["status"] == "tampered"
    assert report["findings"][0]["code"] == "log.entry_changed"


def test_no_log_here(cli, tmp_path):
    done = cli.run("log", "verify", "--state", tmp_path / "elsewhere")
    assert done.returncode == 3
    assert "[log.not_found]" in done.stderr
    done = cli.run("log", "query", "--state", tmp_path / "elsewhere")
    assert done.returncode == 3
    assert not (tmp_path / "elsewhere").exists()
