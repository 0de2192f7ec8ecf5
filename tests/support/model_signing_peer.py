# SPDX-License-Identifier: Apache-2.0
"""The Python package model-signing as a peer of tests: its library in this process, its command only where
the command itself is the point. And openssl, to make keys and certificates."""
import base64
import hashlib
import json
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[2]
COMMAND = ROOT / ".venv/bin/model_signing"
CURVES = {"P-256": "prime256v1", "P-384": "secp384r1", "P-521": "secp521r1"}
PAYLOAD_TYPE = "application/vnd.in-toto+json"


def command(*args, cwd=None) -> subprocess.CompletedProcess:
    return subprocess.run([COMMAND, *map(str, args)], capture_output=True, text=True, timeout=120, cwd=cwd,
                          env={**os.environ, "PYTHONUTF8": "1"})


def openssl(*args, input=None) -> bytes:
    return subprocess.run(["openssl", *map(str, args)], input=input, check=True, capture_output=True).stdout


def new_key(folder: pathlib.Path, curve="P-256", name=None):
    """Paths of the private and the public key."""
    name = name or curve
    private, public = folder / f"{name}.pem", folder / f"{name}.pub"
    openssl("ecparam", "-name", CURVES[curve], "-genkey", "-noout", "-out", private)
    openssl("ec", "-in", private, "-pubout", "-out", public)
    return private, public


def new_chain(folder: pathlib.Path, days=30) -> dict:
    """Root, intermediate and leaf, with the leaf's key."""
    made = {}

    def certificate(name, issuer, extensions):
        key, request, out = folder / f"{name}.key", folder / f"{name}.csr", folder / f"{name}.crt"
        openssl("ecparam", "-name", "prime256v1", "-genkey", "-noout", "-out", key)
        (folder / f"{name}.ext").write_text(extensions)
        openssl("req", "-new", "-key", key, "-subj", f"/O=Example/CN={name}", "-out", request)
        signer = ["-signkey", key] if issuer is None else [
            "-CA", folder / f"{issuer}.crt", "-CAkey", folder / f"{issuer}.key", "-CAcreateserial"]
        openssl("x509", "-req", "-in", request, *signer, "-days", str(days), "-sha256",
                "-extfile", folder / f"{name}.ext", "-out", out)
        made[name] = out
        made[name + "_key"] = key

    authority = "basicConstraints=critical,CA:TRUE\nkeyUsage=critical,keyCertSign,cRLSign\n" \
                "subjectKeyIdentifier=hash\n"
    certificate("root", None, authority)
    certificate("intermediate", "root", authority + "authorityKeyIdentifier=keyid\n")
    certificate("leaf", "intermediate",
                "basicConstraints=critical,CA:FALSE\nkeyUsage=critical,digitalSignature\n"
                "extendedKeyUsage=codeSigning\nsubjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
                "subjectAltName=email:release@example.org\n")
    return made


def dated_leaf(folder: pathlib.Path, chain: dict, name: str, begin: str, end: str) -> pathlib.Path:
    """A leaf with these dates, of the chain's intermediate."""
    request, out = folder / f"{name}.csr", folder / f"{name}.crt"
    subprocess.run(["openssl", "req", "-new", "-key", chain["leaf_key"], "-subj", f"/CN={name}", "-out", request], check=True)
    (folder / "ca").mkdir(exist_ok=True)
    (folder / "ca/index").write_text("")
    (folder / "ca/config").write_text(
        "[ca]\ndefault_ca=a\n[a]\nnew_certs_dir=" + str(folder / "ca") + "\ndatabase=" + str(folder / "ca/index") +
        "\nrand_serial=yes\ndefault_md=sha256\npolicy=p\nx509_extensions=e\n[p]\ncommonName=supplied\n"
        "[e]\nkeyUsage=critical,digitalSignature\nbasicConstraints=critical,CA:FALSE\n")
    subprocess.run(["openssl", "ca", "-batch", "-config", folder / "ca/config", "-cert", chain["intermediate"], "-keyfile",
                    chain["intermediate_key"], "-in", request, "-out", out, "-startdate", begin, "-enddate", end, "-notext"],
                   check=True, capture_output=True)
    return out


def revocations(chain: dict, folder: pathlib.Path, issuer: str, revoked=None, others=0) -> pathlib.Path:
    """A revocation list of an authority, in PEM, with so many entries besides."""
    place = folder / issuer
    place.mkdir(exist_ok=True)
    (place / "index").write_text("".join(f"R\t400101000000Z\t260101000000Z\t{i + 1:040X}\tunknown\t/CN={i}\n" for i in range(others)))
    (place / "number").write_text("01\n")
    (place / "config").write_text(f"[ca]\ndefault_ca=a\n[a]\ndatabase={place}/index\ncrlnumber={place}/number\n"
                                  "default_md=sha256\ndefault_crl_days=7\n")
    common = ["-config", place / "config", "-cert", chain[issuer], "-keyfile", chain[f"{issuer}_key"]]
    if revoked is not None:
        openssl("ca", *common, "-revoke", revoked)
    openssl("ca", *common, "-gencrl", "-out", place / "list.pem")
    (place / "list.pem").chmod(0o600)
    return place / "list.pem"


def hashing(signature: pathlib.Path, model: pathlib.Path, algorithm=None, shard_size=None, **kwargs):
    """As the peer's command makes it: the signature and git's own files are left out."""
    import model_signing
    config = model_signing.hashing.Config()
    if shard_size is not None:
        config.use_shard_serialization(hashing_algorithm=algorithm or "sha256", shard_size=shard_size)
    elif algorithm is not None:
        config.use_file_serialization(hashing_algorithm=algorithm)
    ignored = [signature.relative_to(model)] if model in signature.parents else []
    config.set_ignored_paths(paths=ignored, ignore_git_paths=kwargs.get("ignore_git_paths", True))
    config.set_allow_symlinks(kwargs.get("allow_symlinks", False))
    return config


def sign(model, signature, private=None, chain=None, **kwargs):
    import model_signing
    config = model_signing.signing.Config()
    if chain is not None:
        config.use_certificate_signer(private_key=chain["leaf_key"], signing_certificate=chain["leaf"],
                                      certificate_chain=[chain["intermediate"]])
    else:
        config.use_elliptic_key_signer(private_key=private)
    config.set_hashing_config(hashing(signature, model, **kwargs)).sign(model, signature)


def verifies(model, signature, public=None, chain=None, **kwargs) -> bool:
    """As the peer's command does it; what it refuses it refuses by whatever exception comes up."""
    import model_signing
    config = model_signing.verifying.Config()
    if chain is not None:
        config.use_certificate_verifier(certificate_chain=[chain["root"]])
    else:
        config.use_elliptic_key_verifier(public_key=public)
    config.set_hashing_config(hashing(signature, model, **kwargs))
    try:
        config.verify(model, signature)
    except Exception:  # noqa: BLE001
        return False
    return True


def statement_in(signature: pathlib.Path) -> dict:
    return json.loads(base64.b64decode(json.loads(signature.read_text())["dsseEnvelope"]["payload"]))


def encoded(payload: bytes, kind=PAYLOAD_TYPE) -> bytes:
    return f"DSSEv1 {len(kind)} {kind} {len(payload)} ".encode() + payload


def bundle_around(private: pathlib.Path, public: pathlib.Path, payload: bytes, digest="sha256", **material) -> str:
    """A valid bundle around any payload."""
    signed = openssl("dgst", f"-{digest}", "-sign", private, input=encoded(payload))
    key = material or {"hint": hashlib.sha256(public.read_bytes()).hexdigest()}
    return json.dumps({
        "mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
        "verificationMaterial": {"publicKey": key},
        "dsseEnvelope": {"payload": base64.b64encode(payload).decode(), "payloadType": PAYLOAD_TYPE,
                         "signatures": [{"sig": base64.b64encode(signed).decode()}]}})


def statement_over(files: dict[str, bytes], **serialization) -> dict:
    """An honest statement, to be spoiled by the caller."""
    resources = [{"name": name, "algorithm": "sha256", "digest": hashlib.sha256(data).hexdigest()}
                 for name, data in sorted(files.items())]
    return with_root({
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": "model", "digest": {"sha256": ""}}],
        "predicateType": "https://model_signing/signature/v1.0",
        "predicate": {"serialization": {"method": "files", "hash_type": "sha256", "allow_symlinks": False,
                                        "ignore_paths": [], **serialization},
                      "resources": resources}})


def with_root(statement: dict) -> dict:
    joined = b"".join(bytes.fromhex(r["digest"]) for r in statement["predicate"]["resources"])
    statement["subject"][0]["digest"]["sha256"] = hashlib.sha256(joined).hexdigest()
    return statement


def write_model(folder: pathlib.Path, files: dict[str, bytes]) -> pathlib.Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, data in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(data)
    return folder
