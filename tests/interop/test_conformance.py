# SPDX-License-Identifier: Apache-2.0
"""The cases of the public conformance suite model-signing-conformance, driven through `mlxguard compat`.

A checkout of the suite is data: its configurations, models, keys and bundles. Where it is says
MLXGUARD_CONFORMANCE_SUITE; without one a stand-in of the same cases is made (support/conformance_suite.py). Every
refusal has to be for the right reason, so each case that must fail has its error code here; a case that the suite
gains and this table lacks is a failure.
"""
import base64
import hashlib
import json
import os
import pathlib
import shutil

import pytest

import conformance_suite
from conftest import SHARED
from model_signing_peer import bundle_around, new_key

SCHEMAS = SHARED / "data/model-signing/spec/schemas/v1.0"

# None: it must succeed. Else the code of the refusal, of `sign-model` for round trips.
CASES = {
    "roundtrip/certificate-multi-file": None,
    "roundtrip/certificate-self-signed": None,
    "roundtrip/certificate-simple": None,
    "roundtrip/key-binary-content": None,
    "roundtrip/key-default-ignores": None,
    "roundtrip/key-dotfile-included": None,
    "roundtrip/key-empty-file": None,
    "roundtrip/key-empty-model-rejected": "artifact.empty",
    "roundtrip/key-files-in-hidden-dir": None,
    "roundtrip/key-ignore-paths": None,
    "roundtrip/key-ignore-unsigned": None,
    "roundtrip/key-multi-file": None,
    "roundtrip/key-p384": None,
    "roundtrip/key-p521": None,
    "roundtrip/key-sig-inside-model": None,
    "roundtrip/key-simple": None,
    "roundtrip/key-simple-deterministic": None,
    "roundtrip/key-single-file": None,
    "roundtrip/key-special-chars-path": None,
    "roundtrip/key-symlink-cycle": "artifact.symlink",
    "roundtrip/key-symlink-default-rejected": "artifact.symlink",
    "roundtrip/key-symlink-outside-root": "artifact.symlink",
    "roundtrip/key-unicode-filename": None,
    "verify/historical/historical-v0.2.0-certificate": None,
    "verify/historical/historical-v0.3.1-certificate": None,
    "verify/historical/historical-v0.3.1-elliptic-key": None,
    "verify/historical/historical-v1.0.0-certificate": None,
    "verify/historical/historical-v1.0.0-elliptic-key": None,
    "verify/historical/historical-v1.0.1-certificate": None,
    "verify/historical/historical-v1.0.1-elliptic-key": None,
    "verify/historical/historical-v1.1.0-certificate": None,
    "verify/historical/historical-v1.1.0-elliptic-key": None,
    "verify/negative/certificate-expired_fail": "certificate.expired",
    "verify/negative/certificate-simple-wrong-ca_fail": "certificate.untrusted",
    "verify/negative/key-simple-corrupted-bundle_fail": "signature.bundle_syntax",
    "verify/negative/key-simple-extra-file_fail": "signature.file_unsigned",
    "verify/negative/key-simple-missing-file_fail": "signature.file_missing",
    "verify/negative/key-simple-no-signature_fail": "signature.count",
    "verify/negative/key-simple-tampered-content_fail": "signature.digest_mismatch",
    "verify/negative/key-simple-truncated-bundle_fail": "signature.bundle_syntax",
    "verify/negative/key-simple-wrong-key_fail": "signature.untrusted_key",
    "verify/negative/key-simple-wrong-mediatype_fail": "signature.media_type",
    "verify/negative/key-verify-as-certificate_fail": "signature.material_unsupported",
    "verify/negative/malformed-empty-bundle_fail": "signature.bundle_syntax",
    "verify/negative/malformed-empty-resources_fail": "signature.invalid",
    "verify/negative/malformed-missing-envelope_fail": "signature.bundle_field",
    "verify/negative/malformed-no-predicate_fail": "signature.invalid",
    "verify/negative/malformed-no-subject_fail": "signature.invalid",
    "verify/negative/malformed-wrong-payload-type_fail": "signature.payload_type",
    "verify/negative/malformed-wrong-predicate_fail": "signature.invalid",
    "verify/negative/malformed-wrong-statement-type_fail": "signature.invalid",
    "verify/negative/sigstore-verify-as-key_fail": "signature.material_unsupported",
    "verify/positive/certificate-simple": None,
    "verify/positive/certificate-simple-go": None,
    "verify/positive/key-multi-file": None,
    "verify/positive/key-simple": None,
    "verify/positive/key-simple-go": None,
    "verify/positive/key-simple-ignore-unsigned-files": None,
    "verify/positive/key-single-file": None,
}

# The payloads of these were changed after they were signed, so that the signature is the first thing wrong with
# them, and nothing of a payload is read before its signature verified. Signed anew, they are refused for their own
# reason.
SIGNED_ANEW = {
    "verify/negative/malformed-empty-resources_fail": "signature.no_resources",
    "verify/negative/malformed-no-predicate_fail": "signature.bundle_field",
    "verify/negative/malformed-no-subject_fail": "signature.bundle_field",
    "verify/negative/malformed-wrong-predicate_fail": "signature.predicate_type",
    "verify/negative/malformed-wrong-statement-type_fail": "signature.bundle_field",
}


@pytest.fixture(scope="module")
def state(tmp_path_factory):
    return tmp_path_factory.mktemp("conformance") / "state"


class Suite:
    """A checkout of the suite, or what stands in for one."""

    def __init__(self, root: pathlib.Path):
        self.assets = root / "test/assets"
        self.cases = root / "test/test-cases"
        assert self.assets.is_dir() and self.cases.is_dir(), f"no checkout of the conformance suite: {root}"

    def configuration(self, case: str) -> dict:
        return json.loads((self.cases / case / "config.json").read_text())

    def model_of(self, case: str, target: pathlib.Path) -> pathlib.Path:
        """A copy of the case's model, changed as the case says."""
        config = self.configuration(case)
        source = (self.cases / case if config.get("model_relative_to") == "test_dir" else self.assets) / config["model"]
        if source.is_file():
            model = target / source.name
            shutil.copy2(source, model)
        else:
            model = target / "model"
            if source.exists():
                shutil.copytree(source, model)
            else:
                model.mkdir()  # one case has no model: its bundle is refused before that would matter
        changes = config.get("model_modifications", {})
        root = model if model.is_dir() else model.parent
        for name, text in {**changes.get("tamper", {}), **changes.get("inject", {})}.items():
            (root / name).write_text(text)
        for name in changes.get("delete", []):
            (root / name).unlink(missing_ok=True)
        for name, to in changes.get("symlinks", {}).items():
            (root / name).symlink_to(to)
        return model


@pytest.fixture(scope="module")
def suite(tmp_path_factory) -> Suite:
    named = os.environ.get("MLXGUARD_CONFORMANCE_SUITE")
    return Suite(pathlib.Path(named) if named else conformance_suite.build(tmp_path_factory.mktemp("suite")))


def test_every_offline_case_of_the_suite_is_listed(suite):
    found = {str(config.parent.relative_to(suite.cases)): json.loads(config.read_text())
             for config in suite.cases.rglob("config.json")}
    offline = {case for case, config in found.items() if config["method"] != "sigstore"}
    assert offline == set(CASES)
    assert len(CASES) == 59
    for case, code in CASES.items():
        assert (found[case].get("expect", "pass") == "fail") == (code is not None), case


def common_arguments(config: dict, model: pathlib.Path) -> list:
    root = model if model.is_dir() else model.parent
    paths = config.get("verify", {}).get("ignore_paths", [])
    return [part for path in paths for part in ("--ignore-paths", root / path)]


def adapter(cli, state, verb, *args, code=None):
    """Exit status 0, or 1 with this error code."""
    answer = cli.json("compat", "conformance", verb, *args, "--state", state, exit_code=0 if code is None else 1)
    assert (answer.get("error") or {}).get("code") == code, answer
    return answer


def sign(cli, state, suite, config, model, bundle, code=None):
    args = ["--method", config["method"], "--model-path", model, "--output-bundle", bundle]
    block = config["sign"]
    args += ["--private-key", suite.assets / block["private_key"]]
    if "signing_cert" in block:
        args += ["--signing-cert", suite.assets / block["signing_cert"]]
    for certificate in block.get("cert_chain", []):
        args += ["--cert-chain", suite.assets / certificate]
    return adapter(cli, state, "sign-model", *args, *common_arguments(config, model), code=code)


def verify(cli, state, suite, config, model, bundle, code=None):
    args = ["--method", config["method"], "--model-path", model, "--bundle", bundle]
    block = config["verify"]
    if "public_key" in block:
        public_key = suite.assets / block["public_key"]
        if not public_key.exists():  # one case names a key that the suite does not have
            public_key = suite.assets / "keys/certificate/signing-key-pub.pem"
        args += ["--public-key", public_key]
    for certificate in block.get("cert_chain", []):
        args += ["--cert-chain", suite.assets / certificate]
    if block.get("ignore_unsigned_files"):
        args.append("--ignore-unsigned-files")
    return adapter(cli, state, "verify-model", *args, *common_arguments(config, model), code=code)


def statement_in(bundle: pathlib.Path) -> dict:
    return json.loads(base64.b64decode(json.loads(bundle.read_text())["dsseEnvelope"]["payload"]))


def check_produced(bundle: pathlib.Path, config: dict):
    """What the suite asks of a bundle: schemas, fields, order, root digest."""
    import jsonschema
    import referencing
    schemas = [json.loads(path.read_text()) for path in SCHEMAS.glob("*.json")]
    assert schemas, "the specification's schemas are not here"
    registry = referencing.Registry().with_resources(
        (schema["$id"], referencing.Resource.from_contents(schema)) for schema in schemas)
    statement = statement_in(bundle)
    for kind, instance in (("bundle", json.loads(bundle.read_text())), ("statement", statement)):
        schema = next(s for s in schemas if s["$id"].endswith(f"/{kind}/v1.0/schema"))
        jsonschema.Draft202012Validator(schema, registry=registry).validate(instance)
    predicate = statement["predicate"]
    assert predicate["serialization"]["method"] == "files"
    assert "shard_size" not in predicate["serialization"]
    names = [resource["name"] for resource in predicate["resources"]]
    assert names == sorted(names)
    joined = b"".join(bytes.fromhex(resource["digest"]) for resource in predicate["resources"])
    assert [subject["digest"]["sha256"] for subject in statement["subject"]] == [hashlib.sha256(joined).hexdigest()]
    assert statement["subject"][0]["name"]
    assert bundle.name not in names
    if config.get("expected_signed_files"):
        assert names == sorted(config["expected_signed_files"])


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("roundtrip/")])
def test_round_trip(session_cli, state, suite, tmp_path, case):
    config = suite.configuration(case)
    model = suite.model_of(case, tmp_path)
    bundle = (model if config.get("sig_inside_model") else tmp_path) / "bundle.sig"
    sign(session_cli, state, suite, config, model, bundle, code=CASES[case])
    if CASES[case] is not None:
        assert not bundle.exists()
        return
    check_produced(bundle, config)
    wanted = config.get("verify", {})
    if wanted.get("ignore_unsigned_files") and wanted.get("ignore_paths"):
        (model / "injected.bin").write_text("injected after signing\n")
    verify(session_cli, state, suite, config, model, bundle)
    if "deterministic" in case:
        again = tmp_path / "again.sig"
        sign(session_cli, state, suite, config, model, again)
        assert statement_in(again) == statement_in(bundle)


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("verify/")])
def test_verify(session_cli, state, suite, tmp_path, case):
    model = suite.model_of(case, tmp_path)
    verify(session_cli, state, suite, suite.configuration(case), model, suite.cases / case / "bundle.sig", code=CASES[case])


@pytest.mark.parametrize("case", [case for case in CASES if case.startswith("verify/historical/")])
def test_what_earlier_releases_signed_is_refused_once_it_changed(session_cli, state, suite, tmp_path, case):
    model = suite.model_of(case, tmp_path)
    changed = model if model.is_file() else model / "signme-1"
    changed.write_bytes(changed.read_bytes() + b"x")
    verify(session_cli, state, suite, suite.configuration(case), model, suite.cases / case / "bundle.sig",
           code="signature.digest_mismatch")


@pytest.mark.parametrize("case", SIGNED_ANEW)
def test_malformed_payloads_that_are_validly_signed(session_cli, state, suite, tmp_path, case):
    config = suite.configuration(case)
    private, public = new_key(tmp_path)
    payload = base64.b64decode(
        json.loads((suite.cases / case / "bundle.sig").read_text())["dsseEnvelope"]["payload"])
    bundle = tmp_path / "bundle.sig"
    bundle.write_text(bundle_around(private, public, payload))
    adapter(session_cli, state, "verify-model", "--method", "key", "--model-path", suite.model_of(case, tmp_path), "--bundle",
            bundle, "--public-key", public, *common_arguments(config, tmp_path / "model"), code=SIGNED_ANEW[case])
