# SPDX-License-Identifier: Apache-2.0
"""The specification's test vectors and JSON schemas, through `mlxguard compat model-signing`: what we write is
valid by every schema, and each vector is taken as far as it can be without its signer's key."""
import base64
import json

import pytest

from conftest import SHARED
from model_signing_peer import CURVES, bundle_around, new_chain, new_key, statement_in, write_model

SPEC = SHARED / "data/model-signing/spec"
VECTORS = SPEC / "test-vectors/v1.0"
SCHEMAS = {path.name.split(".")[0]: json.loads(path.read_text()) for path in (SPEC / "schemas/v1.0").glob("*.json")}

pytestmark = pytest.mark.skipif(not VECTORS.exists(), reason="the specification is not here")

# (code with a key, code with certificates). The vectors' keys and authorities are not published, so that one that
# is read to its end names a signer that nobody trusts.
EXPECTED = {
    "valid/key.bundle.json": ("signature.untrusted_key", "signature.material_unsupported"),
    "valid/certificate.bundle.json": ("signature.material_unsupported", "certificate.untrusted"),
    "valid/sigstore.bundle.json": ("signature.material_unsupported", "signature.material_unsupported"),
    "invalid/empty.bundle.json": ("signature.bundle_syntax", "signature.bundle_syntax"),
    "invalid/missing-envelope.bundle.json": ("signature.bundle_field", "signature.bundle_field"),
    "invalid/missing-verification-material.bundle.json": ("signature.bundle_field", "signature.bundle_field"),
    "invalid/missing-tlog-entries.bundle.json": ("signature.material_unsupported", "signature.material_unsupported"),
    "invalid-payload/wrong-predicate.bundle.json": ("signature.untrusted_key", "signature.material_unsupported"),
}


def validate(kind, instance):
    import jsonschema
    import referencing
    registry = referencing.Registry().with_resources(
        (schema["$id"], referencing.Resource.from_contents(schema)) for schema in SCHEMAS.values())
    jsonschema.Draft202012Validator(SCHEMAS[kind], registry=registry).validate(instance)


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    return {"key": new_key(folder), "chain": new_chain(folder),
            **{curve: new_key(folder, curve, f"of-{curve}") for curve in CURVES}}


def verify(cli, keys, bundle, model, method, public=None):
    trusted = ["--public-key", public or keys["key"][1]] if method == "key" else ["--certificate-chain",
                                                                                 keys["chain"]["root"]]
    done = cli.run("compat", "model-signing", "verify", method, *trusted, "--signature", bundle, model, "--json")
    assert done.returncode in (0, 1)
    return (json.loads(done.stdout).get("error") or {}).get("code")


def test_every_vector_and_schema_is_here():
    assert {str(path.relative_to(VECTORS)) for path in VECTORS.rglob("*.json")} == set(EXPECTED)
    assert set(SCHEMAS) == {"bundle", "envelope", "predicate", "statement"}


@pytest.mark.parametrize("vector", EXPECTED)
@pytest.mark.parametrize("method", ["key", "certificate"])
def test_vector(session_cli, keys, tmp_path, vector, method):
    model = write_model(tmp_path / "model", {"signme-1": b"1", "signme-2": b"2"})
    assert verify(session_cli, keys, VECTORS / vector, model, method) == EXPECTED[vector][method == "certificate"]


@pytest.mark.parametrize("vector", [vector for vector in EXPECTED if vector.startswith("valid/")])
def test_statements_of_valid_vectors_are_read_to_their_end(session_cli, keys, tmp_path, vector):
    """Signed anew: every file's digest is compared, and all differ."""
    payload = base64.b64decode(json.loads((VECTORS / vector).read_text())["dsseEnvelope"]["payload"])
    validate("statement", json.loads(payload))
    names = [resource["name"] for resource in json.loads(payload)["predicate"]["resources"]]
    model = write_model(tmp_path / "model", {name: b"other bytes" for name in names})
    (tmp_path / "s.sig").write_text(bundle_around(*keys["key"], payload))
    assert verify(session_cli, keys, tmp_path / "s.sig", model, "key") == "signature.digest_mismatch"


def test_the_wrong_predicate_is_the_reason_once_the_signature_is_good(session_cli, keys, tmp_path):
    vector = VECTORS / "invalid-payload/wrong-predicate.bundle.json"
    payload = base64.b64decode(json.loads(vector.read_text())["dsseEnvelope"]["payload"])
    (tmp_path / "s.sig").write_text(bundle_around(*keys["key"], payload))
    model = write_model(tmp_path / "model", {"a": b"1"})
    assert verify(session_cli, keys, tmp_path / "s.sig", model, "key") == "signature.predicate_type"


@pytest.mark.parametrize("signer", [*CURVES, "certificate"])
@pytest.mark.parametrize("more", [[], ["--hash-algorithm", "blake2b"], ["--hash-algorithm", "blake3"],
                                  ["--shard-size", "2"], ["--ignore-paths", "model/skip"], ["--no-ignore-git-paths"],
                                  ["--allow-symlinks"]], ids=" ".join)
def test_what_we_write_is_valid_by_every_schema(session_cli, keys, tmp_path, signer, more):
    write_model(tmp_path / "model", {"a": b"12345", "b/\u00fc": b"", "skip": b"x", ".gitignore": b"y"})
    if signer == "certificate":
        chain = keys["chain"]
        how = ["certificate", "--private-key", chain["leaf_key"], "--signing-certificate", chain["leaf"],
               "--certificate-chain", chain["intermediate"]]
    else:
        how = ["key", "--private-key", keys[signer][0]]
    session_cli.ok("compat", "model-signing", "sign", *how, *more, "model", cwd=tmp_path)
    bundle = json.loads((tmp_path / "model.sig").read_text())
    statement = statement_in(tmp_path / "model.sig")
    validate("bundle", bundle)
    validate("envelope", bundle["dsseEnvelope"])
    validate("statement", statement)
    validate("predicate", statement["predicate"])
