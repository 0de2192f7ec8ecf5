# SPDX-License-Identifier: Apache-2.0
"""`mlxguard log`: tail, query, verify as a user types them."""
import fcntl
import json
import os
import pathlib
import shutil
import subprocess
import tempfile
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
    (["--severity", "loud"], "usage"),
    (["--since", "5x"], "usage"),
    (["--type", "modle."], "usage"),
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


def test_a_mistyped_type_is_told_its_neighbours(cli, model):
    done = cli.run("log", "query", "--type", "model.refusd")
    assert done.returncode == 2 and "model.refused" in done.stderr


@pytest.mark.parametrize("arguments", [["query", "--limit", "-1"], ["query", "--limit", "0"], ["tail", "-n", "-1"]])
def test_a_limit_is_a_positive_number(cli, model, arguments):
    done = cli.run("log", *arguments)
    assert done.returncode == 2 and "[usage]" in done.stderr


def test_a_query_that_stops_at_its_limit_says_so_and_how_to_go_on(cli, model):
    everything = cli.events("--limit", "1000")
    assert "more" not in everything[-1]
    first = cli.events("--limit", "2")
    assert [event.get("more") for event in first] == [None, True]
    told = cli.ok("log", "query", "--limit", "2").stderr
    assert "there are more" in told and f"--before {first[-1]['index']}" in told
    rest = cli.events("--before", str(first[-1]["index"]), "--limit", "1000")
    assert first[:1] + [{k: v for k, v in first[1].items() if k != "more"}] + rest == everything
    assert "there are more" not in cli.ok("log", "query", "--limit", "1000").stderr


def test_since_takes_a_duration_and_severity_a_least(cli, model):
    assert cli.events("--since", "1h") and cli.events("--since", "0s") == []
    assert {event["severity"] for event in cli.events("--severity", "high")} == {"high"}
    assert cli.events("--severity", "fatal") == []


def test_reading_needs_no_lock_and_no_index(cli, model):
    log = cli.state / "log"
    expected = cli.events("--limit", "1000")
    held = [open(log / name, "r+") for name in ("lock", "lock.queue", "lock.integrate", "lock.integrate.queue", "lock.users")]
    for file in held:
        fcntl.flock(file, fcntl.LOCK_EX)
    try:
        assert cli.events("--limit", "1000") == expected
        for file in log.glob("index.sqlite*"):
            file.unlink()
        assert cli.events("--limit", "1000") == expected
        assert len(cli.ok("log", "tail", "-n", "3").stdout.splitlines()) == 3
        assert not list(log.glob("index.sqlite*")), "a reader makes nothing"
    finally:
        for file in held:
            file.close()


def test_reading_needs_no_write_permission(cli, model, tmp_path_factory):
    expected = cli.events("--limit", "1000")
    copy = pathlib.Path(tempfile.mkdtemp(prefix="mlxguard-read-only-"))
    try:
        shutil.copytree(cli.state / "log", copy / "log")
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o555 if path.is_dir() else 0o444)
        command = [str(cli.binary), "log", "query", "--json", "--limit", "1000", "--state", str(copy)]
        if os.geteuid() == 0:
            command = ["setpriv", "--reuid=65534", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all", *command]
            program = copy / "mlxguard"  # where another user can reach it
            copy.chmod(0o755)
            shutil.copy(cli.binary, program)
            command[command.index(str(cli.binary))] = str(program)
        done = subprocess.run(command, capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        assert [json.loads(line)["record"] for line in done.stdout.splitlines()] == [event["record"] for event in expected]
    finally:
        for path in [copy, *copy.rglob("*")]:
            path.chmod(0o755)
        shutil.rmtree(copy)
