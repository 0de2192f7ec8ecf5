# SPDX-License-Identifier: Apache-2.0
"""The model line as a user meets it: sign, verify, and every way in which a model is refused.

Each refusal has its own stable code, names the file, shows the expected and the actual digest, ends with
exit 1, and stands in the event log as `model.refused`.
"""
import base64
import hashlib
import json
import os
import pathlib
import random
import signal
import socket
import subprocess
import sys
import time

import pytest

FILES = {"config.json": b'{"a": 1}\n', "weights/model.safetensors": bytes(range(256)) * 64, "empty": b""}


def sha256(data: bytes) -> str:
    return hashlib.sha256(data).hexdigest()


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    folder = tmp_path / "model"
    for name, data in FILES.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def signed(cli, model) -> pathlib.Path:
    cli.sign(model)
    return model


def refused(cli, model, code, *args):
    """Asserts one refusal by all three of its traces, and returns the answer of `verify --json`."""
    answer = cli.json("verify", model, *args, exit_code=1)
    assert answer["error"]["code"] == code, answer
    newest = cli.events("--type", "model.refused")[0]
    assert newest["outcome"] == "refused"
    assert newest["code"] == code
    assert newest["model"] == pathlib.Path(model).name
    fields = newest["record"]["unmapped"]
    for name in ("subject", "expected", "actual"):
        assert fields.get(name, "") == answer["error"][name], name
    for_people = cli.run("verify", model, *args)
    assert for_people.returncode == 1
    assert f"[{code}]" in for_people.stderr
    return answer


def bundle_of(model) -> dict:
    return json.loads((model / "model.sig").read_text())


def put_bundle(model, bundle):
    (model / "model.sig").write_text(bundle if isinstance(bundle, str) else json.dumps(bundle))


def test_a_signed_model_is_verified(cli, signed):
    answer = cli.json("verify", signed)
    assert answer["status"] == "verified"
    assert answer["files"] == len(FILES)
    assert answer["bytes"] == sum(map(len, FILES.values()))
    in_order = sorted(FILES, key=lambda name: name.encode())
    assert answer["root_digest"] == sha256(b"".join(bytes.fromhex(sha256(FILES[n])) for n in in_order))
    public = (cli.state / "keys/signer.pub").read_bytes()
    assert answer["signer"] == sha256(public)
    newest = cli.events("--type", "model.verified")[0]
    assert newest["outcome"] == "success"
    assert newest["record"]["unmapped"]["root_digest"] == answer["root_digest"]
    assert cli.events("--type", "model.signed")[0]["record"]["unmapped"]["root_digest"] == answer["root_digest"]


def test_a_changed_file(cli, signed):
    changed = bytearray(FILES["weights/model.safetensors"])
    changed[100] ^= 1
    (signed / "weights/model.safetensors").write_bytes(changed)
    error = refused(cli, signed, "signature.digest_mismatch")["error"]
    assert error["subject"] == "weights/model.safetensors"
    assert error["expected"] == sha256(FILES["weights/model.safetensors"])
    assert error["actual"] == sha256(bytes(changed))


def test_a_truncated_file(cli, signed):
    os.truncate(signed / "config.json", 3)
    error = refused(cli, signed, "signature.digest_mismatch")["error"]
    assert error["actual"] == sha256(FILES["config.json"][:3])


@pytest.mark.parametrize("name", ["extra", "weights/extra", ".hidden", "pickle.bin", "a/b/c"])
def test_an_added_file(cli, signed, name):
    (signed / name).parent.mkdir(parents=True, exist_ok=True)
    (signed / name).write_bytes(b"x")
    error = refused(cli, signed, "signature.file_unsigned")["error"]
    assert error["subject"] == name
    assert error["expected"] == ""
    assert error["actual"] == sha256(b"x")


@pytest.mark.parametrize("name", sorted(FILES))
def test_a_missing_file(cli, signed, name):
    (signed / name).unlink()
    error = refused(cli, signed, "signature.file_missing")["error"]
    assert error["subject"] == name
    assert error["expected"] == sha256(FILES[name])
    assert error["actual"] == ""


def test_a_renamed_file_is_both_missing_and_unsigned(cli, signed):
    (signed / "config.json").rename(signed / "Config.json")
    answer = refused(cli, signed, "signature.file_missing")
    digest = sha256(FILES["config.json"])
    assert answer["findings"] == [
        {"code": "signature.file_missing", "subject": "config.json", "expected": digest, "actual": ""},
        {"code": "signature.file_unsigned", "subject": "Config.json", "expected": "", "actual": digest},
    ]


def test_everything_that_differs_is_listed_at_once(cli, signed):
    (signed / "config.json").write_bytes(b"{}")
    (signed / "extra").write_bytes(b"")
    (signed / "empty").unlink()
    answer = refused(cli, signed, "signature.digest_mismatch")
    assert [(f["code"], f["subject"]) for f in answer["findings"]] == [
        ("signature.digest_mismatch", "config.json"),
        ("signature.file_missing", "empty"),
        ("signature.file_unsigned", "extra"),
    ]
    newest = cli.events("--type", "model.refused")[0]
    assert newest["record"]["unmapped"]["findings"] == 3


def test_a_link_with_the_signed_bytes_behind_it(cli, signed, tmp_path):
    (signed / "config.json").rename(tmp_path / "config.json")
    (signed / "config.json").symlink_to(tmp_path / "config.json")
    assert refused(cli, signed, "artifact.symlink")["error"]["subject"] == "config.json"


def test_a_link_to_a_folder_and_a_link_as_the_model(cli, signed, tmp_path):
    (tmp_path / "link").symlink_to(signed)
    refused(cli, tmp_path / "link", "artifact.symlink")
    (signed / "more").symlink_to("/etc")
    assert refused(cli, signed, "artifact.symlink")["error"]["subject"] == "more"


def test_special_files(cli, signed):
    os.mkfifo(signed / "pipe")
    assert refused(cli, signed, "artifact.special_file")["error"]["subject"] == "pipe"
    (signed / "pipe").unlink()
    with socket.socket(socket.AF_UNIX) as server:
        here = os.getcwd()
        os.chdir(signed)  # a socket's path is short
        try:
            server.bind("socket")
        finally:
            os.chdir(here)
        assert refused(cli, signed, "artifact.special_file")["error"]["subject"] == "socket"


def test_no_signature(cli, model):
    assert refused(cli, model, "signature.missing")["error"]["subject"] == "model.sig"


def test_a_key_that_is_not_trusted(cli, signed, tmp_path):
    (cli.state / "keys/signer.pub").rename(tmp_path / "signer.pub")
    cli.new_key("other")
    error = refused(cli, signed, "signature.untrusted_key")["error"]
    assert error["subject"] == "model.sig"
    assert error["actual"] == sha256((tmp_path / "signer.pub").read_bytes())
    assert cli.json("verify", signed, "--public-key", tmp_path / "signer.pub")["signer_name"] == "signer"


def test_no_trusted_key_at_all(cli, signed, tmp_path):
    (cli.state / "keys/signer.pub").rename(tmp_path / "signer.pub")
    done = cli.run("verify", signed)
    assert done.returncode == 2
    assert "[signature.no_trusted_keys]" in done.stderr
    assert cli.events("--type", "model.refused")[0]["code"] == "signature.no_trusted_keys"


def test_a_signature_of_another_key_in_the_name_of_a_trusted_one(cli, signed):
    hint = bundle_of(signed)["verificationMaterial"]["publicKey"]["hint"]
    cli.new_key("other")
    cli.sign(signed, "other")
    bundle = bundle_of(signed)
    bundle["verificationMaterial"]["publicKey"]["hint"] = hint
    put_bundle(signed, bundle)
    assert refused(cli, signed, "signature.invalid")["error"]["subject"] == "model.sig"


def test_a_changed_statement(cli, signed):
    bundle = bundle_of(signed)
    statement = base64.b64decode(bundle["dsseEnvelope"]["payload"])
    forged = statement.replace(sha256(FILES["empty"]).encode(), sha256(b"evil").encode())
    assert forged != statement
    (signed / "empty").write_bytes(b"evil")
    bundle["dsseEnvelope"]["payload"] = base64.b64encode(forged).decode()
    put_bundle(signed, bundle)
    refused(cli, signed, "signature.invalid")


def test_a_signature_of_another_model(cli, signed, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    (other / "config.json").write_bytes(b"{}")
    cli.sign(other)
    (other / "model.sig").rename(signed / "model.sig")
    codes = [f["code"] for f in refused(cli, signed, "signature.digest_mismatch")["findings"]]
    assert codes == ["signature.digest_mismatch", "signature.file_unsigned", "signature.file_unsigned"]


def change(*path, to):
    def apply(bundle):
        at = bundle
        for step in path[:-1]:
            at = at[step]
        if to is None:
            del at[path[-1]]
        else:
            at[path[-1]] = to
        return bundle
    return apply


BROKEN = {
    "empty": (lambda bundle: "", "signature.bundle_syntax"),
    "no JSON": (lambda bundle: "not json", "signature.bundle_syntax"),
    "cut off": (lambda bundle: json.dumps(bundle)[:-2], "signature.bundle_syntax"),
    "a key twice": (lambda bundle: '{"mediaType":"x",' + json.dumps(bundle)[1:], "signature.bundle_syntax"),
    "nested deeply": (lambda bundle: "[" * 1000 + "]" * 1000, "signature.bundle_syntax"),
    "an array": (lambda bundle: [bundle], "signature.bundle_syntax"),
    "another media type": (change("mediaType", to="application/vnd.dev.sigstore.bundle+json;version=0.2"),
                           "signature.media_type"),
    "an unknown member": (change("extra", to=1), "signature.bundle_field"),
    "no envelope": (change("dsseEnvelope", to=None), "signature.bundle_field"),
    "no material": (change("verificationMaterial", to=None), "signature.bundle_field"),
    "a payload that is no base64": (change("dsseEnvelope", "payload", to="*"), "signature.bundle_field"),
    "another payload type": (change("dsseEnvelope", "payloadType", to="text/plain"), "signature.payload_type"),
    "no signature": (change("dsseEnvelope", "signatures", to=[]), "signature.count"),
    "two signatures": (lambda bundle: change("dsseEnvelope", "signatures",
                                             to=bundle["dsseEnvelope"]["signatures"] * 2)(bundle),
                       "signature.count"),
    "a certificate": (change("verificationMaterial", to={"certificate": {"rawBytes": "AAAA"}}),
                      "signature.material_unsupported"),
    "another signature": (change("dsseEnvelope", "signatures", 0, "sig", to="AAAA"), "signature.invalid"),
}


@pytest.mark.parametrize("case", sorted(BROKEN))
def test_a_broken_bundle(cli, signed, case):
    breaking, code = BROKEN[case]
    put_bundle(signed, breaking(bundle_of(signed)))
    assert refused(cli, signed, code)["error"]["subject"] == "model.sig"


@pytest.mark.parametrize("command", ["verify", "run"])
def test_a_model_that_is_not_there(cli, tmp_path, command):
    (tmp_path / "body").write_text("{}")
    args = ["--input", tmp_path / "body"] if command == "run" else []
    done = cli.run(command, tmp_path / "nothing", *args)
    assert done.returncode == 3
    assert "[artifact.not_found]" in done.stderr


def test_what_run_refuses_is_on_record_too(cli, signed, tmp_path):
    (signed / "extra").write_bytes(b"x")
    (tmp_path / "body").write_text("{}")
    done = cli.run("run", signed, "--input", tmp_path / "body")
    assert done.returncode == 1
    assert "[signature.file_unsigned]" in done.stderr
    assert cli.events("--type", "model.refused")[0]["code"] == "signature.file_unsigned"
    assert cli.events("--type", "model.snapshot") == []


def test_signing_again_replaces_the_signature_and_leaves_nothing_else(cli, signed):
    before = sorted(path.name for path in signed.iterdir())
    (signed / "config.json").write_bytes(b"{}")
    cli.sign(signed)
    assert sorted(path.name for path in signed.iterdir()) == before
    assert cli.json("verify", signed)["status"] == "verified"


def test_a_model_that_is_one_file(cli, tmp_path):
    file = tmp_path / "net.mlxfn"
    file.write_bytes(b"bytes")
    cli.sign(file)
    assert (tmp_path / "net.mlxfn.sig").exists()
    assert cli.json("verify", file)["files"] == 1
    file.write_bytes(b"bytez")
    error = refused(cli, file, "signature.digest_mismatch")["error"]
    assert error["expected"] == sha256(b"bytes")


@pytest.mark.parametrize("path", ["link", "empty"])
def test_what_cannot_be_signed(cli, tmp_path, path):
    model = tmp_path / "odd"
    model.mkdir()
    if path == "link":
        (model / "link").symlink_to("/etc/passwd")
    done = cli.run("sign", model, "--key", "signer", "--passphrase-file", cli.passphrase_file)
    assert done.returncode == 1
    assert ("[artifact.symlink]" if path == "link" else "[artifact.empty]") in done.stderr
    assert not (model / "model.sig").exists()
    assert cli.events("--type", "model.signed")[0]["outcome"] == "refused"


@pytest.mark.slow
def test_a_signer_killed_at_any_moment_leaves_the_old_bundle_or_the_new(cli, signed):
    """Nothing half-written ever stands under the bundle's name, and what is left over is no obstacle."""
    changed = b"{}"
    old = (signed / "model.sig").read_bytes()
    command = [cli.binary, "sign", signed, "--key", "signer", "--passphrase-file", cli.passphrase_file,
               "--state", cli.state]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    moment = time.monotonic() - started  # kept near the moment of replacement by what the last kill hit
    outcomes = {"old": 0, "new": 0}
    for _ in range(40):
        (signed / "config.json").write_bytes(FILES["config.json"])
        (signed / "model.sig").write_bytes(old)
        (signed / "config.json").write_bytes(changed)
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(moment * random.uniform(0.7, 1.1))
        process.send_signal(signal.SIGKILL)
        process.wait()
        is_old = (signed / "model.sig").read_bytes() == old
        outcomes["old" if is_old else "new"] += 1
        moment *= 1.15 if is_old else 0.87
        verified = cli.run("verify", signed, "--json")
        answer = json.loads(verified.stdout)
        if is_old:
            assert answer["error"]["code"] == "signature.digest_mismatch", answer
            assert len(answer["findings"]) == 1
        else:
            assert answer["status"] == "verified", answer
    assert outcomes["old"] > 0 and outcomes["new"] > 0, outcomes


@pytest.mark.parametrize("options", [[], ["--hash", "blake3"], ["--shard-size", "16MB"]])
def test_verifying_takes_little_memory_whatever_the_size(cli, tmp_path, options):
    folder = tmp_path / "large"
    folder.mkdir()
    with open(folder / "weights.bin", "wb") as file:
        file.truncate(600 << 20)
    for i in range(500):
        (folder / f"part{i}").write_bytes(b"x" * i)
    cli.ok("sign", folder, "--key", "signer", "--passphrase-file", cli.passphrase_file, *options)
    # Measured from a small process: what a child inherits before it becomes another program counts too.
    code = """if True:
        import os, subprocess, sys
        process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        print(status, usage.ru_maxrss)
        """
    done = subprocess.run([sys.executable, "-c", code, cli.binary, "verify", folder, "--state", cli.state], capture_output=True,
                          text=True, check=True)
    status, peak_kb = map(int, done.stdout.split())
    assert status == 0 and peak_kb <= 32 << 10
