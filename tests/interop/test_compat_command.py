# SPDX-License-Identifier: Apache-2.0
"""`mlxguard compat model-signing` is the Python command line: every verb, method and flag of the installed
package, in both spellings, with its defaults and exit codes. What is not offered says so."""
import datetime
import json
import os
import pathlib
import shutil
import subprocess
import time

import click
import pytest
from model_signing._cli import main as peer_command

from model_signing_peer import dated_leaf, new_chain, new_key, openssl, revocations, sign, verifies, write_model

MODULE = pathlib.Path("/usr/lib/softhsm/libsofthsm2.so")


def commands():
    for verb in ("sign", "verify"):
        for method, command in peer_command.commands[verb].commands.items():
            yield verb, method, command


def spellings(flag):
    return {"--" + flag[2:].replace("-", "_"), "--" + flag[2:].replace("_", "-"), flag}


@pytest.mark.parametrize("verb, method, command", list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_every_flag_of_the_peer_is_known(session_cli, verb, method, command):
    """Each flag alone: understood, if an error comes then not about an unknown argument."""
    for parameter in command.params:
        if isinstance(parameter, click.Argument):
            continue
        for flag in [*parameter.opts, *parameter.secondary_opts]:
            for spelled in spellings(flag):
                value = [] if parameter.is_flag else ["value"]
                done = session_cli.run("compat", "model-signing", verb, method, spelled, *value, "model")
                assert "not expected" not in done.stderr, (spelled, done.stderr)
                assert "[usage]" not in done.stderr or "is required" in done.stderr, (spelled, done.stderr)
                assert done.returncode in (1, 2)


@pytest.mark.parametrize("verb, method, command", list(commands()), ids=lambda value: value if isinstance(value, str) else "")
def test_what_the_peer_requires_is_required(session_cli, verb, method, command):
    required = [parameter for parameter in command.params if parameter.required]
    if method == "sigstore":
        return  # not offered, whatever the flags
    for missing in required:
        args = []
        for parameter in required:
            if parameter is not missing:
                args += ["model"] if isinstance(parameter, click.Argument) else [parameter.opts[0], "value"]
        assert session_cli.run("compat", "model-signing", verb, method, *args).returncode == 2


@pytest.mark.parametrize("args", [["sign", "sigstore", "m"], ["sign", "m"], ["sign", "--use_staging", "m"],
                                  ["verify", "m", "--signature", "s", "--identity", "a", "--identity_provider", "b"],
                                  ["verify", "sigstore", "m", "--signature", "s", "--identity", "a",
                                   "--identity-provider", "b"]])
def test_keyless_is_not_offered_and_says_so(session_cli, tmp_path, args):
    done = session_cli.run("compat", "model-signing", *args, cwd=tmp_path)
    assert done.returncode == 1
    assert "not offered" in done.stderr and "[signature.material_unsupported]" in done.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def place(tmp_path):
    write_model(tmp_path / "model", {"a": b"1", ".gitignore": b"x", "skip/b": b"2", "c": b"3"})
    new_key(tmp_path)
    return tmp_path


def names_in(signature):
    from model_signing_peer import statement_in
    return [resource["name"] for resource in statement_in(signature)["predicate"]["resources"]]


def test_defaults_are_the_peers(session_cli, place):
    """model.sig in the current folder; git's own files left out; both words of success."""
    done = session_cli.ok("compat", "model-signing", "sign", "key", "--private_key", "P-256.pem", "model", cwd=place)
    assert done.stdout == "Signing succeeded\n"
    assert names_in(place / "model.sig") == ["a", "c", "skip/b"]
    done = session_cli.ok("compat", "model-signing", "verify", "key", "--public_key", "P-256.pub", "--signature",
                          "model.sig", "model", cwd=place)
    assert done.stdout == "Verification succeeded\n"
    (place / "model/a").write_bytes(b"changed")
    done = session_cli.run("compat", "model-signing", "verify", "key", "--public_key", "P-256.pub", "--signature",
                           "model.sig", "model", cwd=place)
    assert done.returncode == 1
    assert done.stdout == ""
    assert "Verification failed with error: " in done.stderr


def test_ignored_paths_are_those_of_the_current_folder(session_cli, place):
    session_cli.ok("compat", "model-signing", "sign", "key", "--private_key", "../P-256.pem", "--ignore-paths", "skip",
                   "--ignore_paths", place / "model/c", "--ignore-paths", place / "elsewhere", "--no-ignore-git-paths",
                   "--signature", "own.sig", ".", cwd=place / "model")
    assert names_in(place / "model/own.sig") == [".gitignore", "a"]
    assert verifies(place / "model", place / "model/own.sig", public=place / "P-256.pub", ignore_git_paths=False)
    session_cli.ok("compat", "model-signing", "verify", "key", "--public_key", "P-256.pub", "--no-ignore-git-paths",
                   "--signature", "model/own.sig", "model", cwd=place)
    write_model(place / "model", {"new": b"1"})
    verify = ["compat", "model-signing", "verify", "key", "--public_key", "P-256.pub", "--no-ignore_git_paths",
              "--signature", "model/own.sig", "model"]
    assert session_cli.json(*verify, cwd=place, exit_code=1)["error"]["code"] == "signature.file_unsigned"
    session_cli.ok(*verify, "--ignore-unsigned-files", cwd=place)
    session_cli.ok(*verify, "--ignore-paths", "model/new", cwd=place)


def test_a_model_sig_that_is_not_the_bundle_is_a_file(session_cli, place):
    """As with the peer: only the named signature is left out."""
    model, key = place / "model", {"private": place / "P-256.pem", "public": place / "P-256.pub"}
    sign(model, model / "model.sig", private=key["private"])
    session_cli.ok("compat", "model-signing", "sign", "key", "--private-key", key["private"], "--signature",
                   model / "second.sig", model)
    assert "model.sig" in names_in(model / "second.sig")
    assert verifies(model, model / "second.sig", public=key["public"])
    (model / "model.sig").write_bytes(b"changed")
    assert session_cli.json("compat", "model-signing", "verify", "key", "--public-key", key["public"], "--signature",
                            model / "second.sig", model, exit_code=1)["error"]["code"] == "signature.digest_mismatch"


@pytest.mark.parametrize("name", ["model.sig", "own.sig", "skip/own.sig"])
def test_what_a_killed_signer_left_is_no_file_of_the_model(session_cli, place, name):
    """A bundle inside the model is written under another name first."""
    signature = place / "model" / name
    sign_it = ["compat", "model-signing", "sign", "key", "--private-key", place / "P-256.pem", "--signature", signature,
               place / "model"]
    verify_it = ["compat", "model-signing", "verify", "key", "--public-key", place / "P-256.pub", "--signature", signature,
                 place / "model"]
    session_cli.ok(*sign_it)
    unfinished = signature.parent / f".{signature.name}.new"
    unfinished.write_text("half of a bund")
    session_cli.ok(*verify_it)
    unfinished.rename(unfinished.parent / "other.new")
    assert session_cli.json(*verify_it, exit_code=1)["error"]["code"] == "signature.file_unsigned"
    unfinished.parent.joinpath("other.new").rename(unfinished)
    session_cli.ok(*sign_it)
    assert not unfinished.exists()
    assert names_in(signature) == ["a", "c", "skip/b"]
    session_cli.ok(*verify_it)


def test_a_signature_does_not_replace_a_device(session_cli, place):
    (place / "out").symlink_to("/dev/stdout")
    for target in ("out", "model/skip"):
        answer = session_cli.json("compat", "model-signing", "sign", "key", "--private-key", "P-256.pem", "--signature",
                                  target, "model", cwd=place, exit_code=1)
        assert answer["error"]["code"] == "usage"
    assert (place / "out").is_symlink() and (place / "model/skip").is_dir()


@pytest.mark.parametrize("args, code", [
    (["sign", "key", "--private-key", "missing.pem", "model"], "io.not_found"),
    (["sign", "key", "--private-key", "P-256.pub", "model"], "pem.invalid"),
    (["sign", "key", "--private-key", "P-256.pem", "missing"], "artifact.not_found"),
    (["sign", "key", "--private-key", "P-256.pem", "--ignore-paths", "model", "model"], "usage"),
    (["sign", "key", "--private-key", "P-256.pem", "--signature", "model", "model"], "usage"),
    (["sign", "key", "--private-key", "P-256.pem", "--signature", "missing/s", "model"], "io.not_found"),
    (["verify", "key", "--public-key", "P-256.pub", "--signature", "missing", "model"], "signature.missing"),
    (["verify", "key", "--public-key", "missing", "--signature", "model/a", "model"], "signature.bundle_syntax"),
    (["digest", "missing"], "artifact.not_found"),
])
def test_failures_exit_with_one_and_a_code(session_cli, place, args, code):
    before = sorted(path.name for path in place.rglob("*"))
    assert session_cli.json("compat", "model-signing", *args, cwd=place, exit_code=1)["error"]["code"] == code
    assert sorted(path.name for path in place.rglob("*")) == before


def test_digest_is_the_peers_root_digest(session_cli, place):
    from model_signing_peer import statement_in
    write_model(place / "model", {"x/b": b"1", "x-b": b"2"})  # ordered differently by the specification
    sign(place / "model", place / "their.sig", private=place / "P-256.pem")
    root = statement_in(place / "their.sig")["subject"][0]["digest"]["sha256"]
    assert session_cli.ok("compat", "model_signing", "digest", place / "model").stdout == f"sha256:{root}\n"


def test_a_key_that_everybody_may_write_is_refused_one_of_the_group_is_remarked_on(session_cli, place):
    verify = ["compat", "model-signing", "sign", "key", "--private-key", place / "P-256.pem", "--signature",
              place / "s.sig", place / "model"]
    (place / "P-256.pem").chmod(0o660)
    assert "written by its group" in session_cli.ok(*verify).stderr
    (place / "P-256.pem").chmod(0o666)
    assert session_cli.json(*verify, exit_code=1)["error"]["code"] == "key.permissions"


def test_every_use_of_a_key_and_every_answer_is_on_record(cli, place):
    cli.ok("compat", "model-signing", "sign", "key", "--private-key", place / "P-256.pem", "--signature",
           place / "s.sig", place / "model")
    (place / "model/a").write_bytes(b"changed")
    cli.run("compat", "model-signing", "verify", "key", "--public-key", place / "P-256.pub", "--signature",
            place / "s.sig", place / "model")
    for kind in ("key.used", "model.signed", "model.refused"):
        assert len(cli.events("--type", kind)) == 1, kind
    assert cli.events("--type", "model.refused")[0]["code"] == "signature.digest_mismatch"


def test_a_revoked_key_is_believed_no_more(cli, place):
    model, signature = place / "model", place / "s.sig"
    cli.ok("sign", model, "--key", "signer", "--passphrase-file", cli.passphrase_file)
    shutil.move(model / "model.sig", signature)
    public = place / "signer.pub"
    shutil.copy(cli.state / "keys/signer.pub", public)
    verify = ["compat", "model-signing", "verify", "key", "--public-key", public, "--signature", signature, model]
    cli.ok(*verify)
    cli.new_key("other")
    cli.ok("key", "revoke", "signer", "--signed-by", "other", "--reason", "lost", "--passphrase-file", cli.passphrase_file)
    assert cli.json(*verify, exit_code=1)["error"]["code"] == "key.revoked"


@pytest.fixture(scope="module")
def chain(tmp_path_factory):
    return new_chain(tmp_path_factory.mktemp("chain"))


def sign_by_certificate(cli, chain, model, signature, leaf="leaf", code=None, key=None):
    answer = cli.json("compat", "model-signing", "sign", "certificate", "--private_key", key or chain["leaf_key"],
                      "--signing_certificate", chain[leaf], "--certificate_chain", chain["intermediate"], "--signature",
                      signature, model, exit_code=0 if code is None else 1)
    assert (answer.get("error") or {}).get("code") == code


@pytest.fixture
def check(session_cli, chain):
    def checked(model, signature, *flags, authority=None):
        done = session_cli.run("compat", "model-signing", "verify", "certificate", "--certificate_chain",
                               authority or chain["root"], "--signature", signature, *flags, model, "--json")
        return (json.loads(done.stdout).get("error") or {}).get("code")
    return checked


def test_certificates(session_cli, chain, place, check, tmp_path):
    model, signature = place / "model", place / "s.sig"
    sign_by_certificate(session_cli, chain, model, signature)
    assert verifies(model, signature, chain=chain)
    assert check(model, signature) is None
    assert check(model, signature, "--certificate-identity", "release@example.org") is None
    assert check(model, signature, "--certificate-identity", "email:release@example.org") is None
    assert check(model, signature, "--certificate-identity", "elease@example.org") == "certificate.identity"
    assert check(model, signature, authority=new_chain(tmp_path)["root"]) == "certificate.untrusted"
    assert check(model, signature, authority=chain["intermediate"]) == "certificate.untrusted"
    done = session_cli.ok("compat", "model-signing", "verify", "certificate", "--certificate_chain", chain["root"],
                          "--log_fingerprints", "--signature", signature, model)
    fingerprint = subprocess.run(["openssl", "x509", "-in", chain["leaf"], "-noout", "-fingerprint", "-sha256"],
                                 capture_output=True, text=True, check=True).stdout.strip().split("=")[1]
    assert fingerprint in done.stderr
    done = session_cli.run("compat", "model-signing", "verify", "certificate", "--signature", signature, model)
    assert done.returncode == 1 and "[signature.no_trusted_keys]" in done.stderr


@pytest.mark.parametrize("form", ["PEM", "DER"])
def test_revocation_lists_as_large_as_authorities_have_them(session_cli, chain, place, check, tmp_path, form):
    model, signature = place / "model", place / "s.sig"
    sign_by_certificate(session_cli, chain, model, signature)

    def written(crl):
        out = crl.with_suffix(f".{form}")
        openssl("crl", "-in", crl, "-outform", form, "-out", out)
        return ["--crl", out]
    root = written(revocations(chain, tmp_path, "root"))
    good = revocations(chain, tmp_path, "intermediate", others=5000)
    assert good.stat().st_size > 100_000
    assert check(model, signature, *root, *written(good)) is None
    assert check(model, signature, *root) == "certificate.crl"
    bad = revocations(chain, tmp_path, "intermediate", revoked=chain["leaf"], others=5000)
    assert check(model, signature, *root, *written(bad)) == "certificate.revoked"
    assert check(model, signature, "--crl", signature) == "certificate.crl"


def test_who_signs_has_the_certificates_key(session_cli, chain, place):
    sign_by_certificate(session_cli, chain, place / "model", place / "s.sig", code="certificate.invalid",
                        key=place / "P-256.pem")
    assert not (place / "s.sig").exists()


def test_a_certificate_that_is_not_valid_now(session_cli, chain, place, check, tmp_path):
    """The peer takes a leaf that expired years ago: it sets its clock to when the leaf's validity began."""
    model, signature = place / "model", place / "s.sig"
    now = datetime.datetime.now(datetime.timezone.utc)
    begin, end = (f"{now + datetime.timedelta(seconds=s):%Y%m%d%H%M%SZ}" for s in (0, 1))
    certificates = dict(chain, leaf=dated_leaf(tmp_path, chain, "expired", begin, end))
    time.sleep(2)
    sign_by_certificate(session_cli, certificates, model, signature, code="certificate.expired")
    sign(model, signature, chain=certificates)
    assert verifies(model, signature, chain=certificates)
    assert check(model, signature) == "certificate.expired"
    certificates["leaf"] = dated_leaf(tmp_path, chain, "early", "20980101000000Z", "20990102000000Z")
    sign_by_certificate(session_cli, certificates, model, place / "no.sig", code="certificate.not_yet_valid")
    sign(model, signature, chain=certificates)
    assert check(model, signature) == "certificate.not_yet_valid"


@pytest.fixture(scope="module")
def token(tmp_path_factory):
    """A SoftHSM2 token with one EC key: the environment of who uses it, its URI, its PIN's file."""
    if not MODULE.exists() or shutil.which("softhsm2-util") is None:
        pytest.skip("SoftHSM2 is not installed")
    place = tmp_path_factory.mktemp("token")
    (place / "tokens").mkdir()
    (place / "softhsm2.conf").write_text(f"directories.tokendir = {place / 'tokens'}\nobjectstore.backend = file\n")
    env = {**os.environ, "SOFTHSM2_CONF": str(place / "softhsm2.conf")}
    subprocess.run(["softhsm2-util", "--init-token", "--free", "--label", "compat", "--pin", "123456", "--so-pin", "12345678"],
                   env=env, check=True, capture_output=True)
    private, public = new_key(place)
    openssl("pkcs8", "-topk8", "-nocrypt", "-in", private, "-out", place / "p8.pem")
    subprocess.run(["softhsm2-util", "--import", place / "p8.pem", "--token", "compat", "--label", "signer", "--id", "01",
                    "--pin", "123456"], env=env, check=True, capture_output=True)
    (place / "pin").write_text("123456\n")
    (place / "pin").chmod(0o600)
    return {"env": env, "uri": f"pkcs11:token=compat;object=signer?module-path={MODULE}", "pin": place / "pin",
            "private": private, "public": public}


@pytest.mark.parametrize("spelled", ["--pkcs11_uri", "--pkcs11-uri"])
def test_a_key_on_a_token(session_cli, place, token, spelled):
    session_cli.ok("compat", "model-signing", "sign", "pkcs11-key", spelled, token["uri"], "--pin-file", token["pin"],
                   "--signature", place / "s.sig", place / "model", env=token["env"])
    assert verifies(place / "model", place / "s.sig", public=token["public"])
    with_pin = token["uri"] + f"&pin-source=file:{token['pin']}"
    session_cli.ok("compat", "model-signing", "sign", "pkcs11-key", spelled, with_pin, "--signature", place / "s.sig",
                   place / "model", env=token["env"], input="")
    session_cli.ok("compat", "model-signing", "verify", "key", "--public_key", token["public"], "--signature", place / "s.sig",
                   place / "model")


def test_a_uri_with_the_pin_inside_as_the_peers_users_write_it(cli, place, token):
    """It works, with a note; nobody but the token is told the PIN."""
    uri = token["uri"].split("?")[0] + "?pin-value=123456&module-name=softhsm2"
    sign_it = ["compat", "model-signing", "sign", "pkcs11-key", "--signature", place / "s.sig", place / "model", "--pkcs11-uri"]
    done = cli.ok(*sign_it, uri, env=token["env"])
    assert "can be read by other processes" in done.stderr
    assert verifies(place / "model", place / "s.sig", public=token["public"])
    refused = cli.json(*sign_it, uri.replace("object=signer", "object=nobody"), env=token["env"], exit_code=1)
    assert refused["error"]["code"] == "token.key_not_found"
    assert [event["code"] for event in cli.events("--type", "key.refused")] == ["token.key_not_found"]
    assert "123456" not in cli.ok("log", "query", "--json").stdout + done.stdout + done.stderr + json.dumps(refused)


def test_a_certificate_whose_key_is_on_a_token(session_cli, place, token, chain, tmp_path, check):
    leaf = dated_leaf(tmp_path, dict(chain, leaf_key=token["private"]), "token", "20260101000000Z", "20980101000000Z")
    session_cli.ok("compat", "model-signing", "sign", "pkcs11-certificate", "--pkcs11-uri", token["uri"], "--pin-file",
                   token["pin"], "--signing_certificate", leaf, "--certificate_chain", chain["intermediate"], "--signature",
                   place / "s.sig", place / "model", env=token["env"])
    assert check(place / "model", place / "s.sig") is None
