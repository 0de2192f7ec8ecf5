# SPDX-License-Identifier: Apache-2.0
"""Signatures in both directions with the real model-signing command, and with openssl alone.

What mlxguard signs, model-signing verifies; what model-signing signs, mlxguard verifies: over awkward
names, every curve, many files, a single file. Where one of the two is stricter, the test says so.
"""
import base64
import hashlib
import json
import os
import pathlib
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
PEER = ROOT / ".venv/bin/model_signing"
VECTORS = ROOT.parent / "shared/data/model-signing/spec/test-vectors/v1.0"
CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}

AWKWARD = {
    "config.json": b"{}",
    "a/b": b"1",
    "a-b": b"2",  # model-signing sorts by path components, the specification by bytes
    "with space/and more.bin": b"3",
    "\u00fcml\u00e4ut/\u65e5\u672c\u8a9e.bin": b"4",
    "decomposed e\u0301": b"5",
    "composed \u00e9": b"6",
    "party \U0001f389": b"7",
    "quo\"te": b"8",
    "apostrophe's": b"9",
    "back\\slash": b"10",
    "colon:name:0:5": b"11",
    "percent%2F..%2f": b"12",
    "-dash": b"13",
    ".hidden/.file": b"14",
    "..dots": b"15",
    "empty": b"",
    "d/e/e/p/e/r/t/h/a/n/u/s/u/a/l": b"16",
    "sub/.git": b"17",  # ignored at the top only
    "model.sig.txt": b"18",
}


def write_model(folder: pathlib.Path, files) -> pathlib.Path:
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder


@pytest.fixture
def awkward(tmp_path):
    return write_model(tmp_path / "model", AWKWARD)


def openssl_key(folder: pathlib.Path, curve: str):
    private, public = folder / f"{curve}.pem", folder / f"{curve}.pub"
    subprocess.run(["openssl", "ecparam", "-name", curve, "-genkey", "-noout", "-out", private], check=True)
    subprocess.run(["openssl", "ec", "-in", private, "-pubout", "-out", public], check=True, capture_output=True)
    return private, public


def peer(*args) -> subprocess.CompletedProcess:
    return subprocess.run([PEER, *map(str, args)], capture_output=True, text=True, timeout=120,
                          env={**os.environ, "PYTHONUTF8": "1"})


def peer_signs(model, private, *args, signature=None):
    done = peer("sign", "key", "--private_key", private, "--signature", signature or model / "model.sig", *args, model)
    assert done.returncode == 0, done.stdout + done.stderr


def peer_verifies(model, public, *args, signature=None) -> bool:
    done = peer("verify", "key", "--public_key", public, "--signature", signature or model / "model.sig", *args, model)
    succeeded = "Verification succeeded" in done.stdout + done.stderr
    assert succeeded == (done.returncode == 0), done.stdout + done.stderr
    return succeeded


def own_public_key(cli) -> pathlib.Path:
    return cli.state / "keys/signer.pub"


def statement_in(signature: pathlib.Path) -> dict:
    return json.loads(base64.b64decode(json.loads(signature.read_text())["dsseEnvelope"]["payload"]))


def test_the_peer_is_installed():
    done = peer("--version")
    assert done.returncode == 0, done.stderr
    assert "1.1.1" in done.stdout


def test_ours_is_verified_by_the_peer(cli, awkward):
    cli.sign(awkward)
    assert peer_verifies(awkward, own_public_key(cli))


@pytest.mark.parametrize("name", ["config.json", "\u00fcml\u00e4ut/\u65e5\u672c\u8a9e.bin", "colon:name:0:5"])
def test_the_peer_refuses_what_changed_under_our_signature(cli, awkward, name):
    cli.sign(awkward)
    (awkward / name).write_bytes(b"changed")
    assert not peer_verifies(awkward, own_public_key(cli))


def test_the_peer_refuses_our_signature_under_another_key(cli, awkward):
    cli.sign(awkward)
    cli.new_key("other")
    assert not peer_verifies(awkward, cli.state / "keys/other.pub")


@pytest.mark.parametrize("curve", CURVES)
def test_the_peers_is_verified_by_us(cli, awkward, tmp_path, curve):
    private, public = openssl_key(tmp_path, CURVES[curve])
    peer_signs(awkward, private)
    answer = cli.json("verify", awkward, "--public-key", public)
    assert answer["files"] == len(AWKWARD)
    assert answer["signer"] == hashlib.sha256(public.read_bytes()).hexdigest()
    assert answer["signer_name"] == public.stem
    assert answer["root_digest"] == statement_in(awkward / "model.sig")["subject"][0]["digest"]["sha256"]


@pytest.mark.parametrize("curve", CURVES)
def test_we_refuse_what_changed_under_the_peers_signature(cli, awkward, tmp_path, curve):
    private, public = openssl_key(tmp_path, CURVES[curve])
    peer_signs(awkward, private)
    (awkward / "a/b").write_bytes(b"changed")
    (awkward / "added").write_bytes(b"")
    (awkward / "empty").unlink()
    answer = cli.json("verify", awkward, "--public-key", public, exit_code=1)
    assert [(f["code"], f["subject"]) for f in answer["findings"]] == [
        ("signature.digest_mismatch", "a/b"),
        ("signature.file_missing", "empty"),
        ("signature.file_unsigned", "added"),
    ]


def test_without_its_key_the_peers_signature_is_not_trusted(cli, awkward, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    peer_signs(awkward, private)
    error = cli.json("verify", awkward, exit_code=1)["error"]
    assert error["code"] == "signature.untrusted_key"
    assert error["actual"] == hashlib.sha256(public.read_bytes()).hexdigest()


def test_many_files_in_both_directions(cli, tmp_path):
    model = write_model(tmp_path / "many", {f"{i % 13}/{i:04}.bin": bytes([i % 251]) * (i % 97) for i in range(700)})
    cli.sign(model)
    assert peer_verifies(model, own_public_key(cli))
    private, public = openssl_key(tmp_path, "prime256v1")
    peer_signs(model, private)
    assert cli.json("verify", model, "--public-key", public)["files"] == 700


def test_a_single_file_in_both_directions(cli, tmp_path):
    file = tmp_path / "net \u00fc.mlxfn"
    file.write_bytes(b"bytes")
    signature = tmp_path / "net \u00fc.mlxfn.sig"
    cli.sign(file)
    assert peer_verifies(file, own_public_key(cli), signature=signature)
    private, public = openssl_key(tmp_path, "prime256v1")
    peer_signs(file, private, signature=signature)
    assert cli.json("verify", file, "--public-key", public)["files"] == 1
    file.write_bytes(b"other")
    assert not peer_verifies(file, public, signature=signature)
    error = cli.json("verify", file, "--public-key", public, exit_code=1)["error"]
    assert error["code"] == "signature.digest_mismatch"


def test_paths_that_the_peer_ignored_are_ignored_by_us_and_never_signed(cli, awkward, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    (awkward / "cache").mkdir()
    (awkward / "cache/x").write_bytes(b"x")
    (awkward / ".gitignore").write_bytes(b"x")
    peer_signs(awkward, private, "--ignore-paths", awkward / "cache")
    assert cli.json("verify", awkward, "--public-key", public)["files"] == len(AWKWARD)
    (awkward / "cache2").write_bytes(b"x")
    assert cli.json("verify", awkward, "--public-key", public, exit_code=1)["error"]["subject"] == "cache2"


def test_links_that_the_signature_records_are_followed_inside_the_model_only(cli, awkward, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    (awkward / "link").symlink_to("config.json")
    peer_signs(awkward, private, "--allow_symlinks")
    assert peer_verifies(awkward, public, "--allow_symlinks")
    assert cli.json("verify", awkward, "--public-key", public)["status"] == "verified"
    # The same bytes, outside: the digests hold, and the peer follows.
    (tmp_path / "elsewhere").write_bytes((awkward / "config.json").read_bytes())
    (awkward / "link").unlink()
    (awkward / "link").symlink_to(tmp_path / "elsewhere")
    assert peer_verifies(awkward, public, "--allow_symlinks")
    error = cli.json("verify", awkward, "--public-key", public, exit_code=1)["error"]
    assert (error["code"], error["subject"]) == ("artifact.symlink", "link")


def test_an_empty_model_that_the_peer_signs_is_refused_by_us(cli, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    (tmp_path / "empty").mkdir()
    peer_signs(tmp_path / "empty", private)
    assert peer_verifies(tmp_path / "empty", public)
    error = cli.json("verify", tmp_path / "empty", "--public-key", public, exit_code=1)["error"]
    assert error["code"] == "signature.no_resources"


def peer_api_signs(model, private, hashing: str):
    """Serialisations that the peer's command does not offer."""
    script = f"""
import model_signing
config = model_signing.hashing.Config()
config{hashing}.set_ignored_paths(paths=["model.sig"])
model_signing.signing.Config().use_elliptic_key_signer(private_key={str(private)!r}).set_hashing_config(
    config).sign({str(model)!r}, {str(model / 'model.sig')!r})
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr


def test_blake2b_of_the_peer_is_verified_by_us(cli, awkward, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    peer_api_signs(awkward, private, '.use_file_serialization(hashing_algorithm="blake2")')
    assert cli.json("verify", awkward, "--public-key", public)["status"] == "verified"
    (awkward / "a/b").write_bytes(b"changed")
    error = cli.json("verify", awkward, "--public-key", public, exit_code=1)["error"]
    assert error["code"] == "signature.digest_mismatch"
    assert error["actual"] == hashlib.blake2b(b"changed").hexdigest()


def test_shards_of_the_peer_cover_no_empty_file_and_we_say_so(cli, awkward, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    empty = [name for name, data in AWKWARD.items() if not data]
    assert empty
    peer_api_signs(awkward, private, ".use_shard_serialization(shard_size=3)")
    error = cli.json("verify", awkward, "--public-key", public, exit_code=1)["error"]
    assert error["code"] == "signature.file_unsigned" and error["subject"] in empty


def test_shards_of_the_peer_are_verified_by_us(cli, awkward, tmp_path):
    private, public = openssl_key(tmp_path, "prime256v1")
    for name, data in AWKWARD.items():
        if not data:
            (awkward / name).unlink()
    (awkward / "several").write_bytes(b"0123456789")
    peer_api_signs(awkward, private, ".use_shard_serialization(shard_size=3)")
    assert cli.json("verify", awkward, "--public-key", public)["status"] == "verified"
    (awkward / "several").write_bytes(b"0123_56789")
    error = cli.json("verify", awkward, "--public-key", public, exit_code=1)["error"]
    assert error["code"] == "signature.digest_mismatch"


def test_openssl_alone_verifies_our_signature(cli, awkward, tmp_path):
    """Independent of both: the DSSE encoding by hand, the digests by hashlib."""
    cli.sign(awkward)
    text = (awkward / "model.sig").read_text()
    bundle = json.loads(text)
    envelope = bundle["dsseEnvelope"]
    payload = base64.b64decode(envelope["payload"], validate=True)
    head = f"DSSEv1 {len(envelope['payloadType'])} {envelope['payloadType']} {len(payload)} ".encode()
    (tmp_path / "pae").write_bytes(head + payload)
    (tmp_path / "sig").write_bytes(base64.b64decode(envelope["signatures"][0]["sig"], validate=True))
    subprocess.run(["openssl", "dgst", "-sha256", "-verify", own_public_key(cli), "-signature", tmp_path / "sig",
                    tmp_path / "pae"], check=True, capture_output=True)
    assert bundle["verificationMaterial"]["publicKey"]["hint"] == hashlib.sha256(
        own_public_key(cli).read_bytes()).hexdigest()
    statement = json.loads(payload)
    resources = statement["predicate"]["resources"]
    assert {r["name"]: r["digest"] for r in resources} == {
        name: hashlib.sha256(data).hexdigest() for name, data in AWKWARD.items()}
    assert [r["name"] for r in resources] == sorted(AWKWARD)  # code points, as the specification says
    joined = b"".join(bytes.fromhex(r["digest"]) for r in resources)
    assert statement["subject"] == [{"name": "model", "digest": {"sha256": hashlib.sha256(joined).hexdigest()}}]


def signed_by(private: pathlib.Path, public: pathlib.Path, payload: bytes) -> str:
    """A valid bundle around any payload."""
    kind = "application/vnd.in-toto+json"
    pae = f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload
    sig = subprocess.run(["openssl", "dgst", "-sha256", "-sign", private], input=pae, capture_output=True,
                         check=True).stdout
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": {"hint": hashlib.sha256(public.read_bytes()).hexdigest()}},
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": kind,
                         "signatures": [{"sig": base64.b64encode(sig).decode()}]}})


VECTOR_CODES = {
    # The keys of the vectors are not published: a bundle that is read to its end names an unknown signer.
    "valid/key.bundle.json": "signature.untrusted_key",
    "valid/certificate.bundle.json": "signature.material_unsupported",
    "valid/sigstore.bundle.json": "signature.material_unsupported",
    "invalid/empty.bundle.json": "signature.bundle_syntax",
    "invalid/missing-envelope.bundle.json": "signature.bundle_field",
    "invalid/missing-verification-material.bundle.json": "signature.bundle_field",
    "invalid/missing-tlog-entries.bundle.json": "signature.material_unsupported",
    "invalid-payload/wrong-predicate.bundle.json": "signature.untrusted_key",
}


@pytest.mark.skipif(not VECTORS.exists(), reason="the specification's vectors are not here")
def test_every_vector_is_listed():
    assert {str(path.relative_to(VECTORS)) for path in VECTORS.rglob("*.json")} == set(VECTOR_CODES)


@pytest.mark.skipif(not VECTORS.exists(), reason="the specification's vectors are not here")
@pytest.mark.parametrize("vector", VECTOR_CODES)
def test_vectors_of_the_specification(cli, tmp_path, vector):
    model = write_model(tmp_path / "model", {"signme-1": b"1", "signme-2": b"2"})
    (model / "model.sig").write_bytes((VECTORS / vector).read_bytes())
    assert cli.json("verify", model, exit_code=1)["error"]["code"] == VECTOR_CODES[vector]


@pytest.mark.skipif(not VECTORS.exists(), reason="the specification's vectors are not here")
@pytest.mark.parametrize("vector, code", [
    ("valid/key.bundle.json", "signature.digest_mismatch"),
    ("valid/certificate.bundle.json", "signature.digest_mismatch"),
    ("valid/sigstore.bundle.json", "signature.digest_mismatch"),
    ("invalid-payload/wrong-predicate.bundle.json", "signature.predicate_type"),
])
def test_statements_of_the_specification_signed_by_a_trusted_key(cli, tmp_path, vector, code):
    private, public = openssl_key(tmp_path, "prime256v1")
    payload = base64.b64decode(json.loads((VECTORS / vector).read_text())["dsseEnvelope"]["payload"])
    names = [r["name"] for r in json.loads(payload)["predicate"]["resources"]]
    model = write_model(tmp_path / "model", {name: b"other bytes" for name in names})
    (model / "model.sig").write_text(signed_by(private, public, payload))
    answer = cli.json("verify", model, "--public-key", public, exit_code=1)
    assert answer["error"]["code"] == code
    if code == "signature.digest_mismatch":
        assert sorted(f["subject"] for f in answer["findings"]) == sorted(names)


@pytest.mark.skipif(not VECTORS.exists(), reason="the specification's schemas are not here")
def test_what_we_write_fits_the_schemas(cli, awkward):
    import jsonschema
    import referencing
    schemas = [json.loads(path.read_text()) for path in (VECTORS.parents[1] / "schemas/v1.0").glob("*.json")]
    registry = referencing.Registry().with_resources(
        (schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas)
    cli.sign(awkward)
    for kind, instance in (("bundle", json.loads((awkward / "model.sig").read_text())),
                           ("statement", statement_in(awkward / "model.sig"))):
        schema = next(s for s in schemas if s["$id"].endswith(f"/{kind}/v1.0/schema"))
        jsonschema.Draft202012Validator(schema, registry=registry).validate(instance)
