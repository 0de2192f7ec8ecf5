# SPDX-License-Identifier: Apache-2.0
"""Bundles that no honest tool writes, each wrong in one thing, through `mlxguard compat model-signing verify` and
`mlxguard verify`. All of them are validly signed by the key that is believed, unless the signature is what is wrong."""
import base64
import hashlib
import json

import pytest

from model_signing_peer import bundle_around, new_key, statement_over, with_root, write_model

FILES = {"a": b"0123456789", "b/c": b"abc"}
P256_ORDER = 0xFFFFFFFF00000000FFFFFFFFFFFFFFFFBCE6FAADA7179E84F3B9CAC2FC632551


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    private, public = new_key(tmp_path_factory.mktemp("key"))
    return {"private": private, "public": public}


@pytest.fixture
def code(session_cli, key, tmp_path):
    """The code with which both commands refuse this bundle; None if both take it."""
    model = write_model(tmp_path / "model", FILES)

    def of(bundle: str):
        (model / "model.sig").write_text(bundle)
        answers = []
        for command in (["compat", "model-signing", "verify", "key", "--signature", model / "model.sig"], ["verify"]):
            done = session_cli.run(*command, "--public-key", key["public"], model, "--json")
            answer = json.loads(done.stdout)
            assert done.returncode == (1 if "error" in answer else 0)
            answers.append(answer["error"]["code"] if "error" in answer else None)
        assert answers[0] == answers[1]
        return answers[0]
    return of


def bundle_of(key, statement) -> str:
    text = statement if isinstance(statement, str) else json.dumps(statement)
    return bundle_around(key["private"], key["public"], text.encode())


def signature_of(bundle: dict) -> bytes:
    return base64.b64decode(bundle["dsseEnvelope"]["signatures"][0]["sig"])


def numbers_of(signature: bytes) -> tuple[int, int]:
    r_size = signature[3]
    return int.from_bytes(signature[4:4 + r_size]), int.from_bytes(signature[6 + r_size:])


def der_of(r: int, s: int) -> bytes:
    body = b"".join(bytes([2, len(n)]) + n for n in (v.to_bytes(v.bit_length() // 8 + 1) for v in (r, s)))
    return bytes([0x30, len(body)]) + body


# ---- the envelope

def with_signature(change):
    def changed(bundle):
        text = change(signature_of(bundle))
        bundle["dsseEnvelope"]["signatures"][0]["sig"] = text if isinstance(text, str) else base64.b64encode(text).decode()
    return changed


def with_payload(change):
    def changed(bundle):
        bundle["dsseEnvelope"]["payload"] = change(bundle["dsseEnvelope"]["payload"])
    return changed


def put(*path):
    *inner, last, value = path

    def changed(bundle):
        for name in inner:
            bundle = bundle[name]
        bundle[last] = value
    return changed


def plain(data: bytes) -> str:
    return base64.b64encode(data).decode()


ENVELOPES = {
    "signature in the alphabet of URLs": (with_signature(lambda s: "_-" + plain(s)[2:]), "signature.bundle_field"),
    "signature without padding": (with_signature(lambda s: plain(s + b"\0" * ((1 - len(s)) % 3)).rstrip("=")),
                                  "signature.bundle_field"),
    "signature with white space": (with_signature(lambda s: plain(s)[:8] + "\n" + plain(s)[8:]), "signature.bundle_field"),
    "signature with something behind it": (with_signature(lambda s: s + b"\0"), "signature.invalid"),
    "signature with a length in a longer form": (with_signature(lambda s: s[:1] + b"\x81" + s[1:]), "signature.invalid"),
    "signature without r": (with_signature(lambda s: der_of(0, numbers_of(s)[1])), "signature.invalid"),
    "signature without s": (with_signature(lambda s: der_of(numbers_of(s)[0], 0)), "signature.invalid"),
    "signature with r beyond the order": (with_signature(lambda s: der_of(numbers_of(s)[0] + P256_ORDER, numbers_of(s)[1])),
                                          "signature.invalid"),
    "signature as tokens give it": (with_signature(lambda s: b"".join(n.to_bytes(32) for n in numbers_of(s))),
                                    "signature.invalid"),
    "no signature bytes": (with_signature(lambda s: ""), "signature.invalid"),
    "payload with white space": (with_payload(lambda p: p[:76] + "\n" + p[76:]), "signature.bundle_field"),
    "payload without padding": (with_payload(lambda p: p.rstrip("=") if p.endswith("=") else p[:-1]), "signature.bundle_field"),
    "no payload": (with_payload(lambda p: ""), "signature.invalid"),
    "payload that is a statement": (lambda b: b["dsseEnvelope"].update(payload={}), "signature.bundle_field"),
    "another payload type": (put("dsseEnvelope", "payloadType", "application/vnd.in-toto+json "), "signature.payload_type"),
    "a key named by a number": (put("dsseEnvelope", "signatures", 0, "keyid", 1), "signature.bundle_field"),
    "signatures that are no list": (put("dsseEnvelope", "signatures", {}), "signature.bundle_field"),
    "a hint in upper case": (put("verificationMaterial", "publicKey", "hint", "A" * 64), "signature.bundle_field"),
    "a hint that is too short": (put("verificationMaterial", "publicKey", "hint", "a" * 62), "signature.bundle_field"),
    "another tool's hint": (put("verificationMaterial", "publicKey", "hint", "qvTGHdzF6KLavt4PO0gs2a6pQ00="),
                            "signature.bundle_field"),
    "log entries": (put("verificationMaterial", "tlogEntries", [{}]), "signature.material_unsupported"),
    "no log entries at all": (put("verificationMaterial", "tlogEntries", None), "signature.material_unsupported"),
    "a certificate beside the key": (put("verificationMaterial", "certificate", {"rawBytes": "AAAA"}),
                                     "signature.material_unsupported"),
    "a message instead of an envelope": (put("messageSignature", {}), "signature.bundle_field"),
    "a list of bundles": (lambda b: [b], "signature.bundle_syntax"),
}


@pytest.mark.parametrize("what", ENVELOPES)
def test_envelopes(key, code, what):
    change, expected = ENVELOPES[what]
    bundle = json.loads(bundle_of(key, statement_over(FILES)))
    assert code(json.dumps(bundle)) is None
    whole = change(bundle)
    assert code(json.dumps(bundle if whole is None else whole)) == expected


def test_the_other_s_of_a_signature_is_taken(key, code):
    """Both are valid; nothing here knows a model by its signature."""
    bundle = json.loads(bundle_of(key, statement_over(FILES)))
    r, s = numbers_of(signature_of(bundle))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = plain(der_of(r, P256_ORDER - s))
    assert code(json.dumps(bundle)) is None


def test_a_hint_over_the_keys_der_names_nobody(key, code):
    """As another tool has it: the digest of the key's bytes, where this format has that of its PEM."""
    der = base64.b64decode("".join(key["public"].read_text().splitlines()[1:-1]))
    bundle = bundle_around(key["private"], key["public"], json.dumps(statement_over(FILES)).encode(),
                           hint=hashlib.sha256(der).hexdigest())
    assert code(bundle) == "signature.untrusted_key"


def test_text_around_or_instead_of_json(key, code):
    bundle = bundle_of(key, statement_over(FILES))
    for text in ("\ufeff" + bundle, bundle + bundle, bundle + "x", bundle[:-1], "null", "[" * 5000, "\0" + bundle):
        assert code(text) == "signature.bundle_syntax"
    assert code(bundle.replace('"dsseEnvelope"', '"dsseEnvelope": {}, "dsseEnvelope"')) == "signature.bundle_syntax"
    assert code("\n " + bundle + "\n") is None


# ---- the statement

def serialization(**values):
    return lambda s: s["predicate"]["serialization"].update(values)


def resource(index, **values):
    return lambda s: s["predicate"]["resources"][index].update(values)


def more(**values):
    return lambda s: s["predicate"]["resources"].append({**s["predicate"]["resources"][0], **values})


def renamed(name):
    return resource(0, name=name)


SUBJECT = {"name": "model", "digest": {"sha256": "0" * 64}}
STATEMENTS = {
    "two subjects": (lambda s: s["subject"].append(SUBJECT), "signature.bundle_field"),
    "no subject": (lambda s: s["subject"].clear(), "signature.bundle_field"),
    "another kind of root digest": (lambda s: s["subject"][0].update(digest={"sha512": "0" * 128}), "signature.bundle_field"),
    "a root digest in upper case": (lambda s: s["subject"][0]["digest"].update(sha256=s["subject"][0]["digest"]["sha256"].upper()),
                                    "signature.root_digest"),
    "another root digest": (lambda s: s["subject"][0]["digest"].update(sha256="0" * 64), "signature.root_digest"),
    "another order": (lambda s: s["predicate"]["resources"].reverse(), "signature.root_digest"),
    "a digest in upper case": (resource(0, digest="A" * 64), "signature.bundle_field"),
    "a digest that is too long": (resource(0, digest="a" * 128), "signature.bundle_field"),
    "a digest that is too short": (resource(0, digest="a" * 62), "signature.bundle_field"),
    "two kinds of digest": (resource(0, algorithm="blake3"), "signature.hash_unsupported"),
    "a shard's kind of digest for a file": (resource(0, algorithm="sha256-sharded-10"), "signature.hash_unsupported"),
    "a kind of digest nobody knows": (serialization(hash_type="md5"), "signature.hash_unsupported"),
    "a kind of digest in upper case": (serialization(hash_type="SHA256"), "signature.hash_unsupported"),
    "a method nobody knows": (serialization(method="blocks"), "signature.method_unsupported"),
    "a shard size of whole files": (serialization(shard_size=4), "signature.bundle_field"),
    "a name twice": (more(), "signature.resource_duplicate"),
    "a name twice in another normal form": (more(name="./a"), "signature.resource_name"),
    "a name of nothing": (renamed(""), "signature.resource_name"),
    "a name with NUL": (renamed("a\0b"), "signature.resource_name"),
    "a name with a line break": (renamed("a\nb"), "signature.resource_name"),
    "a name that is absolute": (renamed("/a"), "signature.resource_name"),
    "a name that leaves": (renamed("b/../../a"), "signature.resource_name"),
    "the whole model beside a file": (more(name="."), "signature.resource_name"),
    "no resources": (lambda s: s["predicate"]["resources"].clear(), "signature.no_resources"),
    "a member nobody knows": (lambda s: s["predicate"].update(extra=1), "signature.bundle_field"),
    "links by a word": (serialization(allow_symlinks="false"), "signature.bundle_field"),
    "ignored paths by a word": (serialization(ignore_paths="a"), "signature.bundle_field"),
    "a file that is not there": (renamed("missing"), "signature.file_missing"),
    "a folder as a file": (renamed("b"), "signature.file_missing"),
    "everything ignored": (serialization(ignore_paths=["a", "b"]), "signature.ignored_read"),
    "another statement type": (lambda s: s.update(_type="https://in-toto.io/Statement/v0.1"), "signature.bundle_field"),
}
KEEPS_ROOT = ("another root digest", "another kind of root digest", "another order", "a root digest in upper case")


@pytest.mark.parametrize("what", STATEMENTS)
def test_statements(key, code, what):
    change, expected = STATEMENTS[what]
    statement = statement_over(FILES)
    change(statement)
    if what not in KEEPS_ROOT and statement["subject"]:
        with_root(statement)
    assert code(bundle_of(key, statement)) == expected


# ---- shards

def shards(*ranges, size=4, algorithm="sha256", method="shards") -> dict:
    """Of the file `a` by these ranges, and of the file `b/c` whole."""
    statement = statement_over({}, method=method, shard_size=size)
    for name, start, end in [*(("a", *r) for r in ranges), ("b/c", 0, 3)]:
        data = FILES[name][max(0, start):max(0, end)] if isinstance(start, int) and isinstance(end, int) else b""
        statement["predicate"]["resources"].append(
            {"name": f"{name}:{start}:{end}", "algorithm": algorithm, "digest": hashlib.sha256(data).hexdigest()})
    return with_root(statement)


GOOD = [(0, 4), (4, 8), (8, 10)]
SHARDS = {
    "as they should be": (shards(*GOOD), None),
    "in another order": (shards(*reversed(GOOD)), None),
    "named by their size": (shards(*GOOD, algorithm="sha256-sharded-4"), None),
    "named by another size": (shards(*GOOD, algorithm="sha256-sharded-8"), "signature.hash_unsupported"),
    "named by a size with a fraction": (shards(*GOOD, algorithm="sha256-sharded-4.0"), "signature.hash_unsupported"),
    "a size with a fraction of nothing": (shards(*GOOD, size=4.0), None),
    "a size with an exponent": (shards((0, 10), size=1e9), None),
    "a size of none": (shards(*GOOD, size=0), "signature.bundle_field"),
    "a size below none": (shards(*GOOD, size=-4), "signature.bundle_field"),
    "a size with a fraction": (shards(*GOOD, size=4.5), "signature.bundle_field"),
    "a size beyond every model": (shards(*GOOD, size=2**63), "signature.bundle_field"),
    "a size beyond every integer": (shards(*GOOD, size=1e300), "signature.bundle_field"),
    "a size as text": (shards(*GOOD, size="4"), "signature.bundle_field"),
    "no size": (shards(*GOOD, size=None), "signature.bundle_field"),
    "a gap": (shards((0, 4), (8, 10)), "signature.shard"),
    "an overlap": (shards((0, 4), (3, 7), (7, 10)), "signature.shard"),
    "the same twice": (shards((0, 4), (0, 4), (4, 8), (8, 10)), "signature.resource_duplicate"),
    "a late beginning": (shards((4, 8), (8, 10)), "signature.shard"),
    "a short one in the middle": (shards((0, 3), (3, 7), (7, 10)), "signature.shard"),
    "one that is too long": (shards((0, 5), (5, 10)), "signature.shard"),
    "an empty one at the end": (shards(*GOOD, (10, 10)), "signature.shard"),
    "an early end": (shards((0, 4), (4, 8)), "signature.shard"),
    "a late end": (shards((0, 4), (4, 8), (8, 12)), "signature.shard"),
    "one beyond the end": (shards(*GOOD[:2], (8, 12), (12, 16)), "signature.shard"),
    "backwards": (shards((4, 0)), "signature.shard"),
    "below the beginning": (shards((-4, 0), *GOOD), "signature.shard"),
    "a leading zero": (shards((0, "04"), (4, 8), (8, 10)), "signature.shard"),
    "a number beyond 64 bits": (shards((0, 2**64 + 4), (4, 8), (8, 10)), "signature.shard"),
    "no numbers": (shards(("x", "y")), "signature.shard"),
}


@pytest.mark.parametrize("what", SHARDS)
def test_shards(key, code, what):
    statement, expected = SHARDS[what]
    assert code(bundle_of(key, statement)) == expected


@pytest.mark.parametrize("number", ["1e309", "-0", "NaN", "Infinity", "4e-1", "0x4", "04", "4.", "+4"])
def test_shard_sizes_that_are_no_numbers_of_bytes(key, code, number):
    text = json.dumps(shards(*GOOD)).replace('"shard_size": 4', f'"shard_size": {number}')
    assert code(bundle_of(key, text)) == "signature.bundle_field"


def test_normal_forms_of_one_name_are_two_names(key, code, tmp_path):
    """Names are bytes: a file under the other normal form is not the one that was signed."""
    files = {**FILES, "\u00e9": b"composed", "e\u0301": b"decomposed"}
    write_model(tmp_path / "model", files)
    assert code(bundle_of(key, statement_over(files))) is None
    (tmp_path / "model/e\u0301").unlink()
    assert code(bundle_of(key, statement_over(files))) == "signature.file_missing"
    del files["\u00e9"]
    assert code(bundle_of(key, statement_over(files))) == "signature.file_missing"
