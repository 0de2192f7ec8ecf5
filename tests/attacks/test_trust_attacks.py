# SPDX-License-Identifier: Apache-2.0
"""What someone tries who wants a model admitted that the operator's policy refuses. None of it works."""
import json
import os
import pathlib
import shutil
import subprocess
import threading
import time

import pytest


@pytest.fixture
def model(cli, tmp_path) -> pathlib.Path:
    """Signed by a key that is known here; the policy allows another one only."""
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    cli.new_key("trusted")
    cli.sign(folder)
    cli.ok("trust", "add", "s", "--path", folder.parent, "--signer", "trusted")
    return folder


def code_of(cli, *args) -> str:
    done = cli.run(*args, "--json")
    assert done.returncode != 0, done.stdout
    return json.loads(done.stdout)["error"]["code"]


def test_as_it_is(cli, model):
    assert code_of(cli, "verify", model) == "trust.signer"


def test_the_policy_is_taken_away(cli, model):
    assert code_of(cli, "verify", model) == "trust.signer"
    (cli.state / "trust.toml").unlink()
    assert code_of(cli, "verify", model) == "trust.policy_rollback"
    assert code_of(cli, "trust", "add", "new", "--path", model, "--signer", "signer") == "trust.policy_rollback"


def test_the_memory_of_versions_is_damaged(cli, model):
    assert code_of(cli, "verify", model) == "trust.signer"
    (cli.state / "trust" / "seen.json").write_text("{")
    assert code_of(cli, "verify", model) == "trust.policy_rollback"


@pytest.mark.parametrize("what", ["file", "folder"])
def test_a_policy_that_someone_else_may_write_or_replace(cli, model, what):
    (cli.state / "trust.toml" if what == "file" else cli.state).chmod(0o777)
    assert code_of(cli, "trust", "list") == "io.unsafe_permissions"


def test_a_policy_of_someone_else_behind_a_link(cli, model, tmp_path):
    theirs = tmp_path / "theirs.toml"
    theirs.write_text("version = 99\nmode = 'warn'\n")
    os.chown(theirs, 12345, 12345)
    (cli.state / "trust.toml").unlink()
    (cli.state / "trust.toml").symlink_to(theirs)
    assert code_of(cli, "verify", model) == "io.unsafe_permissions"


def test_a_fifo_in_the_place_of_the_policy_does_not_block(cli, model):
    (cli.state / "trust.toml").unlink()
    os.mkfifo(cli.state / "trust.toml", 0o600)
    assert code_of(cli, "verify", model) == "io.unsafe_permissions"


def test_a_link_into_the_source_from_elsewhere_and_out_of_it(cli, model, tmp_path):
    """Where a model really is counts, not how it was named."""
    cli.sign(model, "trusted")
    assert cli.json("verify", model)["status"] == "verified"
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(model, elsewhere / "net")
    (model.parent / "link").symlink_to(elsewhere)
    assert code_of(cli, "verify", model.parent / "link" / "net") == "trust.no_source"
    assert code_of(cli, "verify", f"{model.parent}/../elsewhere/net") == "trust.no_source"
    assert code_of(cli, "verify", f"{model.parent}/link/../elsewhere/net") == "trust.no_source"


def test_a_model_calls_itself_another_one(cli, model, tmp_path):
    """The id in mlxguard.json is its signer's word: it chooses among the rules for that signer, no more."""
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "hub", "--hf", "good/*", "--signer", "trusted")
    (model / "mlxguard.json").write_text(json.dumps({"origin": {"hugging_face": "good/net"}}))
    cli.sign(model)
    assert code_of(cli, "verify", model) == "trust.signer"
    cli.sign(model, "trusted")
    assert cli.json("verify", model)["status"] == "verified"
    assert code_of(cli, "verify", model, "--hf", "good/other") == "trust.no_source"


@pytest.mark.parametrize("data", [b"{", b"[]", b'{"version": {}}', b'{"version": "1", "version": "2"}',
                                  b'{"origin": 1}', b"\xff", b"[" * 100000],
                         ids=["cut", "list", "version", "twice", "origin", "bytes", "deep"])
def test_notes_that_are_malformed(cli, model, data):
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "trusted", "--min-version", "0.1")
    (model / "mlxguard.json").write_bytes(data)
    cli.sign(model, "trusted")
    assert code_of(cli, "verify", model) in ("manifest.invalid", "trust.version")


def test_bundles_of_untrusted_signers_add_nothing_and_take_nothing(cli, model, tmp_path):
    cli.sign(model, "trusted")
    stranger = tmp_path / "stranger"
    for command in (["key", "new", "x"], ["sign", model, "--key", "x", "--add"]):
        done = cli.run(*command, "--passphrase-file", cli.passphrase_file, "--state", stranger)
        assert done.returncode == 0, done.stderr
    checked = cli.json("trust", "check", model)
    assert checked["status"] == "allowed"
    assert checked["not_counted"][0]["code"] == "signature.untrusted_key"


def test_too_many_bundles(cli, model):
    cli.sign(model, "trusted")
    (model / "model.sig.d").mkdir()
    for i in range(32):
        shutil.copy(model / "model.sig", model / "model.sig.d" / f"{i}.sig")
    assert code_of(cli, "verify", model) == "signature.count"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_something_else_in_the_place_of_a_bundle(cli, model, kind):
    cli.sign(model, "trusted")
    (model / "model.sig.d").mkdir()
    place = model / "model.sig.d" / "x.sig"
    if kind == "link":
        place.symlink_to("../model.sig")
    elif kind == "fifo":
        os.mkfifo(place)
    else:
        place.mkdir()
        (place / "weights.safetensors").write_bytes(b"x")
    assert code_of(cli, "verify", model) in ("artifact.symlink", "artifact.special_file",
                                             "signature.file_unsigned")


def test_two_changes_at_once_are_both_there(cli, model):
    commands = [subprocess.Popen([cli.binary, "trust", "add", f"n{i}", "--path", f"/n{i}", "--signer", "trusted",
                                  "--state", cli.state], stderr=subprocess.PIPE) for i in range(8)]
    for command in commands:
        assert command.wait() == 0, command.stderr.read()
    listed = cli.json("trust", "list")
    assert len(listed["sources"]) == 9 and listed["policy"]["version"] == 9


def test_readers_see_the_old_policy_or_the_new_one_while_it_changes(cli, model, tmp_path):
    """Signed, so that a half of one would be refused."""
    cli.new_key("root")
    config = tmp_path / "mlxguard.toml"
    print_ = cli.json("key", "show", "root")["fingerprint"]
    config.write_text(f'[trust]\nroot_key = "{print_}"\n')
    sign = ("trust", "sign", "--key", "root", "--passphrase-file", cli.passphrase_file, "-c", config)
    cli.ok(*sign, "--expires", "2098-01-01")
    ended = threading.Event()

    def change():
        for _ in range(12):
            cli.ok(*sign)
        ended.set()

    thread = threading.Thread(target=change)
    thread.start()
    codes = set()
    while not ended.is_set():
        codes.add(code_of(cli, "verify", model, "-c", config))
    thread.join()
    assert codes == {"trust.signer"}


def test_a_model_is_swapped_while_it_is_stored(cli, model, tmp_path):
    """What the policy judged is what lies in the store, whatever happens to the folder it came from."""
    cli.sign(model, "trusted")
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "trusted", "--formats", "safetensors")
    (model / "pad.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}" + bytes(64 << 20))
    (model / "z.safetensors").write_bytes(b"\x80\x04K\x01.")  # a pickle
    cli.sign(model, "trusted")
    stop = threading.Event()

    def swap():
        bad, good = (model / "z.safetensors").read_bytes(), b"\x02\0\0\0\0\0\0\0{}"
        while not stop.is_set():
            for data in (good, bad):
                (tmp_path / "new").write_bytes(data)
                os.replace(tmp_path / "new", model / "z.safetensors")
                time.sleep(0.001)

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(15):
            assert code_of(cli, "model", "add", model) in ("trust.format", "signature.digest_mismatch",
                                                           "artifact.changed")
    finally:
        stop.set()
        thread.join()
    assert cli.json("model", "list")["models"] == []


# ---- several signers ----------------------------------------------------------------------------


def add_signature(cli, model, key):
    return cli.ok("sign", model, "--key", key, "--add", "--passphrase-file", cli.passphrase_file)


def revoke(cli, key, *more):
    return cli.ok("key", "revoke", key, "--passphrase-file", cli.passphrase_file, *more)


def test_one_key_written_in_two_ways_is_one_signer(cli, model):
    """The point of a public key may be written compressed: that is no second key."""
    keys = cli.state / "keys"
    subprocess.run(["openssl", "ec", "-pubin", "-in", keys / "trusted.pub", "-conv_form", "compressed", "-out",
                    keys / "twin.pub"], check=True, capture_output=True)
    done = cli.run("trust", "add", "two", "--path", model, "--signer", "trusted", "--signer", "twin", "--threshold", "2")
    assert done.returncode == 2 and "[trust.policy]" in done.stderr
    done = cli.run("trust", "add", "two", "--path", model, "--signer", "trusted", "--signer", keys / "twin.pub",
                   "--threshold", "2")
    assert done.returncode == 2 and "[trust.policy]" in done.stderr


def test_a_key_and_its_successor_are_one_signer(cli, model):
    cli.ok("trust", "remove", "s")
    cli.sign(model, "trusted")
    cli.ok("key", "rotate", "trusted", "next", "--passphrase-file", cli.passphrase_file)
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "trusted", "--signer", "next", "--signer", "signer",
           "--threshold", "2")
    add_signature(cli, model, "next")
    assert code_of(cli, "verify", model) == "trust.threshold"
    add_signature(cli, model, "signer")
    assert cli.json("verify", model)["status"] == "verified"


@pytest.mark.parametrize("how", ["key revoke", "expired", "revoked keys of the policy"])
def test_the_first_signer_counts_no_more_and_the_others_do(cli, model, how):
    """Two of three must have signed: with three, any one of them may fall."""
    cli.ok("trust", "remove", "s")
    window = ("--valid-for", "10s") if how == "expired" else ()
    cli.ok("key", "new", "first", *window, "--passphrase-file", cli.passphrase_file)
    began = time.monotonic()
    cli.sign(model, "first")
    for name in ("trusted", "signer"):
        add_signature(cli, model, name)
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "first", "--signer", "trusted", "--signer", "signer",
           "--threshold", "2")
    if how == "key revoke":
        revoke(cli, "first")
    elif how == "expired":
        time.sleep(max(0.0, 11 - (time.monotonic() - began)))
    else:
        policy = cli.state / "trust.toml"
        fingerprint = cli.json("key", "show", "first")["fingerprint"]
        policy.write_text(policy.read_text() + f'\n[revoked]\nkeys = ["{fingerprint}"]\n')
    checked = cli.json("trust", "check", model)
    assert checked["status"] == "allowed"
    assert sorted(one["name"] for one in checked["trust"]["signers"]) == ["signer", "trusted"]
    told = json.dumps(checked["not_counted"]) + json.dumps(checked["trust"]["conditions"])
    assert "first" in told or "model.sig" in told
    cli.ok("model", "add", model)
    assert cli.json("verify", "store:net")["status"] == "verified"
    (model / "model.sig.d/signer.sig").unlink()
    assert code_of(cli, "verify", model) == "trust.threshold"
    (model / "model.sig.d/trusted.sig").unlink()
    assert code_of(cli, "verify", model) in ("key.revoked", "key.expired")


def test_a_first_bundle_that_is_broken_is_not_passed_over(cli, model):
    """Somebody tampered with it; that another one is good does not make that untrue."""
    cli.sign(model, "trusted")
    add_signature(cli, model, "signer")
    bundle = json.loads((model / "model.sig").read_text())
    bundle["dsseEnvelope"]["signatures"][0]["sig"] = "AAAA"
    (model / "model.sig").write_text(json.dumps(bundle))
    assert code_of(cli, "verify", model) == "signature.invalid"
    (model / "model.sig").write_text("{}")
    assert code_of(cli, "verify", model).startswith("signature.")


# ---- older policies -----------------------------------------------------------------------------


@pytest.fixture
def root(cli, model, tmp_path):
    """The policy is signed by a root key that the configuration names."""
    cli.new_key("root")
    config = tmp_path / "mlxguard.toml"
    config.write_text(f'[trust]\nroot_key = "{cli.json("key", "show", "root")["fingerprint"]}"\n')

    def sign(*more, key="root"):
        return cli.run("trust", "sign", "--key", key, "--passphrase-file", cli.passphrase_file, "-c", config, *more)

    done = sign("--expires", "2098-01-01")
    assert done.returncode == 0, done.stderr
    return {"config": config, "sign": sign}


def test_the_memory_is_taken_away_to_bring_back_an_older_policy(cli, model, root):
    files = [cli.state / "trust.toml", cli.state / "trust.toml.sig"]
    old = [file.read_bytes() for file in files]
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"
    assert root["sign"]().returncode == 0
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"
    for file, text in zip(files, old):
        file.write_bytes(text)
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.policy_rollback"
    (cli.state / "trust/seen.json").unlink()
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.policy_rollback"


def test_an_older_policy_is_not_signed_anew(cli, model, root):
    """Else who brought it back would only have to wait for the next change."""
    old = (cli.state / "trust.toml").read_bytes()
    assert root["sign"]().returncode == 0
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"
    (cli.state / "trust.toml").write_bytes(old)
    done = root["sign"]()
    assert done.returncode == 1 and "[trust.policy_rollback]" in done.stderr
    assert (cli.state / "trust.toml").read_bytes() == old


def test_a_link_that_leads_to_an_older_policy(cli, model, tmp_path):
    policy = cli.state / "trust.toml"
    text = policy.read_text()
    for version in (4, 5):
        (tmp_path / f"{version}.toml").write_text(text.replace("version = 1", f"version = {version}"))
    policy.unlink()
    policy.symlink_to(tmp_path / "5.toml")
    assert code_of(cli, "verify", model) == "trust.signer"
    policy.unlink()
    policy.symlink_to(tmp_path / "4.toml")
    assert code_of(cli, "verify", model) == "trust.policy_rollback"


def test_changes_that_end_half_way_leave_a_policy_that_is_signed(cli, model, root):
    """Twice: what the first one left must not take the old signature's place in the second."""
    obstacle = cli.state / ".trust.toml.new"
    obstacle.mkdir()
    for _ in range(3):
        assert root["sign"]().returncode == 3
        assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"
    obstacle.rmdir()
    assert root["sign"]().returncode == 0
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"


def test_a_root_key_that_was_rotated_twice_signs_on_and_a_stranger_does_not(cli, model, root):
    secret = "--passphrase-file", cli.passphrase_file
    cli.ok("key", "rotate", "root", "root2", *secret)
    cli.ok("key", "rotate", "root2", "root3", *secret)
    assert root["sign"](key="root3").returncode == 0
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"
    done = root["sign"](key="trusted")
    assert done.returncode == 1 and "[trust.policy_signature]" in done.stderr
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.signer"
    revoke(cli, "root2", "--signed-by", "root3")
    assert code_of(cli, "verify", model, "-c", root["config"]) == "trust.policy_signature"


# ---- what is written into a policy --------------------------------------------------------------


NASTY = ['"', "'", "\\", 'a"\n[sources.evil]\npath = "/"\n#', '"]\nmode = "warn"\n#', "]]", "#", "\u00fc\u2028", "\x7f", "\t",
         "${HOME}", "a b", "*", "..", "\\u0022"]


@pytest.mark.parametrize("text", NASTY)
@pytest.mark.parametrize("option", ["--path", "--identity", "name", "--hf", "--min-version", "--refuse-findings"])
def test_nothing_but_the_source_comes_to_be_by_adding_one(cli, model, option, text, tmp_path):
    before = cli.json("trust", "list")["sources"]
    args = {"--path": str(tmp_path / "x"), "name": "n"}
    args[option] = f"/{text}" if option == "--path" else f"subject:CN={text}" if option == "--identity" else text
    command = ["trust", "add", args.pop("name"), "--signer", "trusted"]
    if option == "--hf":
        del args["--path"]
    if option == "--identity":
        subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                        "-keyout", tmp_path / "k", "-out", tmp_path / "ca.pem", "-subj", "/CN=x"], check=True,
                       capture_output=True)
        args["--ca"] = str(tmp_path / "ca.pem")
    for name, value in args.items():
        command.append(f"{name}={value}")
    done = cli.run(*command)
    after = cli.json("trust", "list")["sources"]
    if done.returncode != 0:
        assert after == before and "error:" in done.stderr and "hint:" in done.stderr
        return
    added = [one for one in after if one not in before]
    assert len(added) == 1 and len(after) == len(before) + 1
    if option == "--path":
        assert added[0]["patterns"] == [str(pathlib.Path(f"/{text}")) if text != ".." else "/"]
    if option == "--identity":
        assert any(one.get("identity") == f"subject:CN={text}" for one in added[0]["signers"])
    assert added[0]["mode"] == "enforce"


@pytest.mark.parametrize("spelled", ["{}/", "{}//", "{}/./", "{}/x/..", "{}/../models", "//{}"])
def test_ways_to_write_a_path(cli, model, spelled):
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "s", "--path", spelled.format(model.parent), "--signer", "trusted")
    assert cli.json("trust", "list")["sources"][0]["patterns"] == [str(model.parent)]
    assert code_of(cli, "verify", model) == "trust.signer"


@pytest.mark.parametrize("place", ["models-evil", "model", "Models", "models.", "models\u200b", "xmodels"])
def test_a_folder_that_is_called_almost_like_the_source(cli, model, place):
    cli.sign(model, "trusted")
    other = model.parent.parent / place
    shutil.copytree(model.parent, other)
    assert code_of(cli, "verify", other / "net") == "trust.no_source"


@pytest.mark.parametrize("identifier", ["good/net/x", "good/../good/net", "GOOD/net", "good\u2044net", "go\u043ed/net", "good/",
                                        "/net", "good", "good/n?t", "xgood/net", "good/net\n", "good/*"])
def test_an_id_that_is_almost_the_sources(cli, model, identifier):
    cli.sign(model, "trusted")
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "hub", "--hf", "good/net", "--signer", "trusted")
    assert cli.json("verify", model, "--hf", "good/net")["status"] == "verified"
    assert code_of(cli, "verify", model, "--hf", identifier) in ("trust.no_source", "usage")
