# SPDX-License-Identifier: Apache-2.0
"""Every signer against every verifier: {ours, the Python package} x {sign, verify} x {three curves, a
certificate} x {unicode names, awkward names, empty file, single file, nested, many files}.

Ours is `mlxguard compat model-signing`, in both spellings of its flags; the peer runs in this process. Each
signature is checked to verify, and to be refused once one byte changed. Names with control characters are
the one thing that the peer signs and we refuse.
"""
import pathlib

import pytest

from model_signing_peer import CURVES, command, new_chain, new_key, sign, statement_in, verifies, write_model

MODELS = {
    "unicode": {"\u00fcml\u00e4ut/\u65e5\u672c\u8a9e.bin": b"1", "composed \u00e9": b"2", "decomposed e\u0301": b"3",
                "party \U0001f389": b"4", "\u0645\u0631\u062d\u0628\u0627": b"5", "\uff46ull": b"6"},
    "awkward": {"with space/and  more": b"1", "-dash": b"2", "--signature": b"3", "quo\"te": b"4", "apostrophe's": b"5",
                "back\\slash": b"6", "colon:name:0:5": b"7", "percent%2F..%2f": b"8", "..dots": b"9", "~": b"10",
                "$(id)": b"11", "star*[a]?": b"12", "a/b": b"13", "a-b": b"14", ".hidden/.file": b"15",
                "model.sig": b"16", "sub/.git": b"17", " leading": b"18", "trailing ": b"19"},
    "empty-file": {"empty": b"", "sub/empty": b"", "full": b"1"},
    "single-file": None,
    "nested": {"/".join("nested") + f"/{depth}/" * depth + "leaf": bytes([depth]) for depth in range(1, 12)},
    "many-files": {f"{i % 17:02}/{i:04}.bin": bytes([i % 256]) * (i % 97) for i in range(1200)},
}
SIGNERS = [*CURVES, "certificate"]


@pytest.fixture(scope="module")
def keys(tmp_path_factory):
    folder = tmp_path_factory.mktemp("keys")
    made = {curve: dict(zip(("private", "public"), new_key(folder, curve))) for curve in CURVES}
    made["certificate"] = {"chain": new_chain(folder)}
    return made


@pytest.fixture(params=MODELS)
def model(request, tmp_path) -> pathlib.Path:
    files = MODELS[request.param]
    if files is None:
        file = tmp_path / "weights \u00fc.bin"
        file.write_bytes(b"weights" * 1000)
        return file
    return write_model(tmp_path / "model", files)


def flags(dashed: bool, **values) -> list[str]:
    found = []
    for name, value in values.items():
        flag = "--" + (name.replace("_", "-") if dashed else name)
        found += [flag, value]
    return found


def our_flags(verb, key, dashed) -> list:
    if "chain" not in key:
        which = {"private_key": key["private"]} if verb == "sign" else {"public_key": key["public"]}
        return ["key", *flags(dashed, **which)]
    chain = key["chain"]
    if verb == "verify":
        return ["certificate", *flags(dashed, certificate_chain=chain["root"])]
    return ["certificate", *flags(dashed, private_key=chain["leaf_key"], signing_certificate=chain["leaf"],
                                  certificate_chain=chain["intermediate"])]


def ours(cli, verb, model, signature, key, dashed=False, code=None):
    answer = cli.json("compat", "model-signing", verb, *our_flags(verb, key, dashed), "--signature", signature,
                      model, exit_code=0 if code is None else 1)
    assert (answer.get("error") or {}).get("code") == code
    return answer


def change_one_byte(model: pathlib.Path):
    file = model if model.is_file() else max(path for path in model.rglob("*") if path.is_file())
    data = file.read_bytes()
    file.write_bytes(bytes([data[0] ^ 1]) + data[1:] if data else b"x")


@pytest.mark.parametrize("signer", SIGNERS)
def test_we_sign_the_peer_and_we_verify(session_cli, model, keys, signer, tmp_path):
    signature = tmp_path / "our.sig"
    ours(session_cli, "sign", model, signature, keys[signer], dashed=True)
    assert verifies(model, signature, **{k: v for k, v in keys[signer].items() if k != "private"})
    ours(session_cli, "verify", model, signature, keys[signer])
    change_one_byte(model)
    assert not verifies(model, signature, **{k: v for k, v in keys[signer].items() if k != "private"})
    ours(session_cli, "verify", model, signature, keys[signer], code="signature.digest_mismatch")


@pytest.mark.parametrize("signer", SIGNERS)
def test_the_peer_signs_we_verify(session_cli, model, keys, signer, tmp_path):
    signature = tmp_path / "their.sig"
    sign(model, signature, **{k: v for k, v in keys[signer].items() if k != "public"})
    answer = ours(session_cli, "verify", model, signature, keys[signer], dashed=True)
    assert answer["root_digest"] == statement_in(signature)["subject"][0]["digest"]["sha256"]
    change_one_byte(model)
    ours(session_cli, "verify", model, signature, keys[signer], code="signature.digest_mismatch")


@pytest.mark.parametrize("name", ["new\nline", "tab\there", "escape\x1b[31m", "delete\x7f"])
def test_names_with_control_characters_are_refused_whoever_signs(session_cli, keys, tmp_path, name):
    model = write_model(tmp_path / "model", {name: b"1", "b": b"2"})
    signature = tmp_path / "s.sig"
    ours(session_cli, "sign", model, signature, keys["P-256"], code="artifact.name")
    assert not signature.exists()
    sign(model, signature, private=keys["P-256"]["private"])
    assert verifies(model, signature, public=keys["P-256"]["public"])
    ours(session_cli, "verify", model, signature, keys["P-256"], code="signature.resource_name")


def test_the_commands_themselves_agree(session_cli, keys, tmp_path):
    """The rest of this file has the peer in-process: once with its real command line, both ways."""
    model = write_model(tmp_path / "model", {"a": b"1"})
    key = keys["P-384"]
    ours(session_cli, "sign", model, tmp_path / "our.sig", key)
    assert command("verify", "key", "--public_key", key["public"], "--signature", tmp_path / "our.sig",
                   model).returncode == 0
    assert command("sign", "key", "--private_key", key["private"], "--signature", tmp_path / "their.sig",
                   model).returncode == 0
    ours(session_cli, "verify", model, tmp_path / "their.sig", key)


@pytest.mark.parametrize("algorithm, shard_size", [("blake3", None), ("blake2", None), (None, 3), (None, 1_000_000_000),
                                                   ("blake2", 5)])
def test_recorded_hash_and_method_of_the_peer_are_honoured(session_cli, keys, tmp_path, algorithm, shard_size):
    model = write_model(tmp_path / "model", {"a": b"0123456789" * 3, "b/c": b"x"})
    signature = tmp_path / "their.sig"
    sign(model, signature, private=keys["P-256"]["private"], algorithm=algorithm, shard_size=shard_size)
    ours(session_cli, "verify", model, signature, keys["P-256"])
    change_one_byte(model)
    ours(session_cli, "verify", model, signature, keys["P-256"], code="signature.digest_mismatch")


@pytest.mark.parametrize("algorithm, name", [("blake3", "blake3"), ("blake2b", "blake2"), ("sha256", None)])
@pytest.mark.parametrize("shard_size", [None, 4])
def test_our_hashes_and_shards_are_verified_by_the_peers_library(session_cli, keys, tmp_path, algorithm, name, shard_size):
    model = write_model(tmp_path / "model", {"a": b"0123456789", "b/c": b"x"})
    signature = tmp_path / "our.sig"
    key = keys["P-256"]
    more = [] if shard_size is None else ["--shard-size", str(shard_size)]
    session_cli.ok("compat", "model-signing", "sign", "key", "--private-key", key["private"], "--signature", signature,
                   "--hash-algorithm", algorithm, *more, model)
    ours(session_cli, "verify", model, signature, key)
    serialization = statement_in(signature)["predicate"]["serialization"]
    assert serialization["hash_type"] == algorithm
    assert serialization.get("shard_size") == shard_size
    # Of shards the peer takes only its own name for the algorithm, "sha256-sharded-4", which is not the
    # specification's. What it writes, we take: the test above.
    assert verifies(model, signature, public=key["public"], algorithm=name, shard_size=shard_size) == (shard_size is None)
