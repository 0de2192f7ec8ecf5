# SPDX-License-Identifier: Apache-2.0
"""Keys on PKCS#11 tokens: SoftHSM2 as one that works, and modules that do wrong each in one way.

The module runs in mlxguard-token. What it does there, dying and never answering included, ends in one error with a
code, leaves no signature, and is an event.
"""
import json
import os
import pathlib
import re
import shutil
import subprocess
import time

import pytest

from conftest import ROOT, site_packages

SOFTHSM = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")
SOURCE = ROOT / "tests/support/hostile_token.c"
PIN = "123456"


@pytest.fixture
def model(tmp_path):
    folder = tmp_path / "model"
    folder.mkdir()
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    return folder


def private(file: pathlib.Path, text: str) -> pathlib.Path:
    file.write_text(text)
    file.chmod(0o600)
    return file


class Token:
    """A SoftHSM2 token named `mine`."""

    def __init__(self, cli, place: pathlib.Path):
        self.cli, self.place = cli, place
        (place / "tokens").mkdir()
        (place / "softhsm2.conf").write_text(f"directories.tokendir = {place / 'tokens'}\nobjectstore.backend = file\n")
        self.env = {**os.environ, "SOFTHSM2_CONF": str(place / "softhsm2.conf")}
        self.tool("softhsm2-util", "--init-token", "--free", "--label", "mine", "--pin", PIN, "--so-pin", "12345678")
        self.pin = private(place / "pin", PIN + "\n")

    def tool(self, *args):
        subprocess.run(list(map(str, args)), env=self.env, check=True, capture_output=True)

    def uri(self, path="token=mine;object=signer", more="") -> str:
        return f"pkcs11:{path}?module-path={SOFTHSM}{more}"

    def new(self, name="hsm", uri=None, *more, pin=None):
        return self.cli.run("key", "new", name, "--token", uri or self.uri(), "--pin-file", pin or self.pin, *more,
                            env=self.env)

    def sign(self, model, name="hsm", *more, pin=None):
        return self.cli.run("sign", model, "--key", name, "--pin-file", pin or self.pin, *more, env=self.env)


@pytest.fixture
def token(cli, tmp_path):
    if not SOFTHSM.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 is not installed")
    place = tmp_path / "token"
    place.mkdir()
    return Token(cli, place)


def ok(done):
    assert done.returncode == 0, done.stderr
    return done


def refused(done, code):
    assert f"[{code}]" in done.stderr, done.stderr
    assert done.returncode != 0 and "hint:" in done.stderr


@pytest.mark.parametrize("curve", ["p256", "p384", "p521"])
def test_a_key_made_on_a_token_signs_what_both_tools_verify(cli, token, model, curve):
    ok(token.new("hsm", None, "--generate", "--curve", curve))
    ok(token.sign(model))
    assert cli.json("verify", model)["signer_name"] == "hsm"
    public = cli.state / "keys/hsm.pub"
    peer = subprocess.run([site_packages().parents[2] / "bin/model_signing", "verify", "key", "--public_key", public,
                           "--signature", model / "model.sig", model], capture_output=True, text=True)
    assert peer.returncode == 0, peer.stderr
    (model / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{ }")
    assert cli.json("verify", model, exit_code=1)["error"]["code"] == "signature.digest_mismatch"
    listed = {key["name"]: key for key in cli.json("key", "list")["keys"]}["hsm"]
    assert listed["kind"] == "token" and listed["uses"] == 1 and listed["token_uri"].startswith("pkcs11:")
    assert not (cli.state / "keys/hsm.key").exists()
    used = cli.events("--type", "key.used")[0]["record"]["unmapped"]
    assert used["key"] == "hsm" and used["fingerprint"] == listed["fingerprint"]


def test_a_key_that_the_token_has_already(cli, token, model):
    token.tool("pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, "--token-label", "mine", "--keypairgen",
               "--key-type", "EC:prime256v1", "--id", "01", "--label", "signer")
    ok(token.new())
    ok(token.sign(model))
    assert cli.json("verify", model)["status"] == "verified"
    refused(token.new("again", None, "--generate"), "key.exists")
    assert not (cli.state / "keys/again.pub").exists()


@pytest.mark.parametrize("spelled", ["token=%6d%69ne;object=s%69gner", "object=signer;token=mine;type=private",
                                     "model=SoftHSM%20v2;object=signer", "token=mine;id=%01;object=signer"])
def test_ways_to_write_the_uri(cli, token, model, spelled):
    token.tool("pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, "--token-label", "mine", "--keypairgen",
               "--key-type", "EC:prime256v1", "--id", "01", "--label", "signer")
    ok(token.new("hsm", token.uri(spelled)))
    ok(token.sign(model))


@pytest.mark.parametrize("uri,code", [
    ("pkcs11:token=mine?module-path={m}", "token.uri"),
    ("pkcs11:object=signer", "token.uri"),
    ("pkcs11:object=signer?module-path=libsofthsm2.so", "token.uri"),
    ("pkcs11:object=signer?module-path={m}&pin-value=123456", "token.uri"),
    ("pkcs11:object=signer;object=other?module-path={m}", "token.uri"),
    ("pkcs11:object=sign%?module-path={m}", "token.uri"),
    ("pkcs11:object=sign%zz?module-path={m}", "token.uri"),
    ("pkcs11:object=signer%00x?module-path={m}", "token.uri"),
    ("pkcs11:object=signer;x-other=1?module-path={m}", "token.uri"),
    ("pkcs11:object=signer?module-path={m}%00.so", "token.uri"),
    ("http://object=signer?module-path={m}", "token.uri"),
    ("pkcs11:object=signer?module-path=/nowhere/module.so", "token.module"),
    ("pkcs11:object=signer?module-path=/etc/hostname", "token.module"),
    ("pkcs11:object=signer?module-path=/etc", "token.module"),
    ("pkcs11:token=yours;object=signer?module-path={m}", "token.failed"),
    ("pkcs11:token=mine;object=nobody?module-path={m}", "token.key_not_found"),
    ("pkcs11:slot-id=18446744073709551616;object=signer?module-path={m}", "token.uri"),
])
def test_uris_that_name_no_key(cli, token, uri, code):
    done = token.new("hsm", uri.replace("{m}", str(SOFTHSM)))
    assert f"[{code}]" in done.stderr, done.stderr
    assert PIN not in done.stderr
    assert sorted(cli.state.glob("keys/hsm*")) == []
    assert cli.events("--type", "key.refused")[0]["code"] == code


def test_a_uri_that_names_two_keys_is_not_guessed_about(cli, token):
    for id in ("01", "02"):
        token.tool("pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, "--token-label", "mine", "--keypairgen",
                   "--key-type", "EC:prime256v1", "--id", id, "--label", "signer")
    refused(token.new(), "token.uri")
    ok(token.new("hsm", token.uri("token=mine;object=signer;id=%02")))


def test_a_wrong_pin_is_tried_once_and_a_locked_token_not_at_all(cli, token, model):
    ok(token.new("hsm", None, "--generate"))
    wrong = private(token.place / "wrong", "654321\n")
    refused(token.sign(model, pin=wrong), "token.pin")
    assert not (model / "model.sig").exists()
    assert cli.events("--type", "key.refused")[0]["code"] == "token.pin"
    ok(token.sign(model))  # the right one still works: no second try was made of the wrong one
    empty = private(token.place / "empty", "\n")
    refused(token.sign(model, pin=empty), "token.pin")


def test_a_pin_file_that_others_may_read(cli, token, model):
    ok(token.new("hsm", None, "--generate"))
    token.pin.chmod(0o640)
    assert "[io.unsafe_permissions]" in token.sign(model).stderr


def test_a_token_that_was_taken_away(cli, token, model):
    ok(token.new("hsm", None, "--generate"))
    shutil.rmtree(token.place / "tokens")
    (token.place / "tokens").mkdir()
    refused(token.sign(model), "token.failed")
    assert not (model / "model.sig").exists()


def test_another_key_under_the_same_label_is_not_the_registered_one(cli, token, model):
    ok(token.new("hsm", None, "--generate"))
    token.tool("pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, "--token-label", "mine", "--delete-object",
               "--type", "privkey", "--label", "signer")
    token.tool("pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, "--token-label", "mine", "--delete-object",
               "--type", "pubkey", "--label", "signer")
    token.tool("pkcs11-tool", "--module", SOFTHSM, "--login", "--pin", PIN, "--token-label", "mine", "--keypairgen",
               "--key-type", "EC:prime256v1", "--id", "01", "--label", "signer")
    done = token.sign(model)
    assert done.returncode != 0 and ("[key.format]" in done.stderr or "[token.key_not_found]" in done.stderr), done.stderr
    assert not (model / "model.sig").exists()


def test_a_revoked_token_key_is_not_asked_to_sign(cli, token, model):
    ok(token.new("hsm", None, "--generate"))
    ok(cli.run("key", "revoke", "hsm", "--pin-file", token.pin, env=token.env))
    refused(token.sign(model), "key.revoked")


def test_a_token_key_is_rotated_to_one_in_a_file(cli, token, model):
    ok(token.new("hsm", None, "--generate"))
    ok(token.sign(model))
    ok(cli.run("key", "rotate", "hsm", "next", "--pin-file", token.pin, "--new-passphrase-file", cli.passphrase_file,
               env=token.env))
    assert cli.json("verify", model)["status"] == "verified"
    refused(token.sign(model), "key.expired")
    cli.sign(model, "next")
    assert cli.json("verify", model)["signer_name"] == "next"


def hostile(place: pathlib.Path, wrong: str) -> pathlib.Path:
    """The module that does this wrong."""
    cflags = subprocess.run(["pkg-config", "--cflags", "p11-kit-1"], capture_output=True, text=True, check=True)
    defines = [f"-D{one}" for one in wrong.split(" ")]
    module = place / "module.so"
    subprocess.run(["cc", "-shared", "-fPIC", *cflags.stdout.split(), *defines, "-o", module, SOURCE], check=True)
    module.chmod(0o755)
    return module


def new_hostile(cli, module, *more):
    pin = private(module.parent / "pin", PIN)
    return cli.run("key", "new", "bad", "--token", f"pkcs11:object=k?module-path={module}", "--pin-file", pin,
                   "--token-timeout", "1", *more, timeout=30)


# Registering a key signs its record, so that each of these is met already then.
WRONG = {
    "WRONG_SIGNATURE": "token.failed",
    "WRONG_ZERO_SIGNATURE": "token.failed",
    "WRONG_SHORT_SIGNATURE": "token.failed",
    "WRONG_HUGE_SIGNATURE": "token.failed",
    "WRONG_DIES_SIGNING": "token.module",
    "WRONG_HANGS_SIGNING": "token.module",
    "WRONG_DIES_AT_ONCE": "token.module",
    "WRONG_HANGS_AT_ONCE": "token.module",
    "WRONG_DIES_WITH_THE_PIN": "token.module",
    "WRONG_NO_FUNCTIONS": "token.module",
    "WRONG_FUNCTION_LIST": "token.module",
    "WRONG_COUNTS_SLOTS": "token.failed",
    "WRONG_COUNTS_KEYS": "token.failed",
    "WRONG_ATTRIBUTE_SIZE": "token.failed",
    "WRONG_POINT": "key.format",
    "WRONG_WRITES_ANSWERS": "token.failed",
    "WRONG_NEVER_ENDS": "token.failed",
    "TOKEN_FLAGS=CKF_TOKEN_INITIALIZED|CKF_LOGIN_REQUIRED|CKF_USER_PIN_LOCKED": "token.pin",
    "TOKEN_FLAGS=CKF_TOKEN_INITIALIZED|CKF_LOGIN_REQUIRED|CKF_USER_PIN_FINAL_TRY": "token.pin",
    "TOKEN_FLAGS=0": "token.failed",
}


@pytest.mark.parametrize("wrong", sorted(WRONG))
def test_a_module_that_does_wrong(cli, tmp_path, wrong):
    done = new_hostile(cli, hostile(tmp_path, wrong))
    assert done.returncode != 0 and f"[{WRONG[wrong]}]" in done.stderr, done.stderr
    assert "a PIN, please" not in done.stdout + done.stderr
    assert sorted(cli.state.glob("keys/bad*")) == []
    assert cli.events("--type", "key.refused")[0]["code"] == WRONG[wrong]
    left = subprocess.run(["pgrep", "-f", "^mlxguard-token$"], capture_output=True, text=True).stdout.split()
    assert not [pid for pid in left if str(tmp_path) in maps_of(pid)]


def maps_of(pid) -> str:
    try:
        return pathlib.Path(f"/proc/{pid}/maps").read_text()
    except OSError:
        return ""


@pytest.mark.parametrize("mode", [0o775, 0o757])
def test_a_module_that_others_can_write(cli, tmp_path, mode):
    module = hostile(tmp_path, "WRONG_SIGNATURE")
    module.chmod(mode)
    done = new_hostile(cli, module)
    assert "[token.module]" in done.stderr and "others can write" in done.stderr


def test_without_its_program_a_token_is_not_reached(cli, tmp_path):
    shutil.copy(cli.binary, tmp_path / "mlxguard")
    cli.binary = tmp_path / "mlxguard"
    done = new_hostile(cli, hostile(tmp_path, "WRONG_SIGNATURE"))
    assert "[token.module]" in done.stderr and "mlxguard-token" in done.stderr


def test_the_program_for_tokens_is_not_for_people(cli):
    done = subprocess.run([cli.binary.parent / "mlxguard-token", "x"], capture_output=True, text=True)
    assert done.returncode == 2 and "started by mlxguard" in done.stderr


def test_neither_pin_nor_passphrase_is_in_arguments_or_environment_of_any_process(cli, tmp_path):
    """Looked at while the module hangs with the PIN."""
    module = hostile(tmp_path, "WRONG_HANGS_SIGNING")
    pin = private(tmp_path / "pin", "a very telling PIN")
    asked = subprocess.Popen([cli.binary, "key", "new", "bad", "--token", f"pkcs11:object=k?module-path={module}",
                              "--pin-file", pin, "--token-timeout", "4", "--state", cli.state],
                             stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    try:
        children, until = [], time.time() + 10
        while not children and time.time() < until:
            children = pathlib.Path(f"/proc/{asked.pid}/task/{asked.pid}/children").read_text().split()
            time.sleep(0.05)
        assert children, "mlxguard-token did not start"
        time.sleep(0.5)
        for pid in [asked.pid, *children]:
            for what in ("cmdline", "environ"):
                assert b"telling" not in pathlib.Path(f"/proc/{pid}/{what}").read_bytes()
            # Not dumpable: what belongs to it in /proc is root's, whoever runs it.
            assert os.stat(f"/proc/{pid}/mem").st_uid == 0
            assert re.search(r"Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text())
    finally:
        asked.wait(30)
    error = asked.stderr.read()
    assert b"[token.module]" in error and b"telling" not in error
    assert "telling" not in json.dumps(cli.events("--limit", "50"))
