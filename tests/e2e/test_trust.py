# SPDX-License-Identifier: Apache-2.0
"""The trust policy as an operator meets it: who may sign what, decided wherever a model is loaded or verified.

Each condition has its own code. It is refused by `verify`, by `trust check` and by `run`, stands in the event
log with source and rule, and passes with a warning and an event where the source only warns.
"""
import json
import os
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

NEVER = "2099-12-31T00:00:00Z"


def notes(**members) -> bytes:
    return json.dumps(members).encode()


@pytest.fixture
def model(cli, tmp_path) -> pathlib.Path:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    (folder / "mlxguard.json").write_bytes(notes(name="net", version="1.2.0", origin={"hugging_face": "org/net"}))
    cli.sign(folder)
    return folder


def fingerprint(cli, name="signer") -> str:
    return cli.json("key", "show", name)["fingerprint"]


class Policy:
    """Writes trust.toml; the version grows with each writing."""

    def __init__(self, cli, tmp_path):
        self.file = cli.state / "trust.toml"
        self.cli, self.models, self.version = cli, tmp_path / "models", 0

    def write(self, source="", signer="", top="", name="s", match=None, key=None, version=None):
        self.version = version or self.version + 1
        key = key or fingerprint(self.cli)
        self.file.write_text(
            f"version = {self.version}\n{top}\n[sources.{name}]\n"
            f"{match or f'path = {json.dumps(str(self.models))}'}\n{source}\n"
            f"[[sources.{name}.signers]]\nkey = {json.dumps(key)}\n{signer}\n")
        return self


@pytest.fixture
def policy(cli, tmp_path):
    return Policy(cli, tmp_path)


def allowed(cli, model, *args):
    answer = cli.json("verify", model, *args)
    assert answer["status"] == "verified"
    checked = cli.json("trust", "check", model, *args)
    assert checked["status"] == "allowed", checked
    assert all(one["state"] == "passed" for one in checked["trust"]["conditions"])
    return checked


def refused(cli, model, code, *args, rule=None, source="s"):
    """One refusal by all of its traces: verify, run, trust check, and both events."""
    error = cli.json("verify", model, *args, exit_code=1)["error"]
    assert error["code"] == code, error
    event = cli.events("--type", "model.refused")[0]
    assert event["code"] == code and event["outcome"] == "refused"
    fields = event["record"]["unmapped"]
    assert fields.get("expected", "") == error["expected"] and fields.get("actual", "") == error["actual"]
    if rule:
        assert fields["rule"] == rule
        assert fields.get("source", "") == (source or "")
        assert rule in error["message"] and error["hint"]
        if source:
            assert source in error["message"]
    checked = cli.json("trust", "check", model, *args, exit_code=1)
    assert checked["status"] == "refused" and checked["error"]["code"] == code
    assert cli.events("--type", "trust.checked")[0]["code"] == code
    (model.parent / "body").write_text("{}")
    run = cli.run("run", model, "--input", model.parent / "body", *args)
    assert run.returncode == 1 and f"[{code}]" in run.stderr, run.stderr
    (model.parent / "body").unlink()
    return checked


def warned(cli, model, code, *args, rule):
    """The same model by a source that only warns: it passes, and says so."""
    done = cli.ok("verify", model, *args)
    assert "warning" in done.stderr and f"[{code}]" in done.stderr
    event = cli.events("--type", "model.warned")[0]
    assert event["code"] == code and event["record"]["unmapped"]["rule"] == rule
    assert event["record"]["unmapped"]["mode"] == "warn"
    assert cli.events("--type", "model.verified")[0]["record"]["unmapped"]["source"] == "s"
    checked = cli.json("trust", "check", model, *args)
    assert checked["status"] == "allowed_with_warnings"


# A condition of the source that fails, and what it takes to pass. {sources}: lines of the source.
CONDITIONS = {
    "threshold": ("threshold = 1", "threshold = 2", "trust.threshold"),
    "format": ('formats = ["safetensors"]', 'formats = ["gguf"]', "trust.format"),
    "window": ("not_after = 2099-01-01", "not_after = 2001-01-01", "trust.window"),
    "version": ('min_version = "1.2"', 'min_version = "1.2.1"', "trust.version"),
}


@pytest.mark.parametrize("rule", sorted(CONDITIONS))
def test_a_condition_of_the_source(cli, model, policy, rule):
    passes, fails, code = CONDITIONS[rule]
    second = f'[[sources.s.signers]]\nkey = "{"1" * 64}"'
    allowed(cli, policy.write(passes, second) and model)
    policy.write(fails, second)
    checked = refused(cli, model, code, rule=rule)
    failed = [one for one in checked["trust"]["conditions"] if one["state"] == "failed"]
    assert [one["rule"] for one in failed] == [rule]
    policy.write(fails + '\nmode = "warn"', second)
    warned(cli, model, code, rule=rule)


def test_a_source_that_does_not_allow_the_signer(cli, model, policy):
    allowed(cli, policy.write() and model)
    policy.write(key="1" * 64)
    refused(cli, model, "trust.signer", rule="signer")
    policy.write('mode = "warn"', key="1" * 64)
    warned(cli, model, "trust.signer", rule="signer")


def test_a_signer_outside_of_its_window(cli, model, policy):
    policy.write(signer="not_before = 2098-01-01")
    refused(cli, model, "trust.window", rule="signer-window")


def test_no_source_matches(cli, model, policy):
    policy.write(match='path = "/nowhere"')
    refused(cli, model, "trust.no_source", rule="source", source=None)
    policy.write(match='path = "/nowhere"', top='mode = "warn"')
    done = cli.ok("verify", model)
    assert "[trust.no_source]" in done.stderr


def test_a_revoked_model_key_and_the_mode_that_lets_no_revoked_one_through(cli, model, policy):
    digest = cli.json("verify", model)["root_digest"]
    for mode in ("enforce", "warn"):
        policy.write(f'mode = "{mode}"\n[revoked]\nmodels = ["{digest}"]'.replace("[revoked]", "", 1), "")
        # Tables end with the next one: what is revoked stands behind the source.
        policy.file.write_text(policy.file.read_text().replace(f'models = ["{digest}"]', "") +
                               f'[revoked]\nmodels = ["{digest}"]\n')
        refused(cli, model, "trust.model_revoked", rule="revoked-model")
        policy.write(f'mode = "{mode}"')
        policy.file.write_text(policy.file.read_text() + f'[revoked]\nkeys = ["{fingerprint(cli)}"]\n')
        refused(cli, model, "key.revoked", rule="revoked-key")


def test_findings_are_refused_by_rule_and_by_severity(cli, model, policy):
    policy.write('refuse_findings = ["severity:medium"]')
    allowed(cli, model)
    inspected = cli.events("--type", "model.inspected")[0]
    assert inspected["record"]["unmapped"]["findings"] == 0
    (model / "run.sh").write_bytes(b"#!/bin/sh\ntrue\n")
    cli.sign(model)
    for patterns in ('["severity:high"]', '["file.script"]', '["python.file", "file.script"]'):
        policy.write(f"refuse_findings = {patterns}")
        error = refused(cli, model, "trust.finding", rule="finding")["error"]
        assert error["subject"] == "run.sh" and error["actual"] == "file.script (high)"
    policy.write('refuse_findings = ["python.file"]')
    allowed(cli, model)
    policy.write('refuse_findings = ["severity:high"]\nmode = "warn"')
    warned(cli, model, "trust.finding", rule="finding")
    assert "model.stored" not in [event["type"] for event in cli.events()]
    policy.write('refuse_findings = ["severity:high"]')
    done = cli.run("model", "add", model)
    assert done.returncode == 1 and "[trust.finding]" in done.stderr


def test_what_cannot_be_inspected_to_its_end_is_refused(cli, model, policy):
    """A folder of programs without the inspector: nobody can look, so nobody says that it is well."""
    policy.write('refuse_findings = ["severity:critical"]')
    programs = cli.state.parent / "programs"
    programs.mkdir()
    shutil.copy(cli.binary, programs / "mlxguard")
    cli.binary = programs / "mlxguard"
    done = cli.run("verify", model)
    assert done.returncode in (1, 3) and "mlxguard-inspector" in done.stderr, done.stderr
    assert cli.events("--type", "model.refused")


# The policy itself.

@pytest.mark.parametrize("text", ["version = ", "vresion = 1", 'mode = "off"', "[sources.s]\npath = 3",
                                  "[sources.s]\npath = '/x'\n"])
def test_a_policy_that_is_none_refuses_everything(cli, model, policy, text):
    policy.file.write_text(text + "\n")
    for args in (("verify", model), ("trust", "check", model), ("trust", "list"), ("model", "add", model)):
        done = cli.run(*args)
        assert done.returncode == 2 and "[trust.policy]" in done.stderr
    assert cli.events("--type", "trust.refused")[0]["code"] == "trust.policy"


def test_an_expired_policy(cli, model, policy):
    policy.write(top="expires = 2001-01-01")
    done = cli.run("verify", model)
    assert done.returncode == 1 and "[trust.policy_expired]" in done.stderr
    assert cli.events("--type", "trust.refused")[0]["code"] == "trust.policy_expired"


def test_an_older_policy_than_one_seen(cli, model, policy):
    allowed(cli, policy.write(version=7) and model)
    policy.write(version=6)
    done = cli.run("verify", model)
    assert done.returncode == 1 and "[trust.policy_rollback]" in done.stderr
    event = cli.events("--type", "trust.refused")[0]
    assert event["record"]["unmapped"]["expected"] == "version 7 or higher"
    allowed(cli, policy.write(version=8) and model)


def test_a_policy_that_others_may_write(cli, model, policy):
    policy.write()
    policy.file.chmod(0o666)
    done = cli.run("verify", model)
    assert done.returncode != 0 and "permissions" in done.stderr


@pytest.fixture
def root(cli, tmp_path):
    """A root key that must have signed the policy, and the configuration that says so."""
    cli.new_key("root")
    config = tmp_path / "mlxguard.toml"
    config.write_text(f'[trust]\nroot_key = "{fingerprint(cli, "root")}"\n')
    return config


def sign_policy(cli, *args, key="root", **kwargs):
    return cli.run("trust", "sign", "--key", key, "--passphrase-file", cli.passphrase_file, *args, **kwargs)


def test_a_signed_policy(cli, model, policy, root):
    missing = cli.run("verify", model, "-c", root)
    assert missing.returncode == 1 and "[trust.policy_signature]" in missing.stderr
    policy.write()
    unsigned = cli.run("verify", model, "-c", root)
    assert unsigned.returncode == 1 and "[trust.policy_signature]" in unsigned.stderr
    assert sign_policy(cli, "-c", root, "--expires", "2098-01-01").returncode == 0
    assert cli.json("trust", "check", model, "-c", root)["policy"]["signed_by"] == fingerprint(cli, "root")
    signed_text = policy.file.read_text()
    policy.file.write_text(signed_text + "# a remark\n")
    changed = cli.run("verify", model, "-c", root)
    assert changed.returncode == 1 and "[trust.policy_signature]" in changed.stderr
    policy.file.write_text(signed_text)
    allowed(cli, model, "-c", root)
    # Another key signs it, and the root key does not let it happen.
    assert "[trust.policy_signature]" in sign_policy(cli, "-c", root, key="signer").stderr
    assert sign_policy(cli, key="signer").returncode == 0
    other = cli.run("verify", model, "-c", root)
    assert other.returncode == 1 and "[trust.policy_signature]" in other.stderr


def test_a_signed_policy_changes_only_with_its_root_key(cli, model, policy, root):
    policy.write()
    assert sign_policy(cli, "-c", root, "--expires", "2098-01-01").returncode == 0
    add = ("trust", "add", "more", "--path", "/more", "--signer", "signer", "-c", root)
    refused_add = cli.run(*add)
    assert refused_add.returncode == 1 and "[trust.policy_signature]" in refused_add.stderr
    cli.ok(*add, "--root-key", "root", "--passphrase-file", cli.passphrase_file)
    assert [one["name"] for one in cli.json("trust", "list", "-c", root)["sources"]] == ["more", "s"]
    changes = cli.events("--type", "trust.changed")
    assert changes[0]["outcome"] == "success" and changes[0]["record"]["unmapped"]["change"] == "add"
    assert changes[1]["code"] == "trust.policy_signature"
    assert cli.events("--type", "key.used")[0]["record"]["unmapped"]["key"] == "root"


def test_an_old_signed_policy_is_not_brought_back(cli, model, policy, root):
    policy.write()
    assert sign_policy(cli, "-c", root, "--expires", "2098-01-01").returncode == 0
    allowed(cli, model, "-c", root)
    signature = policy.file.with_name("trust.toml.sig")
    old = policy.file.read_bytes(), signature.read_bytes()
    assert sign_policy(cli, "-c", root).returncode == 0
    allowed(cli, model, "-c", root)
    policy.file.write_bytes(old[0])
    signature.write_bytes(old[1])
    done = cli.run("verify", model, "-c", root)
    assert done.returncode == 1 and "[trust.policy_rollback]" in done.stderr


# Which source a model belongs to.

def test_the_most_specific_source_counts(cli, model, policy, tmp_path):
    key, digest = fingerprint(cli), cli.json("verify", model)["root_digest"]
    signers = f'[[sources.{{}}.signers]]\nkey = "{key}"\n'

    def write(*sources):
        policy.version += 1
        policy.file.write_text(f"version = {policy.version}\n" + "".join(
            f"[sources.{name}]\n{match}\n" + signers.format(name) for name, match in sources))
        return cli.json("trust", "check", model)["trust"]["source"]

    hub = ("hub", 'hugging_face = "org/*"')
    exact = ("exact", 'hugging_face = "org/net"')
    outer = ("outer", f'path = "{tmp_path}"')
    inner = ("inner", f'path = "{model.parent}"')
    pinned = ("pinned", f'digest = "{digest}"')
    assert write(hub) == "hub"
    assert write(hub, exact) == "exact"
    assert write(hub, exact, outer) == "outer"
    assert write(hub, exact, outer, inner) == "inner"
    assert write(hub, exact, outer, inner, pinned) == "pinned"


def test_a_path_is_matched_by_whole_components_and_without_links(cli, model, policy, tmp_path):
    policy.write(match=f'path = "{model.parent}x"')
    refused(cli, model, "trust.no_source")
    policy.write(match=f'path = "{str(model.parent)[:-1]}"')
    refused(cli, model, "trust.no_source")
    (tmp_path / "link").symlink_to(model.parent)
    policy.write(match=f'path = "{tmp_path / "link"}"')
    allowed(cli, model)
    policy.write()
    allowed(cli, tmp_path / "link" / "net")


def test_the_hub_id_of_the_caller_and_of_the_model_must_agree(cli, model, policy):
    policy.write(match='hugging_face = "org/*"')
    allowed(cli, model)
    allowed(cli, model, "--hf", "org/net")
    checked = cli.json("trust", "check", model, "--hf", "org/other", exit_code=1)
    assert checked["error"]["code"] == "trust.no_source"
    policy.write(match='hugging_face = "other/*"')
    refused(cli, model, "trust.no_source")


def test_an_inventory_that_names_a_model_asks_the_same_policy(cli, model, policy, tmp_path):
    (tmp_path / "requirements.txt").write_text("a==1.0\n")
    inventory = ("deps", "inventory", tmp_path / "requirements.txt", "--model", f"net={model}")
    policy.write('refuse_findings = ["severity:high"]')
    assert "net" in cli.ok(*inventory).stdout
    (model / "tool.py").write_text("print()\n")
    cli.sign(model)
    policy.write('refuse_findings = ["python.file"]')
    assert cli.json(*inventory, exit_code=1)["error"]["code"] == "trust.finding"


# Several signers.

def add_signature(cli, model, key):
    return cli.run("sign", model, "--key", key, "--add", "--passphrase-file", cli.passphrase_file)


@pytest.fixture
def two_of_three(cli, model, policy):
    for name in ("second", "third"):
        cli.new_key(name)
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "signer", "--signer", "second",
           "--signer", "third", "--threshold", "2")
    return model


def test_a_threshold_over_several_bundles(cli, two_of_three):
    refused(cli, two_of_three, "trust.threshold", rule="threshold")
    assert add_signature(cli, two_of_three, "second").returncode == 0
    checked = allowed(cli, two_of_three)
    assert sorted(one["name"] for one in checked["trust"]["signers"]) == ["second", "signer"]


def test_one_key_counts_once_however_often_it_signs(cli, two_of_three):
    assert add_signature(cli, two_of_three, "signer").returncode == 0
    folder = two_of_three / "model.sig.d"
    (folder / "again.sig").write_bytes((folder / "signer.sig").read_bytes())
    (folder / "second.sig").write_bytes((two_of_three / "model.sig").read_bytes())
    refused(cli, two_of_three, "trust.threshold", rule="threshold")


def test_a_signature_over_another_list_does_not_count(cli, two_of_three):
    assert add_signature(cli, two_of_three, "second").returncode == 0
    (two_of_three / "more.txt").write_text("more")
    cli.sign(two_of_three)  # the second one's is over the old list now
    checked = refused(cli, two_of_three, "trust.threshold", rule="threshold")
    assert checked["not_counted"][0]["bundle"] == "model.sig.d/second.sig"
    assert checked["not_counted"][0]["code"] == "signature.root_digest"


def test_a_signature_that_says_something_else_is_not_made(cli, two_of_three):
    (two_of_three / "more.txt").write_text("more")
    done = add_signature(cli, two_of_three, "second")
    assert done.returncode == 1 and "[signature.root_digest]" in done.stderr
    assert not (two_of_three / "model.sig.d").exists()


def test_a_revoked_key_counts_no_more(cli, two_of_three):
    assert add_signature(cli, two_of_three, "second").returncode == 0
    allowed(cli, two_of_three)
    cli.ok("key", "revoke", "second", "--passphrase-file", cli.passphrase_file)
    refused(cli, two_of_three, "trust.threshold", rule="threshold")


def test_what_lies_among_the_signatures_is_no_part_of_the_model(cli, two_of_three):
    folder = two_of_three / "model.sig.d"
    assert add_signature(cli, two_of_three, "second").returncode == 0
    (folder / "weights.safetensors").write_bytes(b"x")
    answer = cli.json("verify", two_of_three, exit_code=1)
    assert answer["error"]["code"] == "signature.file_unsigned"
    (folder / "weights.safetensors").unlink()
    (folder / "bad.sig").write_text("no bundle")
    assert allowed(cli, two_of_three)["not_counted"][0]["bundle"] == "model.sig.d/bad.sig"


# No way back.

def test_no_older_version_after_a_newer_one_was_admitted(cli, model, policy, tmp_path):
    policy.write('rollback = "refuse"')
    allowed(cli, model)
    old = {path.name: path.read_bytes() for path in model.iterdir()}
    (model / "mlxguard.json").write_bytes(notes(name="net", version="1.3.0"))
    cli.sign(model)
    allowed(cli, model)  # asking admits nothing
    for name, data in old.items():
        (model / name).write_bytes(data)
    allowed(cli, model)
    (model / "mlxguard.json").write_bytes(notes(name="net", version="1.3.0"))
    cli.sign(model)
    cli.ok("model", "add", model)
    for name, data in old.items():
        (model / name).write_bytes(data)
    checked = refused(cli, model, "trust.version", rule="rollback")
    assert checked["error"]["expected"] == "1.3.0 or newer" and checked["error"]["actual"] == "1.2.0"
    # Nor in another place of the source, by its signed name.
    elsewhere = tmp_path / "models" / "copy"
    model.rename(elsewhere)
    refused(cli, elsewhere, "trust.version", rule="rollback")


@pytest.mark.parametrize("version", [None, "latest", ""])
def test_a_model_without_a_version_where_one_is_asked_for(cli, model, policy, version):
    (model / "mlxguard.json").write_bytes(notes(**({} if version is None else {"version": version})))
    cli.sign(model)
    policy.write('min_version = "0.1"')
    done = cli.json("verify", model, exit_code=1)
    assert done["error"]["code"] in ("trust.version", "manifest.invalid"), done


@pytest.mark.parametrize("name, data", [
    ("weights.safetensors", b"\x80\x04K\x01."),  # a pickle under another name
    ("weights.bin", b"\x02\0\0\0\0\0\0\0{}"),
    ("run.py", b"print()"),
    ("weights.safetensors", b"PK\x03\x04rest"),
])
def test_a_format_by_name_and_by_content(cli, model, policy, name, data):
    policy.write('formats = ["safetensors"]')
    (model / name).write_bytes(data)
    cli.sign(model)
    checked = refused(cli, model, "trust.format", rule="format")
    assert checked["error"]["subject"] == name


# Editing.

def test_add_keeps_comments_and_remove_takes_only_its_own(cli, model):
    text = ("# ours\nversion = 3 # third\nmode = 'enforce'\n\n# about a\n[sources.a] # a\npath = '/a'\n"
            "[[sources.a.signers]]\nkey = '" + "a" * 64 + "'\n# the end of a\n\n# about b\n[sources.b]\npath = '/b'\n"
            "[[sources.b.signers]]\nkey = '" + "b" * 64 + "'\n")
    file = cli.state / "trust.toml"
    file.write_text(text)
    added = cli.json("trust", "add", "c", "--path", model.parent, "--signer", "signer", "--formats",
                     "safetensors,gguf", "--min-version", "1.0", "--receipts", "--not-after", "2098-01-01")
    assert added["version"] == 4 and not added["created"]
    now = file.read_text()
    assert now.startswith(text.replace("version = 3 # third", "version = 4  # third"))
    source = [one for one in cli.json("trust", "list")["sources"] if one["name"] == "c"][0]
    assert source["formats"] == ["safetensors", "gguf"] and source["receipts"] is True
    assert source["signers"] == [{"key": fingerprint(cli)}]
    allowed(cli, model)
    cli.ok("trust", "remove", "a")
    now = file.read_text()
    assert "# about a" not in now and "'/a'" not in now and "end of a" not in now
    assert "# about b\n[sources.b]" in now and "# ours" in now
    assert [one["name"] for one in cli.json("trust", "list")["sources"]] == ["b", "c"]
    gone = cli.run("trust", "remove", "a")
    assert gone.returncode == 2 and "[trust.source_unknown]" in gone.stderr
    again = cli.run("trust", "add", "b", "--path", "/x", "--signer", "signer")
    assert again.returncode == 2 and "[trust.source_exists]" in again.stderr


@pytest.mark.parametrize("args", [
    ("--signer", "signer"), ("--path", "/x"), ("--path", "/x", "--hf", "a/b", "--signer", "signer"),
    ("--path", "/x", "--signer", "nobody"), ("--path", "/x", "--signer", "signer", "--threshold", "2"),
    ("--path", "/x", "--signer", "signer", "--mode", "off"), ("--hf", "noslash", "--signer", "signer"),
    ("--path", "/x", "--signer", "signer", "--formats", "exe"), ("--digest", "12", "--signer", "signer"),
    ("--path", "/x\ny = 1", "--signer", "signer"), ("--path", "/x", "--identity", "a@b"),
    ("--path", "/x", "--signer", "signer", "--not-before", "2030-01-02", "--not-after", "2030-01-01"),
])
def test_what_cannot_be_added_changes_nothing(cli, args):
    done = cli.run("trust", "add", "s", *args)
    assert done.returncode in (1, 2, 3), done.stdout
    assert not (cli.state / "trust.toml").exists()


def test_a_kill_at_any_moment_leaves_the_old_policy_or_the_new(cli, model):
    file = cli.state / "trust.toml"
    command = [cli.binary, "trust", "add", "s", "--path", str(model.parent), "--signer", "signer", "--state", cli.state]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    took = time.monotonic() - started
    new = file.read_text()
    file.unlink()
    (cli.state / "trust" / "seen.json").unlink(missing_ok=True)
    seen = set()
    for i in range(20):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(took * (i + 1) / 20)
        process.send_signal(signal.SIGKILL)
        process.wait()
        left = file.read_text() if file.exists() else None
        assert left in (None, new)
        seen.add(left)
        file.unlink(missing_ok=True)
    subprocess.run(command, check=True, capture_output=True)  # whatever was left over is no obstacle
    assert file.read_text() == new


def test_check_says_which_rule_matched_in_words(cli, model, policy):
    policy.write('threshold = 1\nformats = ["safetensors"]')
    text = cli.ok("trust", "check", model).stdout
    assert text.startswith("allowed") and "source  s, by path" in text
    for rule in ("signature", "files", "source", "signer", "threshold", "format"):
        assert f"✓ {rule}" in text
    policy.write('threshold = 1\nformats = ["gguf"]')
    done = cli.run("trust", "check", model)
    assert done.returncode == 1 and "✗ format" in done.stdout and "expected  gguf" in done.stdout
    assert "found     safetensors" in done.stdout and "[trust.format]" in done.stderr


def test_check_of_what_is_not_signed_still_names_the_source(cli, model, policy):
    policy.write()
    (model / "model.sig").unlink()
    checked = cli.json("trust", "check", model, exit_code=1)
    assert checked["error"]["code"] == "signature.missing" and checked["trust"]["source"] == "s"
    assert cli.run("trust", "check", model.parent / "nothing").returncode == 3


def test_check_lists_every_condition_that_fails(cli, model, policy):
    policy.write('formats = ["gguf"]\nmin_version = "9"\nnot_after = 2001-01-01', key="1" * 64)
    checked = cli.json("trust", "check", model, exit_code=1)
    failed = [one["rule"] for one in checked["trust"]["conditions"] if one["state"] == "failed"]
    assert failed == ["signer", "window", "format", "version"]
    findings = cli.json("verify", model, exit_code=1)["findings"]
    assert [one["code"] for one in findings] == ["trust.signer", "trust.window"]  # known before a byte is read


# Everything that loads a model asks the policy.

def test_serve_asks_the_policy(cli, model, policy, start_server):
    policy.write(key="1" * 64)
    with pytest.raises(AssertionError) as refusal:
        start_server(cli, {"net": model})
    assert "[trust.signer]" in str(refusal.value)
    event = cli.events("--type", "model.refused")[0]
    assert event["code"] == "trust.signer" and event["record"]["unmapped"]["source"] == "s"
    policy.write(top="expires = 2001-01-01")
    with pytest.raises(AssertionError) as refusal:
        start_server(cli, {"net": model})
    assert "[trust.policy_expired]" in str(refusal.value)


def test_dependencies_beside_a_model_ask_the_policy(cli, model, policy):
    policy.write(key="1" * 64)
    done = cli.run("deps", "inventory", "--self", "--model", f"net={model}")
    assert done.returncode != 0 and "[trust.signer]" in done.stderr, done.stderr


# Keys that replace one another.

def test_a_rotated_root_key_signs_on_and_a_revoked_one_does_not(cli, model, policy, root):
    policy.write()
    assert sign_policy(cli, "-c", root, "--expires", "2098-01-01").returncode == 0
    cli.ok("key", "rotate", "root", "root2", "--passphrase-file", cli.passphrase_file)
    assert sign_policy(cli, "-c", root, key="root2").returncode == 0
    assert cli.json("trust", "check", model, "-c", root)["policy"]["signed_by"] == fingerprint(cli, "root2")
    cli.ok("key", "revoke", "root2", "--passphrase-file", cli.passphrase_file)
    done = cli.run("verify", model, "-c", root)
    assert done.returncode == 1 and "[key.revoked]" in done.stderr


def test_the_successor_of_an_allowed_key_is_allowed(cli, model, policy):
    policy.write()
    cli.ok("key", "rotate", "signer", "next", "--passphrase-file", cli.passphrase_file)
    allowed(cli, model)
    cli.sign(model, "next")
    allowed(cli, model)


def test_a_public_key_from_a_file(cli, model, policy, tmp_path):
    cli.new_key("away")
    cli.sign(model, "away")
    public = tmp_path / "away.pub"
    (cli.state / "keys" / "away.pub").rename(public)
    for path in (cli.state / "keys").glob("away.*"):
        path.unlink()
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", public)
    source = cli.json("trust", "list")["sources"][0]
    assert allowed(cli, model)["trust"]["signers"][0]["fingerprint"] == source["signers"][0]["key"]
    public.unlink()
    assert cli.run("verify", model).returncode != 0


# Old forms of bundles.

OLDER = "application/vnd.dev.sigstore.bundle+json;version=0.2"


def test_an_older_media_type_only_where_the_source_allows_it(cli, model, policy, tmp_path):
    bundle = model / "model.sig"
    bundle.write_text(json.dumps(dict(json.loads(bundle.read_text()), mediaType=OLDER)))
    policy.write()
    refused(cli, model, "signature.media_type")
    policy.write("legacy = ['media-types']")
    allowed(cli, model)
    # Another source's leave is not this one's.
    other = tmp_path / "other"
    other.mkdir()
    policy.write(top=f"[sources.o]\npath = {json.dumps(str(other))}\nlegacy = ['media-types']\n"
                     f"[[sources.o.signers]]\nkey = '{fingerprint(cli)}'")
    refused(cli, model, "signature.legacy")
