# SPDX-License-Identifier: Apache-2.0
"""What `mlxguard sign` lets a signer choose, and what it remembers so that signing again is quick."""
import base64
import json
import os
import pathlib
import subprocess
import time

import pytest

from test_trust_certificates import Authority

SETTLE_SECONDS = 2.2  # what changed later than that before it was hashed is hashed again


@pytest.fixture
def model(tmp_path) -> pathlib.Path:
    folder = tmp_path / "model"
    (folder / "notes").mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}" + b"w" * 100_000)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "notes" / "draft.txt").write_bytes(b"not yet")
    return folder


def sign(cli, model, *args, key="signer", exit_code=0):
    return cli.json("sign", model, "--key", key, "--passphrase-file", cli.passphrase_file, *args, exit_code=exit_code)


def statement_of(bundle: pathlib.Path) -> dict:
    payload = json.loads(bundle.read_text())["dsseEnvelope"]["payload"]
    return json.loads(base64.b64decode(payload))["predicate"]


@pytest.mark.parametrize("args, method", [
    ((), {"method": "files", "hash_type": "sha256"}),
    (("--hash", "blake3"), {"method": "files", "hash_type": "blake3"}),
    (("--hash", "blake2b"), {"method": "files", "hash_type": "blake2b"}),
    (("--shard-size", "64kB"), {"method": "shards", "shard_size": 65536}),
])
def test_the_signer_chooses_what_the_digests_are_over(cli, model, args, method):
    sign(cli, model, *args)
    serialization = statement_of(model / "model.sig")["serialization"]
    assert {name: serialization[name] for name in method} == method
    cli.ok("verify", model)
    weights = model / "weights.safetensors"
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert cli.json("verify", model, exit_code=1)["error"]["code"] == "signature.digest_mismatch"


def test_a_digest_or_a_size_that_is_none(cli, model):
    for args in (("--hash", "md5"), ("--shard-size", "huge"), ("--ignore", "../x"), ("--ignore", "*.txt")):
        done = cli.run("sign", model, "--key", "signer", "--passphrase-file", cli.passphrase_file, *args)
        assert done.returncode == 2, (args, done.stderr)
    assert not (model / "model.sig").exists()


def test_signing_again_hashes_only_what_changed(cli, model):
    time.sleep(SETTLE_SECONDS)
    first = sign(cli, model)
    assert first["hashed_bytes"] == first["bytes"]
    assert sign(cli, model)["hashed_bytes"] == 0
    (model / "config.json").write_bytes(b'{"a":1}')
    again = sign(cli, model)
    assert again["hashed_bytes"] == 7 and again["root_digest"] != first["root_digest"]
    cli.ok("verify", model)
    assert sign(cli, model, "--hash-again")["hashed_bytes"] == again["bytes"]
    assert sign(cli, model, "--hash", "blake3")["hashed_bytes"] == again["bytes"]


def test_bytes_changed_behind_the_same_size_and_time_are_hashed(cli, model):
    time.sleep(SETTLE_SECONDS)
    weights = model / "weights.safetensors"
    status = weights.stat()
    sign(cli, model)
    with open(weights, "r+b") as file:
        file.seek(-1, 2)
        file.write(b"x")
    os.utime(weights, ns=(status.st_atime_ns, status.st_mtime_ns))
    assert sign(cli, model)["hashed_bytes"] == status.st_size
    cli.ok("verify", model)


def test_remembered_digests_that_somebody_else_wrote_are_not_believed(cli, model):
    time.sleep(SETTLE_SECONDS)
    whole = sign(cli, model)["bytes"]
    remembered = list((cli.state / "digests").iterdir())
    assert len(remembered) == 1 and remembered[0].stat().st_mode & 0o777 == 0o600
    text = remembered[0].read_text()
    digit = text.rindex('"') - 1
    remembered[0].write_text(text[:digit] + ("0" if text[digit] != "0" else "1") + text[digit + 1:])
    assert sign(cli, model)["hashed_bytes"] == whole


def test_what_is_not_signed_is_on_record_and_may_change(cli, model):
    sign(cli, model, "--ignore", "notes")
    assert "notes" in statement_of(model / "model.sig")["serialization"]["ignore_paths"]
    (model / "notes" / "draft.txt").write_bytes(b"now")
    cli.ok("verify", model)


def test_a_further_signer_signs_the_first_ones_list(cli, model):
    cli.new_key("second")
    sign(cli, model, "--ignore", "notes", "--hash", "blake3", "--shard-size", "64kB")
    sign(cli, model, "--add", key="second")
    first, second = (statement_of(model / name)["serialization"] for name in ("model.sig", "model.sig.d/second.sig"))
    first, second = (dict(one, ignore_paths=sorted(one["ignore_paths"])) for one in (first, second))
    assert first == second
    cli.ok("trust", "add", "s", "--path", model, "--signer", "signer", "--signer", "second", "--threshold", "2")
    cli.ok("verify", model)
    done = cli.run("sign", model, "--key", "second", "--add", "--hash", "sha256", "--passphrase-file", cli.passphrase_file)
    assert done.returncode == 2  # the first signer chose


def test_a_link_is_signed_only_when_asked(cli, model):
    (model / "alias.json").symlink_to("config.json")
    assert sign(cli, model, exit_code=1)["error"]["code"] == "artifact.symlink"
    sign(cli, model, "--follow-links")
    assert statement_of(model / "model.sig")["serialization"]["allow_symlinks"] is True


@pytest.fixture
def certified(cli, tmp_path):
    """The key `ci` of the key folder, and the authority that certified it."""
    authority = Authority(tmp_path, "company")
    stem = authority.certify("ci", "ci@example.org")
    authority.openssl("pkcs8", "-topk8", "-in", f"{stem}.key", "-out", f"{stem}.p8", "-passout", f"file:{cli.passphrase_file}")
    cli.ok("key", "import", "ci", f"{stem}.p8", "--passphrase-file", cli.passphrase_file)
    return authority, stem


def test_a_certificate_goes_into_the_signature(cli, model, certified):
    authority, stem = certified
    sign(cli, model, "--certificate", f"{stem}.pem", "--certificate-chain", authority.root, key="ci")
    chain = json.loads((model / "model.sig").read_text())["verificationMaterial"]["x509CertificateChain"]["certificates"]
    assert len(chain) == 2
    cli.ok("trust", "add", "s", "--path", model, "--ca", authority.root, "--identity", "ci@example.org")
    signer = cli.json("trust", "check", model)["trust"]["signers"][0]
    assert signer["kind"] == "certificate" and signer["identities"] == ["email:ci@example.org"]


def test_a_certificate_of_another_key_signs_nothing(cli, model, certified):
    _, stem = certified
    error = sign(cli, model, "--certificate", f"{stem}.pem", exit_code=1)["error"]
    assert error["code"] == "certificate.invalid" and "another key" in error["message"]
    assert not (model / "model.sig").exists()


@pytest.mark.parametrize("place", [(), ("--add",)])
def test_a_full_disk_leaves_the_old_signature(cli, tmp_path, place):
    """A model on a small file system of its own, filled to the last block; ENOSPC, not a stand-in."""
    disk = tmp_path / "disk"
    disk.mkdir()
    cli.new_key("second")
    signing = f"sign {disk}/m --passphrase-file {cli.passphrase_file} --state {cli.state}"
    script = f"""
        set -e
        mount -t tmpfs -o size=1m tmpfs {disk}
        mkdir {disk}/m
        for i in $(seq 60); do echo "$i" > {disk}/m/file-of-some-length-$i; done
        "$@" {signing} --key signer
        cp {disk}/m/model.sig {tmp_path}/old
        dd if=/dev/zero of={disk}/filler bs=4096 2>/dev/null || true
        "$@" {signing} --key second {' '.join(place)} && exit 40
        test $? = 3
        cmp {disk}/m/model.sig {tmp_path}/old
        test -z "$(find {disk}/m -name '*.sig*' -type f ! -name model.sig)"
        rm {disk}/filler
        "$@" verify {disk}/m --state {cli.state} --json
    """
    done = subprocess.run(["unshare", "-m", "bash", "-c", script, "-", str(cli.binary)], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "[io.no_space]" in done.stderr
    assert json.loads(done.stdout.splitlines()[-1])["signer_name"] == "signer"
    assert cli.events("--type", "model.signed")[0]["code"] == "io.no_space"


def test_a_kill_at_any_moment_leaves_a_signature_that_verifies(cli, model):
    """The old one or the new one; what the killed signer left behind is no reason to refuse."""
    sign(cli, model)
    command = [cli.binary, "sign", model, "--key", "signer", "--passphrase-file", cli.passphrase_file, "--hash-again",
               "--state", cli.state]
    begun = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    whole = time.monotonic() - begun
    for turn in range(12):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(whole * (0.3 + turn / 12))
        process.kill()
        process.wait()
        cli.ok("verify", model)
    (model / ".model.sig.new").write_text("half of a bund")
    cli.ok("verify", model)
    sign(cli, model)
    assert not (model / ".model.sig.new").exists()
    cli.ok("verify", model)
