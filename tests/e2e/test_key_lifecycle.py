# SPDX-License-Identifier: Apache-2.0
"""Keys over their life: windows, rotation, revocation; what each means for those who sign and those who verify."""
import json
import pathlib
import shutil
import signal
import subprocess
import time

import pytest

from conftest import Cli


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


@pytest.fixture
def elsewhere(cli, tmp_path) -> Cli:
    """Another installation that was given the public half of `signer`, and nothing else."""
    other = Cli(tmp_path / "elsewhere", cli.passphrase_file)
    (other.state / "keys").mkdir(parents=True, mode=0o700)
    other.state.chmod(0o700)
    shutil.copy(cli.state / "keys/signer.pub", other.state / "keys/signer.pub")
    return other


def code_of(cli, *args) -> str:
    done = cli.run(*args, "--json")
    assert done.returncode != 0, done.stdout
    return json.loads(done.stdout)["error"]["code"]


def secret(cli):
    return "--passphrase-file", cli.passphrase_file


def rotate(cli, old="signer", new="next", *more):
    return cli.ok("key", "rotate", old, new, *secret(cli), *more)


def revoke(cli, key="signer", *more):
    return cli.ok("key", "revoke", key, "--reason", "laptop lost", *secret(cli), *more)


def key(cli, name="signer"):
    return {one["name"]: one for one in cli.json("key", "list")["keys"]}[name]


def wait_until_state(cli, state, name="signer"):
    until = time.time() + 20
    while key(cli, name)["state"] != state and time.time() < until:
        time.sleep(0.3)
    assert key(cli, name)["state"] == state


# ---- windows ------------------------------------------------------------------------------------


def every_way_to_sign(cli, model, name, tmp_path):
    """Each path on which a key signs, with the arguments that make it do so."""
    cli.ok("trust", "list")
    private, public = cli.state / "keys" / f"{name}.key", cli.state / "keys" / f"{name}.pub"
    assert private.exists() and public.exists()
    return {
        "sign": ("sign", model, "--key", name),
        "sign --add": ("sign", model, "--key", name, "--add"),
        "trust sign": ("trust", "sign", "--key", name, "--expires", "2098-01-01"),
        "trust add": ("trust", "add", "late", "--path", tmp_path, "--signer", "good", "--root-key", name,
                      "--expires", "2098-01-01"),
        "trust remove": ("trust", "remove", "early", "--root-key", name),
        "key rotate": ("key", "rotate", name, "successor"),
        "key rotate, as the new one": ("key", "rotate", "good", name),
        "key revoke": ("key", "revoke", "good", "--signed-by", name),
        "deps db sign-feed": ("deps", "db", "sign-feed", "--from", tmp_path / "feed", "--output", tmp_path / "out",
                              "--version-number", "1", "--key", name),
    }


def standing_keys(cli):
    for name in ("good", "revoked", "old"):
        cli.new_key(name)
    revoke(cli, "revoked")
    rotate(cli, "old", "new")
    cli.ok("key", "new", "short", "--valid-for", "1s", *secret(cli))
    cli.ok("key", "new", "early", "--valid-from", "2098-01-01", *secret(cli))
    wait_until_state(cli, "expired", "short")


def test_a_key_that_is_not_in_order_signs_nothing_on_any_path(cli, model, tmp_path):
    standing_keys(cli)
    cli.sign(model, "good")
    cli.ok("trust", "add", "early", "--path", model.parent, "--signer", "good", "--expires", "2098-01-01")
    (tmp_path / "feed").mkdir()
    before = (model / "model.sig").read_bytes(), (cli.state / "trust.toml").read_bytes()
    for name, code in (("revoked", "key.revoked"), ("old", "key.expired"), ("short", "key.expired"),
                       ("early", "key.expired")):
        for what, command in every_way_to_sign(cli, model, name, tmp_path).items():
            assert code_of(cli, *command, *secret(cli)) == code, (name, what)
        assert key(cli, name)["uses"] == (1 if name == "old" else 0)  # its rotation
    assert before == ((model / "model.sig").read_bytes(), (cli.state / "trust.toml").read_bytes())
    assert not (model / "model.sig.d").exists() and not (cli.state / "trust.toml.sig").exists()
    assert key(cli, "good")["state"] == "active"


def test_a_key_file_is_refused_on_the_path_of_compat_too(cli, model, tmp_path):
    """The peer's command names a file; that the key in it is one that was revoked here is seen all the same."""
    revoke(cli)
    done = cli.run("compat", "model-signing", "sign", "key", "--private_key", cli.state / "keys/signer.key",
                   "--signature", tmp_path / "s.sig", model, *secret(cli))
    assert done.returncode == 1 and "[key.revoked]" in done.stderr, done.stderr
    assert not (tmp_path / "s.sig").exists()


def test_a_signature_ends_with_the_window_of_its_key(cli, model):
    cli.ok("key", "new", "short", "--valid-for", "4s", *secret(cli))
    cli.sign(model, "short")
    assert cli.json("verify", model)["status"] == "verified"
    wait_until_state(cli, "expired", "short")
    assert code_of(cli, "verify", model) == "key.expired"
    assert cli.events("--type", "model.refused")[0]["code"] == "key.expired"


@pytest.mark.parametrize("args", [
    ("--valid-for", "0d"), ("--valid-for", "-1d"), ("--valid-for", "1"), ("--valid-for", "101y"), ("--valid-for", "1e3d"),
    ("--valid-until", "2001-01-01"), ("--valid-until", "tomorrow"), ("--valid-from", "2027-02-30"),
    ("--valid-from", "2098-01-02", "--valid-until", "2098-01-01"), ("--valid-until", "2098-01-01T00:00:00+25:00"),
    ("--valid-for", "99999999999999999999d")])
def test_windows_that_are_none(cli, args):
    assert code_of(cli, "key", "new", "odd", *args, *secret(cli)) == "usage"
    assert not list(cli.state.glob("keys/odd*"))


def test_a_day_ends_with_its_last_moment_in_utc(cli):
    cli.ok("key", "new", "day", "--valid-from", "2098-01-01", "--valid-until", "2098-01-01", *secret(cli))
    assert key(cli, "day")["not_before"] == "2098-01-01T00:00:00.000Z"
    assert key(cli, "day")["not_after"] == "2098-01-01T23:59:59.999Z"


@pytest.mark.parametrize("change", ["other", "cut", "edited", "empty", "link"])
def test_a_record_that_is_not_the_keys_own_stops_everything(cli, model, change, tmp_path):
    """Else whoever copies a record could lengthen a window, or take it away."""
    cli.sign(model)
    cli.new_key("other")
    record = cli.state / "keys/signer.rec"
    text = record.read_text()
    if change == "other":
        shutil.copy(cli.state / "keys/other.rec", record)
    elif change == "link":
        record.rename(tmp_path / "rec")
        record.symlink_to(tmp_path / "rec")
    else:
        record.write_text({"cut": text[:-20], "edited": text.replace('"sig":"M', '"sig":"N'), "empty": ""}[change])
    expected = "key.permissions" if change == "link" else "key.record"
    assert code_of(cli, "verify", model) == expected
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == expected


# ---- rotation -----------------------------------------------------------------------------------


def test_after_a_rotation_the_old_signatures_are_good_and_the_new_key_signs(cli, model):
    cli.sign(model)
    rotate(cli)
    assert cli.json("verify", model)["signer_name"] == "signer"
    assert key(cli)["state"] == "rotated" and key(cli)["successor"] == "next"
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == "key.expired"
    cli.sign(model, "next")
    assert cli.json("verify", model)["signer_name"] == "next"
    event = cli.events("--type", "key.rotated")[0]["record"]["unmapped"]
    assert event["key"] == "signer" and event["successor_fingerprint"] == key(cli, "next")["fingerprint"]


def test_old_signatures_end_with_the_window_that_the_rotation_set(cli, model):
    cli.sign(model)
    soon = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 4))
    rotate(cli, "signer", "next", "--old-valid-until", soon)
    assert cli.json("verify", model)["status"] == "verified"
    wait_until_state(cli, "expired")
    assert code_of(cli, "verify", model) == "key.expired"
    cli.sign(model, "next")
    assert cli.json("verify", model)["status"] == "verified"


def test_a_rotation_does_not_lengthen_the_old_window(cli):
    cli.ok("key", "new", "brief", "--valid-until", "2090-01-01", *secret(cli))
    rotate(cli, "brief", "next", "--old-valid-until", "2098-01-01")
    assert key(cli, "brief")["not_after"].startswith("2090-01-01")


def test_who_knows_the_old_key_accepts_its_successor(cli, elsewhere, model):
    cli.sign(model)
    assert elsewhere.json("verify", model)["status"] == "verified"
    rotate(cli)
    cli.sign(model, "next")
    assert code_of(elsewhere, "verify", model) == "signature.untrusted_key"
    accepted = elsewhere.json("key", "accept", cli.state / "keys/signer.rotation")
    assert accepted["kind"] == "rotation" and accepted["old"] == "signer"
    assert elsewhere.json("verify", model)["status"] == "verified"
    assert elsewhere.events("--type", "key.rotated")[0]["record"]["unmapped"]["fingerprint"] == key(cli)["fingerprint"]
    assert code_of(elsewhere, "key", "accept", cli.state / "keys/signer.rotation") == "key.record"


def test_a_chain_of_rotations_is_accepted_link_by_link(cli, elsewhere, model):
    rotate(cli, "signer", "two")
    rotate(cli, "two", "three")
    rotate(cli, "three", "four")
    cli.sign(model, "four")
    # Not in another order: each link hangs on the one before.
    assert code_of(elsewhere, "key", "accept", cli.state / "keys/two.rotation") == "key.not_found"
    for name in ("signer", "two", "three"):
        assert code_of(elsewhere, "verify", model) == "signature.untrusted_key"
        elsewhere.ok("key", "accept", cli.state / "keys" / f"{name}.rotation")
    assert elsewhere.json("verify", model)["status"] == "verified"
    assert elsewhere.json("key", "list")["keys"][0]["state"] == "rotated"
    # A policy that names the first key follows the chain, and a revocation in the middle cuts it.
    elsewhere.ok("trust", "add", "s", "--path", model.parent, "--signer", "signer")
    assert elsewhere.json("trust", "check", model)["status"] == "allowed"
    revoke(cli, "two", "--signed-by", "four")
    shutil.copy(cli.state / "keys/four.pub", elsewhere.state / "keys/four.pub")
    elsewhere.ok("key", "accept", cli.state / "keys/revocations.json")
    assert code_of(elsewhere, "verify", model) in ("trust.signer", "signature.untrusted_key")


def test_rotations_that_are_not_made(cli):
    cli.new_key("other")
    assert code_of(cli, "key", "rotate", "signer", "signer", *secret(cli)) == "key.record"
    assert code_of(cli, "key", "rotate", "nobody", "next", *secret(cli)) == "key.not_found"
    assert code_of(cli, "key", "rotate", "signer", "../next", *secret(cli)) == "key.name"
    rotate(cli, "signer", "other")
    assert code_of(cli, "key", "rotate", "signer", "third", *secret(cli)) == "key.expired"
    assert code_of(cli, "key", "rotate", "other", "signer", *secret(cli)) == "key.expired"
    assert not list(cli.state.glob("keys/third*")) and not list(cli.state.glob("keys/next*"))


def forged(cli, tmp_path, how) -> pathlib.Path:
    """A rotation of `signer` to a key of somebody who does not have `signer`."""
    thief = Cli(tmp_path / "thief", cli.passphrase_file)
    thief.new_key("mine")
    thief.new_key("next")
    rotate(thief, "mine", "next")
    record = json.loads((thief.state / "keys/mine.rotation").read_text())
    import base64
    payload = json.loads(base64.b64decode(record["payload"]))
    payload["old_key"] = (cli.state / "keys/signer.pub").read_text()
    if how == "type":
        record["payloadType"] = "application/vnd.mlxguard.key-record.v1+json"
    if how in ("old key", "signed by the new one twice", "one signature"):
        record["payload"] = base64.b64encode(json.dumps(payload).encode()).decode()
        record["signatures"][0]["keyid"] = key(cli)["fingerprint"]
    if how == "signed by the new one twice":
        record["signatures"][0] = dict(record["signatures"][1], keyid=key(cli)["fingerprint"])
    if how == "one signature":
        del record["signatures"][0]
    if how == "no signature":
        record["signatures"] = []
    file = tmp_path / "forged.rotation"
    file.write_text(json.dumps(record))
    return file


@pytest.mark.parametrize("how", ["old key", "signed by the new one twice", "one signature", "no signature", "type"])
def test_a_forged_rotation(cli, elsewhere, model, tmp_path, how):
    file = forged(cli, tmp_path, how)
    assert code_of(elsewhere, "key", "accept", file) == "key.record"
    assert elsewhere.events("--type", "key.refused")[0]["code"] == "key.record"
    # Nor when it is laid into the folder without being asked about.
    shutil.copy(file, elsewhere.state / "keys/signer.rotation")
    assert code_of(elsewhere, "verify", model) == "key.record"


def test_the_rotation_of_a_key_that_was_revoked_or_has_expired_is_not_accepted(cli, elsewhere, model):
    rotate(cli)
    revoke(cli, "signer", "--signed-by", "next")
    shutil.copy(cli.state / "keys/next.pub", elsewhere.state / "keys/next.pub")
    elsewhere.ok("key", "accept", cli.state / "keys/revocations.json")
    assert code_of(elsewhere, "key", "accept", cli.state / "keys/signer.rotation") == "key.revoked"


@pytest.mark.parametrize("after_ms", [1, 5, 20, 60, 120, 200, 300, 450])
def test_a_kill_while_rotating_leaves_the_old_key_or_both(cli, model, after_ms):
    cli.sign(model)
    command = subprocess.Popen([cli.binary, "key", "rotate", "signer", "next", *map(str, secret(cli)), "--state", cli.state],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_ms / 1000)
    command.send_signal(signal.SIGKILL)
    command.wait()
    assert cli.json("verify", model)["status"] == "verified"
    states = {one["name"]: one["state"] for one in cli.json("key", "list")["keys"]}
    assert states in ({"signer": "active"}, {"signer": "rotated", "next": "active"})
    cli.sign(model, "next" if "next" in states else "signer")
    assert not [one for one in (cli.state / "keys").iterdir() if one.name.startswith(".") and one.name != ".commit"]


# ---- revocation ---------------------------------------------------------------------------------


def test_a_revoked_key_counts_no_more_at_once(cli, model, start_server):
    cli.sign(model)
    revoke(cli)
    error = cli.json("verify", model, exit_code=1)["error"]
    assert error["code"] == "key.revoked" and "laptop lost" in error["message"]
    (model.parent / "body").write_text("{}")
    for command in (("run", model, "--input", model.parent / "body"), ("model", "add", model), ("trust", "check", model)):
        assert code_of(cli, *command) == "key.revoked", command
    with pytest.raises(AssertionError) as started:
        start_server(cli, {"net": model})
    assert "[key.revoked]" in str(started.value)
    shown = cli.json("key", "show", "signer")
    assert shown["state"] == "revoked" and shown["reason"] == "laptop lost"
    event = cli.events("--type", "key.revoked")[0]["record"]["unmapped"]
    assert event["reason"] == "laptop lost" and event["fingerprint"] == shown["fingerprint"]
    assert code_of(cli, "key", "revoke", "signer", *secret(cli)) == "key.revoked"


def test_a_stored_model_is_refused_when_its_key_is_revoked(cli, model):
    cli.sign(model)
    cli.ok("model", "add", model)
    assert cli.json("verify", "store:net")["status"] == "verified"
    revoke(cli)
    assert code_of(cli, "verify", "store:net") == "key.revoked"
    assert code_of(cli, "model", "verify", "net") == "key.revoked"


def test_a_list_from_elsewhere_is_honoured_at_once(cli, elsewhere, model):
    cli.new_key("security")
    shutil.copy(cli.state / "keys/security.pub", elsewhere.state / "keys/security.pub")
    cli.sign(model)
    revoke(cli, "signer", "--signed-by", "security")
    assert elsewhere.json("verify", model)["status"] == "verified"
    assert elsewhere.json("key", "accept", cli.state / "keys/revocations.json")["version"] == 1
    assert code_of(elsewhere, "verify", model) == "key.revoked"
    assert elsewhere.events("--type", "key.revoked")[0]["record"]["unmapped"]["fingerprint"] == key(cli)["fingerprint"]


def test_a_key_is_revoked_by_its_fingerprint_alone(cli, model):
    revoke(cli, "a" * 64, "--signed-by", "signer")
    assert cli.json("key", "list")["revocations_version"] == 1
    for odd in ("A" * 64, "a" * 63, "nobody", ""):
        assert code_of(cli, "key", "revoke", odd, "--signed-by", "signer", *secret(cli)) == "key.not_found"


@pytest.mark.parametrize("name", ["signer", "security"])
def test_one_key_in_two_spellings_is_revoked_in_both(cli, model, name):
    """A point may be written in two ways; it is one key, with one fingerprint."""
    cli.sign(model)
    cli.new_key("security")
    subprocess.run(["openssl", "ec", "-pubin", "-in", cli.state / "keys/signer.pub", "-conv_form", "compressed", "-out",
                    cli.state / "keys/same.pub"], check=True, capture_output=True)
    assert key(cli, "same")["fingerprint"] == key(cli)["fingerprint"]
    revoke(cli, "signer", "--signed-by", name)
    assert code_of(cli, "verify", model) == "key.revoked"


def test_an_expired_key_may_still_revoke_itself(cli, model):
    cli.ok("key", "new", "short", "--valid-for", "1s", *secret(cli))
    wait_until_state(cli, "expired", "short")
    revoke(cli, "short")
    assert key(cli, "short")["state"] == "revoked"


@pytest.mark.parametrize("after_ms", [1, 5, 20, 60, 120, 200, 300])
def test_a_kill_while_revoking_leaves_a_list_that_is_whole(cli, model, after_ms):
    cli.new_key("security")
    cli.sign(model)
    command = subprocess.Popen([cli.binary, "key", "revoke", "signer", "--signed-by", "security", *map(str, secret(cli)),
                                "--state", cli.state], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(after_ms / 1000)
    command.send_signal(signal.SIGKILL)
    command.wait()
    revoked = cli.json("key", "list")["revocations_version"] == 1
    done = cli.run("verify", model)
    assert ("[key.revoked]" in done.stderr) if revoked else done.returncode == 0, done.stderr
    if not revoked:
        revoke(cli, "signer", "--signed-by", "security")
    assert code_of(cli, "verify", model) == "key.revoked"


def test_two_who_revoke_at_once_are_both_heard(cli):
    names = [f"k{i}" for i in range(5)]
    for name in names:
        cli.new_key(name)
    commands = [subprocess.Popen([cli.binary, "key", "revoke", name, *map(str, secret(cli)), "--state", cli.state],
                                 stdout=subprocess.DEVNULL, stderr=subprocess.PIPE) for name in names]
    for command in commands:
        assert command.wait() == 0, command.stderr.read()
    assert cli.json("key", "list")["revocations_version"] == 5
    assert {key(cli, name)["state"] for name in names} == {"revoked"}


# ---- list ---------------------------------------------------------------------------------------


def test_list_says_what_there_is_to_know(cli, model):
    cli.ok("key", "new", "dated", "--curve", "p384", "--valid-until", "2098-01-01", *secret(cli))
    cli.sign(model, "dated")
    cli.sign(model, "dated")
    listed = key(cli, "dated")
    assert listed["curve"] == "P-384" and listed["kind"] == "file" and listed["state"] == "active"
    assert listed["uses"] == 2 and listed["last_used"] and 0 <= listed["age_days"] < 0.1
    assert listed["not_after"].startswith("2098-01-01") and len(listed["fingerprint"]) == 64
    table = cli.ok("key", "list").stdout
    for word in ("NAME", "STATE", "AGE", "USES", "EXPIRES", "FINGERPRINT", "dated", "2098-01-01"):
        assert word in table
    assert len(cli.events("--type", "key.used")) == 2


def test_a_use_count_that_was_changed_is_not_believed(cli, model):
    cli.sign(model)
    uses = cli.state / "keys/signer.uses"
    uses.write_text(uses.read_text().replace('"sig":"M', '"sig":"N'))
    listed = key(cli)
    assert listed["uses"] is None and listed["uses_problem"]
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == "key.record"
