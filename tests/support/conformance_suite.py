# SPDX-License-Identifier: Apache-2.0
"""A stand-in for a checkout of the public suite model-signing-conformance: its 59 offline cases, with the same names,
configurations and layout, over models, keys and bundles made here. The bundles of earlier releases are the real ones.
"""
import base64
import datetime
import json
import pathlib
import shutil

from model_signing_peer import (bundle_around, dated_leaf, new_chain, new_key, openssl, sign, statement_over, with_root,
                                write_model)

HISTORICAL = pathlib.Path(__file__).resolve().parents[1] / "vectors/model-signing/historical"

SIMPLE = {"signme-1": b"signme-1\n", "signme-2": b"signme-2\n"}
MODELS = {
    "simple": {**SIMPLE, "ignore-me": b"ignored\n"},
    "multi-file": {"config.json": b"{}\n", "weights.bin": b"weights", "subdir/adapter.bin": b"adapter"},
    "single-file": {"model.bin": b"one file"},
    "binary-content": {"header.bin": bytes(range(256)), "weights.bin": bytes(1000)},
    "with-git-dir": {"model.bin": b"m", ".gitattributes": b"a", ".gitignore": b"i", ".github/ci.yml": b"c"},
    "with-dotfiles": {"model.bin": b"m", ".config": b"c", ".env.example": b"e"},
    "with-empty-file": {"signme-1": b"signme-1\n", "empty.bin": b""},
    "empty": {".gitignore": b"*\n"},
    "hidden-subdir": {"model.bin": b"m", ".cache/weights.bin": b"w", ".local/share/data.bin": b"d"},
    "special-chars": {"normal.bin": b"n", "file (copy).bin": b"c", "path with spaces/model.bin": b"p"},
    "unicode-names": {"weights.bin": b"w", "\u6a21\u578b.bin": b"m"},
}
PUBLIC = {"public_key": "keys/certificate/signing-key-pub.pem"}
AUTHORITY = {"cert_chain": ["keys/certificate/ca-cert.pem"]}
IGNORED = {"ignore_paths": ["ignore-me"]}
BY_KEY = {"private_key": "keys/certificate/signing-key.pem"}
BY_CERTIFICATE = {**BY_KEY, "signing_cert": "keys/certificate/signing-key-cert.pem",
                  "cert_chain": ["keys/certificate/int-ca-cert.pem"]}
SELF_SIGNED = {"cert_chain": ["keys/self-signed/signing-cert.pem"]}


def case(model, verify, sign=None, fails=False, changes=None, **more) -> dict:
    config = {"method": "certificate" if "cert_chain" in verify else "key", "model": f"models/{model}", "verify": verify, **more}
    if sign is not None:
        config["sign"] = sign
    if fails:
        config["expect"] = "fail"
    if changes is not None:
        config["model_modifications"] = changes
    return config


def signed_files(model, ignored=(".gitignore", ".gitattributes", ".github/ci.yml", "ignore-me")) -> list:
    return sorted(name for name in MODELS[model] if name not in ignored)


ROUND_TRIPS = {
    **{f"key-{name}": case(model, PUBLIC, BY_KEY, expected_signed_files=signed_files(model)) for name, model in {
        "binary-content": "binary-content", "default-ignores": "with-git-dir", "dotfile-included": "with-dotfiles",
        "empty-file": "with-empty-file", "files-in-hidden-dir": "hidden-subdir", "multi-file": "multi-file",
        "single-file": "single-file", "special-chars-path": "special-chars", "unicode-filename": "unicode-names"}.items()},
    **{f"key-{name}": case("simple", {**PUBLIC, **IGNORED}, BY_KEY, expected_signed_files=signed_files("simple"))
       for name in ("ignore-paths", "simple", "simple-deterministic")},
    **{f"key-{curve}": case("simple", {"public_key": f"keys/{curve}/signing-key-pub.pem", **IGNORED},
                            {"private_key": f"keys/{curve}/signing-key.pem"}) for curve in ("p384", "p521")},
    **{f"key-symlink-{name}": case("simple", PUBLIC, BY_KEY, fails=True, changes={"symlinks": {"link": target}})
       for name, target in {"cycle": ".", "default-rejected": "signme-1", "outside-root": "/nonexistent"}.items()},
    "key-ignore-unsigned": case("simple", {**PUBLIC, **IGNORED, "ignore_unsigned_files": True}, BY_KEY),
    "key-empty-model-rejected": case("empty", PUBLIC, BY_KEY, fails=True),
    "key-sig-inside-model": case("simple", {**PUBLIC, **IGNORED}, BY_KEY, sig_inside_model=True,
                                 expected_signed_files=signed_files("simple")),
    "certificate-multi-file": case("multi-file", AUTHORITY, BY_CERTIFICATE, expected_signed_files=signed_files("multi-file")),
    "certificate-simple": case("simple", {**AUTHORITY, **IGNORED}, BY_CERTIFICATE),
    "certificate-self-signed": case("simple", {**SELF_SIGNED, **IGNORED}, {
        "private_key": "keys/self-signed/signing-key.pem", "signing_cert": "keys/self-signed/signing-cert.pem", **SELF_SIGNED}),
}


def put(config: dict, place: pathlib.Path, bundle: str | None = None):
    place.mkdir(parents=True)
    (place / "config.json").write_text(json.dumps(config))
    if bundle is not None:
        (place / "bundle.sig").write_text(bundle)


def self_signed(folder: pathlib.Path):
    openssl("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-384", "-nodes", "-keyout",
            folder / "signing-key.pem", "-out", folder / "signing-cert.pem", "-subj", "/CN=self", "-days", "30", "-addext",
            "keyUsage=digitalSignature", "-addext", "extendedKeyUsage=codeSigning")


def make_keys(keys: pathlib.Path) -> dict:
    """Under the suite's names; returned: the chain, and one whose leaf has expired."""
    for name in ("made", "certificate", "p384", "p521", "wrong", "self-signed", "historical"):
        (keys / name).mkdir(parents=True)
    chain = new_chain(keys / "made")
    for name, source in {"signing-key.pem": "leaf_key", "signing-key-cert.pem": "leaf", "int-ca-cert.pem": "intermediate",
                         "ca-cert.pem": "root"}.items():
        shutil.copy(chain[source], keys / "certificate" / name)
    openssl("ec", "-in", chain["leaf_key"], "-pubout", "-out", keys / "certificate/signing-key-pub.pem")
    for curve in ("P-384", "P-521"):
        private, public = new_key(keys / "made", curve)
        folder = keys / curve.lower().replace("-", "")
        shutil.copy(private, folder / "signing-key.pem")
        shutil.copy(public, folder / "signing-key-pub.pem")
    shutil.copy(new_key(keys / "made", name="wrong")[1], keys / "wrong/wrong-key-pub.pem")
    (keys / "made/wrong").mkdir()
    shutil.copy(new_chain(keys / "made/wrong")["root"], keys / "wrong/wrong-ca-cert.pem")
    self_signed(keys / "self-signed")
    for name in ("ca-cert.pem", "signing-key-pub.pem"):
        shutil.copy(HISTORICAL / name, keys / "historical" / name)
    past = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    # Valid when its chain was, for a day that is over.
    ends = past + datetime.timedelta(seconds=1)
    leaf = dated_leaf(keys / "made", chain, "expired", f"{past:%Y%m%d%H%M%SZ}", f"{ends:%Y%m%d%H%M%SZ}")
    return {"chain": chain, "expired": {**chain, "leaf": leaf}}


def historical(cases: pathlib.Path):
    for source in sorted(HISTORICAL.iterdir()):
        if not source.is_dir():
            continue
        by_key = source.name.endswith("elliptic-key")
        verify = ({"public_key": "keys/historical/signing-key-pub.pem"} if by_key
                  else {"cert_chain": ["keys/historical/ca-cert.pem"]})
        config = case("model", {**verify, **IGNORED}, model_relative_to="test_dir")
        names = [path.name for path in source.iterdir() if path.name != "model.sig"]
        # A signature over "." alone is of the one file itself.
        payload = base64.b64decode(json.loads((source / "model.sig").read_text())["dsseEnvelope"]["payload"])
        one_file = by_key and [r["name"] for r in json.loads(payload)["predicate"]["resources"]] == ["."]
        place = cases / "verify/historical" / f"historical-{source.name}"
        config["model"] = "model/signme-1" if one_file else "model"
        put(config, place, (source / "model.sig").read_text())
        (place / "model").mkdir()
        for name in names:
            shutil.copy(source / name, place / "model" / name)


def spoiled(private, public) -> dict:
    """Bundles that a signer of ours would not write: whole, and around payloads that were changed after signing."""
    statement = statement_over(SIMPLE)
    good = json.loads(bundle_around(private, public, json.dumps(statement).encode()))

    def with_payload(change) -> str:
        changed = json.loads(json.dumps(statement))
        change(changed)
        envelope = {**good["dsseEnvelope"], "payload": base64.b64encode(json.dumps(changed).encode()).decode()}
        return json.dumps({**good, "dsseEnvelope": envelope})

    def no_resources(changed):
        changed["predicate"]["resources"] = []
        with_root(changed)

    whole = json.dumps(good)
    envelope = good["dsseEnvelope"]
    certificate = {"certificate": {"rawBytes": "AAAA"}, "tlogEntries": [{}]}
    return {
        "key-simple-corrupted-bundle": "this is not JSON",
        "key-simple-truncated-bundle": whole[:len(whole) // 2],
        "key-simple-no-signature": json.dumps({**good, "dsseEnvelope": {**envelope, "signatures": []}}),
        "key-simple-wrong-mediatype": json.dumps({**good, "mediaType": "application/json"}),
        "malformed-empty-bundle": "",
        "malformed-empty-resources": with_payload(no_resources),
        "malformed-missing-envelope": json.dumps({k: v for k, v in good.items() if k != "dsseEnvelope"}),
        "malformed-no-predicate": with_payload(lambda changed: changed.pop("predicate")),
        "malformed-no-subject": with_payload(lambda changed: changed.pop("subject")),
        "malformed-wrong-payload-type": json.dumps({**good, "dsseEnvelope": {**envelope, "payloadType": "text/plain"}}),
        "malformed-wrong-predicate": with_payload(lambda changed: changed.update(predicateType="https://slsa.dev/v1")),
        "malformed-wrong-statement-type": with_payload(lambda changed: changed.update(_type="https://in-toto.io/Statement/v0.1")),
        "sigstore-verify-as-key": json.dumps({**good, "verificationMaterial": certificate}),
    }


def negative(cases: pathlib.Path, bundles: dict, spoiled_bundles: dict):
    def add(name, config, bundle):
        put(config, cases / f"verify/negative/{name}_fail", bundle)

    key, simple = bundles["key"], {**PUBLIC, **IGNORED}
    for name, changes in {"extra-file": {"inject": {"injected.bin": "injected after signing\n"}},
                          "missing-file": {"delete": ["signme-2"]},
                          "tampered-content": {"tamper": {"signme-1": "TAMPERED CONTENT\n"}}}.items():
        add(f"key-simple-{name}", case("simple", simple, fails=True, changes=changes), key)
    for name, bundle in spoiled_bundles.items():
        add(name, case("simple", simple, fails=True), bundle)
    wrong_key = {"public_key": "keys/wrong/wrong-key-pub.pem", **IGNORED}
    add("key-simple-wrong-key", case("simple", wrong_key, fails=True), key)
    add("key-verify-as-certificate", case("simple", {**AUTHORITY, **IGNORED}, fails=True), key)
    wrong_authority = {"cert_chain": ["keys/wrong/wrong-ca-cert.pem"], **IGNORED}
    add("certificate-simple-wrong-ca", case("simple", wrong_authority, fails=True), bundles["certificate"])
    add("certificate-expired", case("simple", AUTHORITY, fails=True), bundles["expired"])


def positive(cases: pathlib.Path, assets: pathlib.Path, bundles: dict, keys: dict, public: pathlib.Path):
    def add(name, config, bundle):
        put(config, cases / "verify/positive" / name, bundle)

    private = keys["chain"]["leaf_key"]
    simple = {**PUBLIC, **IGNORED}
    add("key-simple", case("simple", simple), bundles["key"])
    add("certificate-simple", case("simple", {**AUTHORITY, **IGNORED}), bundles["certificate"])
    # The Go tool writes neither tlogEntries nor keyid.
    add("key-simple-go", case("simple", simple), bundle_around(private, public, json.dumps(statement_over(SIMPLE)).encode()))
    short = json.loads(bundles["certificate"])
    del short["verificationMaterial"]["tlogEntries"], short["dsseEnvelope"]["signatures"][0]["keyid"]
    add("certificate-simple-go", case("simple", {**AUTHORITY, **IGNORED}), json.dumps(short))
    add("key-simple-ignore-unsigned-files", case("simple", {**simple, "ignore_unsigned_files": True}, changes={
        "inject": {"extra.bin": "extra file added after signing\n"}}), bundles["key"])
    for name, model in {"key-multi-file": "multi-file", "key-single-file": "single-file/model.bin"}.items():
        signature = assets.parent / f"{name}.sig"
        sign(assets / "models" / model, signature, private=private)
        add(name, case(model, PUBLIC), signature.read_text())


def build(suite: pathlib.Path) -> pathlib.Path:
    """Writes the stand-in below this folder and returns it."""
    assets, cases = suite / "test/assets", suite / "test/test-cases"
    for name, files in MODELS.items():
        write_model(assets / "models" / name, files)
    keys = make_keys(assets / "keys")
    public = assets / "keys/certificate/signing-key-pub.pem"
    signed = write_model(suite / "signed", SIMPLE)
    bundles = {}
    for name, how in {"key": {"private": keys["chain"]["leaf_key"]}, "certificate": {"chain": keys["chain"]},
                      "expired": {"chain": keys["expired"]}}.items():
        sign(signed, suite / f"{name}.sig", **how)
        bundles[name] = (suite / f"{name}.sig").read_text()
    for name, config in ROUND_TRIPS.items():
        put(config, cases / "roundtrip" / name)
    historical(cases)
    negative(cases, bundles, spoiled(keys["chain"]["leaf_key"], public))
    positive(cases, assets, bundles, keys, public)
    return suite
