# SPDX-License-Identifier: Apache-2.0
"""Known defects of other model signing tools. Each test shows that mlxguard does better, and, where that is
cheap, that the peer really has the defect: when a newer peer has lost it, its half of the test says so."""
import base64
import hashlib
import json
import os
import subprocess

import pytest

from model_signing_peer import (bundle_around, command, encoded, hashing, new_chain, new_key, openssl, sign,
                                statement_in, statement_over, verifies, with_root, write_model)

FILES = {"config.json": b"{}", "weights.bin": b"0123456789"}


@pytest.fixture(scope="module")
def key(tmp_path_factory):
    private, public = new_key(tmp_path_factory.mktemp("key"))
    return {"private": private, "public": public}


@pytest.fixture
def model(tmp_path):
    return write_model(tmp_path / "model", FILES)


@pytest.fixture
def signature(tmp_path):
    return tmp_path / "model.sig"


@pytest.fixture
def check(session_cli, key):
    """Our answer for this signature: None, or the code of the refusal."""
    def checked(model, signature, *flags, public=None):
        done = session_cli.run("compat", "model-signing", "verify", "key", "--public-key", public or key["public"],
                               "--signature", signature, *flags, model, "--json")
        answer = json.loads(done.stdout)
        assert done.returncode == (1 if "error" in answer else 0)
        return answer["error"]["code"] if "error" in answer else None
    return checked


def ours_signs(cli, key, model, signature, *flags, code=None):
    answer = cli.json("compat", "model-signing", "sign", "key", "--private-key", key["private"], "--signature",
                      signature, *flags, model, exit_code=0 if code is None else 1)
    assert (answer.get("error") or {}).get("code") == code


# 2. The peer's --password cannot work: it passes text where bytes are wanted.

@pytest.fixture
def encrypted(tmp_path, key):
    out = tmp_path / "encrypted.pem"
    openssl("pkcs8", "-topk8", "-in", key["private"], "-v2", "aes-256-cbc", "-passout", "pass:opensesame", "-out", out)
    return out


def test_an_encrypted_key_signs_with_password(session_cli, check, model, signature, encrypted):
    args = ["sign", "key", "--private_key", encrypted, "--password", "opensesame", "--signature", signature, model]
    assert command(*args).returncode == 1
    assert not signature.exists()
    done = session_cli.ok("compat", "model-signing", *args)
    assert done.stdout == "Signing succeeded\n"
    assert "can be read by other processes" in done.stderr
    assert check(model, signature) is None


def test_an_encrypted_key_signs_with_a_passphrase_that_no_process_sees(session_cli, check, model, signature, encrypted,
                                                                       tmp_path):
    (tmp_path / "passphrase").write_text("opensesame\n")
    (tmp_path / "passphrase").chmod(0o600)
    done = session_cli.ok("compat", "model-signing", "sign", "key", "--private_key", encrypted, "--passphrase-file",
                          tmp_path / "passphrase", "--signature", signature, model)
    assert done.stderr == ""
    assert check(model, signature) is None


@pytest.mark.parametrize("password, code", [("wrong password", "key.passphrase"), (None, "key.passphrase_missing")])
def test_an_encrypted_key_does_not_sign_without_its_password(session_cli, model, signature, encrypted, password, code):
    flags = [] if password is None else ["--password", password]
    done = subprocess.run([session_cli.binary, "compat", "model-signing", "sign", "key", "--private_key", encrypted,
                           *flags, "--signature", signature, model, "--state", session_cli.state, "--json"],
                          capture_output=True, text=True, stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 1
    assert json.loads(done.stdout)["error"]["code"] == code
    assert not signature.exists()


# 3, 4, 5. Recorded hash_type, method and shard_size mean nothing to the peer's command.

@pytest.mark.parametrize("how", [{"algorithm": "blake2"}, {"algorithm": "blake3"}, {"shard_size": 4}])
def test_recorded_hash_and_method_are_honoured(key, check, model, signature, how):
    sign(model, signature, private=key["private"], **how)
    assert not verifies(model, signature, public=key["public"])  # as its command does: sha256 over files
    assert check(model, signature) is None
    (model / "weights.bin").write_bytes(b"0123456780")
    assert check(model, signature) == "signature.digest_mismatch"


def test_a_colon_in_the_name_of_a_sharded_file(key, check, model, signature):
    (model / "a:0:5").write_bytes(b"abcdefgh")
    (model / "b:c").write_bytes(b"abcdefgh")
    sign(model, signature, private=key["private"], shard_size=4)
    import model_signing
    peer = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key["public"])
    with pytest.raises(Exception):  # noqa: B017: a ValueError of its name parser
        peer.verify(model, signature)
    assert check(model, signature) is None
    (model / "a:0:5").write_bytes(b"abcdefgX")
    assert check(model, signature) == "signature.digest_mismatch"


# 6. An empty file has no shard, so the peer does not see one that was added.

def test_an_empty_file_added_to_a_sharded_model(key, check, model, signature):
    sign(model, signature, private=key["private"], shard_size=4)
    (model / "added").write_bytes(b"")
    assert verifies(model, signature, public=key["public"], shard_size=4)
    assert check(model, signature) == "signature.file_unsigned"


def test_an_empty_file_removed_from_our_sharded_model(session_cli, key, check, model, signature):
    (model / "empty").write_bytes(b"")
    ours_signs(session_cli, key, model, signature, "--shard-size", "4")
    assert check(model, signature) is None
    (model / "empty").unlink()
    assert check(model, signature) == "signature.file_missing"


# 7. With allow_symlinks the peer accepts what a linked folder holds, and hashes none of it.

def test_what_a_linked_folder_holds_is_signed(session_cli, key, check, tmp_path):
    model = write_model(tmp_path / "model", {"a": b"1", "real/b": b"2"})
    (model / "linked").symlink_to("real")
    theirs, our = tmp_path / "their.sig", tmp_path / "our.sig"
    sign(model, theirs, private=key["private"], allow_symlinks=True)
    ours_signs(session_cli, key, model, our, "--allow-symlinks")
    assert "linked/b" in [r["name"] for r in statement_in(our)["predicate"]["resources"]]
    assert "linked/b" not in [r["name"] for r in statement_in(theirs)["predicate"]["resources"]]
    assert check(model, our, "--allow-symlinks") is None
    assert check(model, our) == "artifact.symlink"  # not without the verifier's own word
    (model / "linked").unlink()
    write_model(model / "other", {"b": b"evil", "c": b"more"})
    (model / "linked").symlink_to("other")
    assert check(model, our, "--allow-symlinks", "--ignore-paths", model / "other") == "signature.digest_mismatch"
    assert check(model, theirs, "--allow-symlinks", "--ignore-paths", model / "other") == "signature.file_unsigned"


@pytest.mark.parametrize("target", ["../outside", "/etc/hostname", "nowhere", "."])
def test_links_that_leave_the_model_or_lead_in_a_circle(session_cli, key, model, signature, target):
    (model.parent / "outside").write_bytes(b"secret")
    (model / "link").symlink_to(target)
    ours_signs(session_cli, key, model, signature, code="artifact.symlink")
    ours_signs(session_cli, key, model, signature, "--allow-symlinks", code="artifact.symlink")
    assert not signature.exists()


def test_a_link_added_after_signing(key, check, model, signature):
    """The Go peer skips links without a word, so one that was added verifies."""
    sign(model, signature, private=key["private"])
    (model / "link").symlink_to("config.json")
    assert check(model, signature) == "artifact.symlink"
    assert check(model, signature, "--allow-symlinks") == "artifact.symlink"  # the signer allowed none
    assert check(model, signature, "--ignore-unsigned-files") is None  # an unsigned file like any other
    (model / "weights.bin").rename(model / "moved")
    (model / "weights.bin").symlink_to("moved")
    assert check(model, signature, "--ignore-unsigned-files") == "artifact.symlink"


# 8. Files under ignored paths verify by design; they must not be loaded.

def test_files_added_under_git_verify_and_are_never_loaded(cli, key, check, model, signature, tmp_path):
    sign(model, signature, private=key["private"])
    write_model(model, {".git/evil.py": b"1", ".github/x": b"2"})
    assert verifies(model, signature, public=key["public"])
    assert check(model, signature) is None
    # Loading takes only what was signed: the store has no such file.
    (model / "model.sig").write_bytes(signature.read_bytes())
    cli.ok("model", "add", model, "--public-key", key["public"])
    stored = {path.name for path in (cli.state / "store").rglob("*")}
    assert "weights.bin" in stored
    assert "evil.py" not in stored and "x" not in stored


def test_a_signed_file_under_an_ignored_path_is_refused(key, check, model, signature):
    (model / ".git").mkdir()
    (model / ".git/config").write_bytes(b"x")
    statement = statement_over({**FILES, ".git/config": b"x"})
    signature.write_text(bundle_around(key["private"], key["public"], json.dumps(statement).encode()))
    assert check(model, signature) == "signature.ignored_read"
    sign(model, signature, private=key["private"])
    assert check(model, signature, "--ignore-paths", model / "weights.bin") == "signature.ignored_read"


# 9. An empty folder signs and verifies with the peer.

def test_an_empty_model_is_refused(session_cli, key, check, tmp_path, signature):
    empty = tmp_path / "model"
    (empty / ".git").mkdir(parents=True)
    sign(empty, signature, private=key["private"])
    assert verifies(empty, signature, public=key["public"])
    assert check(empty, signature) == "signature.no_resources"
    signature.unlink()
    ours_signs(session_cli, key, empty, signature, code="artifact.empty")


# 11. Names that leave the model; ignored paths that leak from one model into the next.

@pytest.mark.parametrize("name", ["../outside", "a/../../outside", "/etc/hostname", "./config.json", "a//b", "", "a/"])
def test_names_that_leave_the_model_or_are_ambiguous(key, check, model, signature, name):
    (model.parent / "outside").write_bytes(b"secret")
    statement = statement_over({**FILES, name: b"secret"})
    signature.write_text(bundle_around(key["private"], key["public"], json.dumps(statement).encode()))
    assert check(model, signature) == "signature.resource_name"
    assert check(model, signature, "--ignore-unsigned-files") == "signature.resource_name"


def test_the_peer_reads_outside_of_the_model(key, check, model, signature):
    (model.parent / "outside").write_bytes(b"secret")
    statement = statement_over({**FILES, "../outside": b"secret"})
    signature.write_text(bundle_around(key["private"], key["public"], json.dumps(statement).encode()))
    import model_signing
    peer = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key["public"])
    peer.set_hashing_config(hashing(signature, model)).set_ignore_unsigned_files(True)
    peer.verify(model, signature)
    assert check(model, signature, "--ignore-unsigned-files") == "signature.resource_name"


def test_ignored_paths_of_one_model_are_not_those_of_the_next(key, check, tmp_path):
    import model_signing
    first = write_model(tmp_path / "first", {"a": b"1", "skip": b"2"})
    second = write_model(tmp_path / "second", {"a": b"1"})
    config = model_signing.hashing.Config().set_ignored_paths(paths=["skip"])
    model_signing.signing.Config().use_elliptic_key_signer(private_key=key["private"]).set_hashing_config(
        config).sign(first, tmp_path / "first.sig")
    sign(second, tmp_path / "second.sig", private=key["private"])
    (second / "skip").write_bytes(b"evil")
    peer = model_signing.verifying.Config().use_elliptic_key_verifier(public_key=key["public"])
    peer.verify(first, tmp_path / "first.sig")
    peer.verify(second, tmp_path / "second.sig")  # it does not see the added file
    assert check(first, tmp_path / "first.sig") is None
    assert check(second, tmp_path / "second.sig") == "signature.file_unsigned"


# 10. The peer hashes by path and returns; a loader opens the path again. Loading here takes the bytes that
# were hashed: tests/attacks/test_load_race.py.


# Go: a bundle without exactly one signature; P-521; and what both read too freely.

def test_a_second_signature_is_not_passed_over(key, check, model, signature):
    sign(model, signature, private=key["private"])
    bundle = json.loads(signature.read_text())
    bundle["dsseEnvelope"]["signatures"].append({"sig": "AAAA", "keyid": ""})
    signature.write_text(json.dumps(bundle))
    assert verifies(model, signature, public=key["public"])
    assert check(model, signature) == "signature.count"


def test_a_wrong_root_digest(key, check, model, signature):
    statement = statement_over(FILES)
    statement["subject"][0]["digest"]["sha256"] = "0" * 64
    signature.write_text(bundle_around(key["private"], key["public"], json.dumps(statement).encode()))
    assert check(model, signature) == "signature.root_digest"


def test_a_file_listed_twice(key, check, model, signature):
    statement = statement_over(FILES)
    resources = statement["predicate"]["resources"]
    resources.append(dict(resources[0], digest="0" * 64))
    signature.write_text(bundle_around(key["private"], key["public"], json.dumps(with_root(statement)).encode()))
    assert check(model, signature) == "signature.resource_duplicate"


def test_a_member_named_twice(key, check, model, signature):
    """Two readers of one text must not read two things: JSON that names a member twice is refused."""
    text = json.dumps(statement_over(FILES)).replace('"method": "files"', '"method": "shards", "method": "files"')
    signature.write_text(bundle_around(key["private"], key["public"], text.encode()))
    assert check(model, signature) == "signature.bundle_field"


def test_a_name_without_bundle_around_one_file(key, check, tmp_path, signature):
    """Both peers refuse the specification's base name for a model that is one file, and write "." themselves."""
    model = tmp_path / "weights.bin"
    model.write_bytes(b"weights")
    for name in (".", "weights.bin"):
        payload = json.dumps(statement_over({name: b"weights"})).encode()
        signature.write_text(bundle_around(key["private"], key["public"], payload))
        assert check(model, signature) is None
    assert not verifies(model, signature, public=key["public"])


# Older forms that a verifier should take.

@pytest.mark.parametrize("material", [
    {"rawBytes": "AAAA", "keyDetails": "PKIX_ECDSA_P256_SHA_256"},  # before 1.1; whatever key it carries is not used
    {"hint": ""},
    {"keyDetails": "PKIX_ECDSA_P256_SHA_256", "rawBytes": ""},
])
def test_bundles_without_a_hint(key, check, model, signature, material, tmp_path):
    payload = json.dumps(statement_over(FILES)).encode()
    signature.write_text(bundle_around(key["private"], key["public"], payload, **material))
    assert check(model, signature) is None
    other = new_key(tmp_path, name="other")[1]
    assert check(model, signature, public=other) == "signature.untrusted_key"


def test_statements_that_do_not_say_what_they_ignore(key, check, model, signature):
    statement = statement_over(FILES)
    del statement["predicate"]["serialization"]["ignore_paths"]
    signature.write_text(bundle_around(key["private"], key["public"], json.dumps(statement).encode()))
    (model / ".gitignore").write_bytes(b"x")
    assert check(model, signature) is None
    (model / "sub").mkdir()
    (model / "sub/.gitignore").write_bytes(b"x")  # the default ones are at the top only
    assert check(model, signature) == "signature.file_unsigned"


@pytest.mark.parametrize("size, code", [(4.0, None), (4, None), (1e9, None), (4.5, "signature.bundle_field"),
                                        (0, "signature.bundle_field"), (-4, "signature.bundle_field"),
                                        ("4", "signature.bundle_field")])
def test_shard_sizes_as_numbers_without_integers_write_them(key, check, model, signature, size, code):
    statement = statement_over({}, method="shards", shard_size=size)
    step = int(size) if isinstance(size, (int, float)) and size > 0 else 4
    for name, data in sorted(FILES.items()):
        for start in range(0, len(data), step):
            part = data[start:start + step]
            statement["predicate"]["resources"].append({
                "name": f"{name}:{start}:{start + len(part)}", "algorithm": f"sha256-sharded-{step}",
                "digest": hashlib.sha256(part).hexdigest()})
    payload = json.dumps(with_root(statement)).encode()
    signature.write_text(bundle_around(key["private"], key["public"], payload))
    assert check(model, signature) == code


@pytest.mark.parametrize("media_type", ["application/vnd.dev.sigstore.bundle+json;version=0.1",
                                        "application/vnd.dev.sigstore.bundle+json;version=0.3", "", "text/plain"])
def test_other_media_types(key, check, model, signature, media_type):
    sign(model, signature, private=key["private"])
    signature.write_text(json.dumps(dict(json.loads(signature.read_text()), mediaType=media_type)))
    assert check(model, signature) == "signature.media_type"


def test_members_that_nobody_knows(key, check, model, signature):
    sign(model, signature, private=key["private"])
    signature.write_text(json.dumps(dict(json.loads(signature.read_text()), extra=1)))
    assert check(model, signature) == "signature.bundle_field"


@pytest.mark.parametrize("curve, digest", [("P-256", "sha256"), ("P-384", "sha256"), ("P-384", "sha384"), ("P-521", "sha256")])
def test_what_the_first_release_signed_with_a_key(cli, check, model, signature, tmp_path, curve, digest):
    """Its encoding has another first word and Python's own form of bytes. The peer reads it in its command, ours
    too; elsewhere only where a source of the policy allows it."""
    from model_signing._signing.sign_sigstore_pb import pae_compat
    private, public = new_key(tmp_path, curve)
    payload = json.dumps({"_type": "https://in-toto.io/Statement/v1", "predicateType": "https://model_signing/Digests/v0.1",
                          "predicate": {"unused": "'quoted' and \u00fc"}, "subject": [
                              {"name": name, "digest": {"sha256": hashlib.sha256(data).hexdigest()}}
                              for name, data in FILES.items()]}, indent=2).encode()
    bundle = json.loads(bundle_around(private, public, payload, rawBytes="AAAA"))
    raw = openssl("dgst", f"-{digest}", "-sign", private, input=pae_compat(payload))
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(raw).decode()
    signature.write_text(json.dumps(bundle))
    assert check(model, signature, public=public) is None
    (model / "model.sig").write_bytes(signature.read_bytes())
    verify = ["verify", model, "--public-key", public, "--json"]
    assert json.loads(cli.run(*verify).stdout)["error"]["code"] == "signature.untrusted_key"
    (model / "model.sig").unlink()
    (model / "weights.bin").write_bytes(b"changed")
    assert check(model, signature, public=public) == "signature.digest_mismatch"


# What a mistyped encoding must not pass as.

def test_the_signature_is_over_the_encoding_not_the_payload(key, check, model, signature):
    payload = json.dumps(statement_over(FILES)).encode()
    bundle = json.loads(bundle_around(key["private"], key["public"], payload))
    raw = openssl("dgst", "-sha256", "-sign", key["private"], input=payload)
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = base64.b64encode(raw).decode()
    signature.write_text(json.dumps(bundle))
    assert check(model, signature) == "signature.invalid"
    assert encoded(payload) != payload
