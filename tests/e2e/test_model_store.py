# SPDX-License-Identifier: Apache-2.0
"""The store: a verified model is kept read-only by its digest, and loaded from there as store:NAME.

Where the policy allows it, a stored model that nobody touched starts by its receipt instead of a full hash.
The evidence is the event of the start: what it rests on, and how many bytes were hashed.
"""
import json
import mmap
import os
import pathlib
import random
import shutil
import signal
import stat
import subprocess
import time

import pytest

DATA = bytes(range(256)) * 4096


@pytest.fixture
def model(cli, tmp_path) -> pathlib.Path:
    folder = tmp_path / "net"
    (folder / "deep").mkdir(parents=True)
    (folder / "config.json").write_bytes(b"{}")
    (folder / "deep" / "weights.safetensors").write_bytes(DATA)
    cli.sign(folder)
    return folder


@pytest.fixture
def stored(cli, model):
    cli.ok("model", "add", model)
    return cli.json("model", "list")["models"][0]


@pytest.fixture
def receipts(tmp_path):
    """A configuration that lets receipts stand for hashing."""
    config = tmp_path / "mlxguard.toml"
    config.write_text('[trust]\nreceipts = "allow"\n')
    return ("-c", config)


def folder_of(cli, stored) -> pathlib.Path:
    return cli.state / "store" / "models" / stored["root_digest"]


def start(cli, *args, name="store:net"):
    """Admits the model as `run` does; that it has nothing that could run comes after. The event of it."""
    (cli.state.parent / "body").write_text("{}")
    done = cli.run("run", name, "--input", cli.state.parent / "body", *args)
    assert done.returncode != 0
    newest = cli.events("--type", "model.verified") or [None]
    refused = cli.events("--type", "model.refused") or [None]
    if refused[0] and (not newest[0] or refused[0]["index"] > newest[0]["index"]):
        return refused[0]["code"]
    return newest[0]["record"]["unmapped"]


def rests_on(cli, *args, **kwargs):
    fields = start(cli, *args, **kwargs)
    if isinstance(fields, str):
        return fields
    assert fields["hashed_bytes"] == (fields["bytes"] if fields["basis"] == "digests" else 0)
    return fields["basis"]


def test_a_model_is_added_listed_loaded_and_removed(cli, model):
    added = cli.json("model", "add", model)
    assert added["status"] == "added" and added["name"] == "net"
    assert added["files"] == 2 and added["bytes"] == len(DATA) + 2
    listed = cli.json("model", "list")["models"]
    assert [one["name"] for one in listed] == ["net"] and listed[0]["root_digest"] == added["root_digest"]
    assert listed[0]["signer_name"] == "signer" and listed[0]["origin"] == str(model)
    shutil.rmtree(model)
    for name in ("store:net", "store:" + added["root_digest"], "store:" + added["root_digest"][:8]):
        assert cli.json("verify", name)["root_digest"] == added["root_digest"]
    assert cli.json("model", "verify", "net")["status"] == "verified"
    assert cli.json("model", "remove", "net")["status"] == "removed"
    assert cli.json("model", "list")["models"] == []
    assert not any((cli.state / "store" / "models").iterdir())
    assert cli.run("verify", "store:net").returncode == 3
    kinds = [event["type"] for event in cli.events()]
    assert "model.stored" in kinds and "model.removed" in kinds


def test_what_is_stored_is_read_only_and_the_operators(cli, stored):
    for path in [folder_of(cli, stored), *folder_of(cli, stored).rglob("*")]:
        mode = stat.S_IMODE(path.lstat().st_mode)
        assert mode == (0o500 if path.is_dir() else 0o400), path
    assert stat.S_IMODE((cli.state / "store").stat().st_mode) == 0o700


def test_a_model_that_is_one_file(cli, tmp_path):
    file = tmp_path / "net.mlxfn"
    file.write_bytes(DATA)
    cli.sign(file)
    cli.ok("model", "add", file, "--name", "one")
    assert cli.json("verify", "store:one")["bytes"] == len(DATA)


def test_bundles_of_further_signers_are_stored_too(cli, model):
    cli.new_key("second")
    cli.ok("sign", model, "--key", "second", "--add", "--passphrase-file", cli.passphrase_file)
    cli.ok("trust", "add", "s", "--path", model, "--signer", "signer", "--signer", "second", "--threshold", "2")
    cli.ok("model", "add", model)
    assert cli.json("trust", "check", "store:net")["status"] == "allowed"


def test_only_what_verifies_and_is_allowed_comes_in(cli, model):
    (model / "config.json").write_bytes(b"{ }")
    done = cli.run("model", "add", model)
    assert done.returncode == 1 and "[signature.digest_mismatch]" in done.stderr
    cli.sign(model)
    cli.ok("trust", "add", "s", "--path", model, "--signer", "1" * 64)
    done = cli.run("model", "add", model)
    assert done.returncode == 1 and "[trust.signer]" in done.stderr
    assert cli.json("model", "list")["models"] == []
    assert not any((cli.state / "store" / "models").iterdir())
    assert [event["code"] for event in cli.events("--type", "model.refused")] == [
        "trust.signer", "signature.digest_mismatch"]


def test_a_name_and_a_model_are_there_once(cli, model, stored, tmp_path):
    again = cli.run("model", "add", model, "--name", "other")
    assert again.returncode == 2 and "holds this model" in again.stderr
    shutil.copytree(model, tmp_path / "more" / "net")
    (tmp_path / "more" / "net" / "config.json").write_bytes(b"[]")
    cli.sign(tmp_path / "more" / "net")
    taken = cli.run("model", "add", tmp_path / "more" / "net")
    assert taken.returncode == 2 and "another model of this name" in taken.stderr
    cli.ok("model", "add", tmp_path / "more" / "net", "--name", "net2")
    for name in ("../x", "", "a/b", ".x", "deadbeef"):
        assert cli.run("model", "add", model, "--name", name or " ").returncode == 2


def test_a_stored_model_is_judged_as_what_it_was(cli, model, stored):
    cli.ok("trust", "add", "s", "--path", model, "--signer", "signer")
    assert cli.json("trust", "check", "store:net")["trust"]["source"] == "s"
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "s", "--path", "/elsewhere", "--signer", "signer")
    assert cli.json("verify", "store:net", exit_code=1)["error"]["code"] == "trust.no_source"


# Receipts.

def test_a_receipt_stands_for_hashing_only_where_it_is_allowed(cli, stored, receipts):
    assert rests_on(cli) == "digests"
    assert rests_on(cli, *receipts) == "receipt"
    assert "receipt" in cli.events("--type", "model.verified")[0]["message"]


def test_a_policy_decides_by_source(cli, model, receipts):
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "signer")
    cli.ok("model", "add", model)
    assert rests_on(cli) == rests_on(cli, *receipts) == "digests"  # the policy's word, not the configuration's
    cli.ok("trust", "remove", "s")
    cli.ok("trust", "add", "s", "--path", model.parent, "--signer", "signer", "--receipts")
    assert rests_on(cli) == "digests"  # the receipt is of another policy
    cli.ok("model", "verify", "net")
    assert rests_on(cli) == "receipt"


def unlocked(path: pathlib.Path):
    for one in (path.parent, path):
        one.chmod(0o700)


def locked(path: pathlib.Path):
    path.chmod(0o400)
    path.parent.chmod(0o500)


def test_a_changed_file_is_not_accepted(cli, stored, receipts):
    file = folder_of(cli, stored) / "deep" / "weights.safetensors"
    times = file.stat()
    unlocked(file)
    data = bytearray(DATA)
    data[77] ^= 1
    file.write_bytes(data)
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    locked(file)
    assert file.stat().st_mtime_ns == times.st_mtime_ns and file.stat().st_size == times.st_size
    assert rests_on(cli, *receipts) == "signature.digest_mismatch"
    assert cli.run("model", "verify", "net").returncode == 1


def test_a_file_with_another_time_is_hashed_again(cli, stored, receipts):
    file = folder_of(cli, stored) / "config.json"
    os.utime(file, ns=(1, 1))
    assert rests_on(cli, *receipts) == "digests"
    cli.ok("model", "verify", "net")
    assert rests_on(cli, *receipts) == "receipt"


def test_a_file_that_was_replaced_by_its_equal_is_hashed_again(cli, stored, receipts):
    file = folder_of(cli, stored) / "config.json"
    times = file.stat()
    file.parent.chmod(0o700)
    copy = file.with_name("copy")
    copy.write_bytes(file.read_bytes())
    os.utime(copy, ns=(times.st_atime_ns, times.st_mtime_ns))
    copy.rename(file)
    locked(file)
    assert rests_on(cli, *receipts) == "digests"


@pytest.mark.parametrize("mode, where", [(0o600, "config.json"), (0o700, "deep"), (0o700, ".")])
def test_what_could_be_written_is_hashed_again(cli, stored, receipts, mode, where):
    (folder_of(cli, stored) / where).chmod(mode)
    assert rests_on(cli, *receipts) == "digests"


def record_of(cli, stored) -> pathlib.Path:
    return cli.state / "store" / "records" / stored["root_digest"]


def test_a_forged_record_is_not_accepted(cli, stored, receipts):
    record = record_of(cli, stored)
    text = record.read_bytes()
    assert b'"name":"net"' in text
    record.write_bytes(text.replace(b'"signer_name":"signer"', b'"signer_name":"sIgner"'))
    assert rests_on(cli, *receipts, name="store:" + stored["root_digest"]) == "store.receipt"
    listed = cli.json("model", "list", exit_code=1)["models"]
    assert listed[0]["status"] == "damaged" and listed[0]["code"] == "store.receipt"
    cli.ok("model", "remove", stored["root_digest"])
    assert cli.json("model", "list")["models"] == []


def test_a_record_under_another_key_is_not_accepted(cli, stored, receipts, tmp_path, model):
    key = cli.state / "keys" / "receipts.hmac"
    key.write_bytes(bytes(random.randbytes(len(key.read_bytes()))))
    assert rests_on(cli, *receipts, name="store:" + stored["root_digest"]) == "store.receipt"
    key.unlink()  # a new one is made, which knows nothing of the old record
    assert rests_on(cli, *receipts, name="store:" + stored["root_digest"]) == "store.receipt"


def test_another_signature_is_verified_and_the_files_are_hashed(cli, stored, receipts, model):
    cli.new_key("other")
    cli.sign(model, "other")
    bundle = folder_of(cli, stored) / "model.sig"
    unlocked(bundle)
    shutil.copy(model / "model.sig", bundle)
    locked(bundle)
    assert rests_on(cli, *receipts) == "digests"


def test_a_receipt_is_no_way_around_revocation_or_policy(cli, stored, receipts, model):
    assert rests_on(cli, *receipts) == "receipt"
    cli.ok("key", "revoke", "signer", "--passphrase-file", cli.passphrase_file)
    assert rests_on(cli, *receipts) == "key.revoked"


def rewrite(path: pathlib.Path, how):
    """Changes one byte behind the read-only mode, and puts times and modes back as they were."""
    times, modes = path.stat(), {one: stat.S_IMODE(one.stat().st_mode) for one in (path, path.parent)}
    unlocked(path)
    how(path)
    for one, mode in modes.items():
        one.chmod(mode)
    os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert path.stat().st_mtime_ns == times.st_mtime_ns and path.stat().st_size == times.st_size


def by_mapping(path):
    with open(path, "r+b") as file, mmap.mmap(file.fileno(), 0) as bytes_:
        bytes_[5] ^= 1


def by_other_link(path):
    other = path.parent.parent / "other"
    os.link(path, other)
    with open(other, "r+b") as file:
        file.write(b"X")
    other.unlink()


def by_rename(path):
    copy = path.with_name("copy")
    copy.write_bytes(b"X" + path.read_bytes()[1:])
    copy.rename(path)


@pytest.mark.parametrize("how", [by_mapping, by_other_link, by_rename])
def test_no_way_of_writing_goes_unseen(cli, stored, receipts, how):
    """Size and modification time can be put back; the time of the change itself and the inode cannot."""
    assert rests_on(cli, *receipts) == "receipt"
    rewrite(folder_of(cli, stored) / "deep" / "weights.safetensors", how)
    assert rests_on(cli, *receipts) == "signature.digest_mismatch"


def test_a_file_with_a_second_name_is_hashed_again(cli, stored, receipts, tmp_path):
    """Who has the other name may write by it once the mode allows; then the times say so, but not before."""
    file = folder_of(cli, stored) / "deep" / "weights.safetensors"
    other = cli.state / "other"
    os.link(file, other)
    cli.ok("model", "verify", "net")  # the receipt has the new times
    assert rests_on(cli, *receipts) == "digests"
    other.unlink()
    assert rests_on(cli, *receipts) == "digests"
    cli.ok("model", "verify", "net")
    assert rests_on(cli, *receipts) == "receipt"


@pytest.mark.parametrize("same", [True, False])
def test_what_is_mounted_over_a_file_is_hashed(cli, stored, receipts, tmp_path, same):
    file = folder_of(cli, stored) / "config.json"
    over = tmp_path / "over"
    over.write_bytes(file.read_bytes() if same else b"[]")
    over.chmod(0o400)
    body = tmp_path / "body"
    body.write_text("{}")
    script = f"""
        mount --bind {over} {file} || exit 41
        "$@" run store:net --input {body} --state {cli.state} {' '.join(map(str, receipts))}
        """
    done = subprocess.run(["unshare", "-m", "bash", "-c", script, "-", str(cli.binary)], capture_output=True, text=True)
    if done.returncode == 41:
        pytest.skip("this user may not mount")
    if same:
        assert cli.events("--type", "model.verified")[0]["record"]["unmapped"]["basis"] == "digests"
    else:
        assert done.returncode == 1 and "[signature.digest_mismatch]" in done.stderr


def test_a_record_stands_for_its_own_model_and_moment(cli, model, stored, receipts, tmp_path):
    other = tmp_path / "other-model"
    shutil.copytree(model, other)
    (other / "config.json").write_bytes(b"[]")
    cli.sign(other)
    cli.ok("model", "add", other, "--name", "other")
    records = cli.state / "store" / "records"
    [others] = [path for path in records.iterdir() if path.name != stored["root_digest"]]
    mine = record_of(cli, stored)
    text = mine.read_bytes()
    # Another model's record, well keyed, in the place of this one's.
    shutil.copy(others, mine)
    assert rests_on(cli, *receipts, name="store:" + stored["root_digest"]) == "store.receipt"
    # A record from before the file was touched.
    mine.write_bytes(text)
    assert rests_on(cli, *receipts) == "receipt"
    os.utime(folder_of(cli, stored) / "config.json", ns=(1, 1))
    cli.ok("model", "verify", "net")
    assert rests_on(cli, *receipts) == "receipt"
    mine.write_bytes(text)
    assert rests_on(cli, *receipts) == "digests"


@pytest.mark.parametrize("where", ["store", "store/models", "store/records"])
def test_a_store_that_others_may_write_is_not_used(cli, stored, receipts, where):
    (cli.state / where).chmod(0o777)
    assert rests_on(cli, *receipts) == "io.unsafe_permissions"
    done = cli.run("model", "list")
    assert done.returncode == 1 and "[io.unsafe_permissions]" in done.stderr


def test_a_key_that_others_may_read_is_not_used(cli, stored, receipts):
    (cli.state / "keys" / "receipts.hmac").chmod(0o644)
    assert rests_on(cli, *receipts) == "key.permissions"


# In use, killed, out of space.

def test_two_that_add_at_once(cli, model, large):
    """The same model twice is there once; another of the same name is told so."""
    def adding(path, *args):
        return subprocess.Popen([cli.binary, "model", "add", path, "--state", cli.state, *args], stdout=subprocess.PIPE,
                                stderr=subprocess.PIPE, text=True)
    processes = [adding(large), adding(large, "--name", "again"), adding(model, "--name", "large")]
    said = [process.communicate(timeout=120)[1] for process in processes]
    codes = [process.returncode for process in processes]
    assert sorted(codes) in ([0, 0, 2], [0, 2, 2]), said
    assert all("[io.already_exists]" in words for words, code in zip(said, codes) if code)
    models = cli.json("model", "list")["models"]
    assert len(models) == codes.count(0) and len({one["name"] for one in models}) == len(models)
    for one in models:
        assert cli.json("model", "verify", one["name"])["status"] == "verified"
    assert len(list((cli.state / "store" / "models").iterdir())) == len(models)


def test_what_a_killed_one_left_is_cleaned_up(cli, model):
    cli.ok("model", "list")
    left = cli.state / "store" / "models" / ".incoming" / "deep"
    left.mkdir(parents=True)
    (left / "part").write_bytes(b"x")
    left.chmod(0o500)
    # Killed after the copy had its name and before its record was written, and in the middle of a removal.
    (cli.state / "store" / "models" / ("0" * 64)).mkdir()
    (cli.state / "store" / "models" / ("0" * 64) / "weights").write_bytes(b"x")
    (cli.state / "store" / "records" / f".{'1' * 64}.new77").write_bytes(b"x")
    cli.ok("model", "add", model)
    [stored] = cli.json("model", "list")["models"]
    for folder in ("models", "records"):
        assert [path.name for path in (cli.state / "store" / folder).iterdir()] == [stored["root_digest"]]
    cli.ok("model", "verify", "store:net")
    cli.ok("model", "remove", "store:net")


def test_an_interrupt_leaves_the_whole_model_or_none(cli, large):
    process = subprocess.Popen([cli.binary, "model", "add", large, "--state", cli.state], stdout=subprocess.DEVNULL,
                               stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 60
    while not list((cli.state / "store").glob("models/.incoming/*")) and process.poll() is None:
        assert time.monotonic() < deadline
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    process.wait()
    models = cli.json("model", "list")["models"]
    if not models:
        cli.ok("model", "add", large)
    assert cli.json("model", "verify", "large")["status"] == "verified"

def test_a_model_that_is_served_is_not_removed(start_server, signed_models, session_cli):
    session_cli.ok("model", "add", signed_models / "mlp_shapeless", "--name", "held")
    server = start_server(session_cli, {"mlp_shapeless": "store:held"})
    done = session_cli.run("model", "remove", "held")
    assert done.returncode == 3 and "[store.in_use]" in done.stderr
    assert session_cli.events("--type", "model.removed")[0]["code"] == "store.in_use"
    server.stop()
    session_cli.ok("model", "remove", "held")


@pytest.fixture
def large(cli, tmp_path):
    folder = tmp_path / "large"
    folder.mkdir()
    for i in range(8):
        (folder / f"{i}.bin").write_bytes(os.urandom(1 << 20) * 16)
    cli.sign(folder)
    return folder


@pytest.mark.slow
def test_a_kill_at_any_moment_leaves_the_whole_model_or_none(cli, large):
    command = [cli.binary, "model", "add", large, "--state", cli.state]
    started = time.monotonic()
    subprocess.run(command, check=True, capture_output=True)
    took = time.monotonic() - started
    cli.ok("model", "remove", "large")
    whole = 0
    for i in range(25):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(took * 1.1 * (i + 1) / 25)
        process.send_signal(signal.SIGKILL)
        process.wait()
        models = cli.json("model", "list")["models"]
        assert all(one["status"] == "stored" for one in models)
        assert cli.run("verify", "store:large").returncode == (0 if models else 3)
        if models:
            whole += 1
            cli.ok("model", "remove", "large")
    assert whole < 25  # some were killed in time
    subprocess.run(command, check=True, capture_output=True)
    assert cli.json("verify", "store:large")["status"] == "verified"
    assert len(list((cli.state / "store" / "models").iterdir())) == 1  # nothing of the killed ones is left


def test_a_full_disk_leaves_nothing(cli, large, tmp_path):
    store = cli.state / "store"
    script = f"""
        set -e
        mkdir -p {store}
        mount -t tmpfs -o size=64m,mode=700 tmpfs {store}
        "$@" model add {large} --state {cli.state} && exit 40
        code=$?
        test $code = 3
        "$@" model list --json --state {cli.state}
        test -z "$(find {store} -type f)"
        df --output=used {store} | tail -1
    """
    done = subprocess.run(["unshare", "-m", "bash", "-c", script, "-", str(cli.binary)], capture_output=True,
                          text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    assert "[io.no_space]" in done.stderr
    lines = done.stdout.strip().splitlines()
    assert json.loads(lines[0])["models"] == [] and int(lines[1]) < 64
    assert cli.events("--type", "model.refused")[0]["code"] == "io.no_space"
    cli.ok("model", "add", large)
