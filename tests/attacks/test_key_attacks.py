# SPDX-License-Identifier: Apache-2.0
"""What someone tries who wants to sign with another's key, or to have a revoked one trusted again. None of it works."""
import json
import os
import pathlib
import pty
import re
import shutil
import subprocess
import tempfile

import pytest

from conftest import Cli, PASSPHRASE


@pytest.fixture
def model(cli, tmp_path) -> pathlib.Path:
    folder = tmp_path / "models" / "net"
    folder.mkdir(parents=True)
    (folder / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    cli.sign(folder)
    return folder


def code_of(cli, *args) -> str:
    done = cli.run(*args, "--json")
    assert done.returncode != 0, done.stdout
    return json.loads(done.stdout)["error"]["code"]


def secret(cli):
    return "--passphrase-file", cli.passphrase_file


# ---- the revocation list ------------------------------------------------------------------------


@pytest.fixture
def revoked(cli, model):
    """`other` is revoked by the first entry, `signer` by the second; and what the folder was before each."""
    cli.new_key("security")
    cli.new_key("other")
    cli.ok("key", "revoke", "other", "--signed-by", "security", *secret(cli))
    keys = cli.state / "keys"
    old = keys / "revocations.json", keys / "revocations.seen"
    first = [file.read_bytes() for file in old]
    cli.ok("key", "revoke", "signer", "--signed-by", "security", *secret(cli))
    assert code_of(cli, "verify", model) == "key.revoked"
    return {"keys": keys, "list": old[0], "note": old[1], "first": first}


def test_a_list_that_is_taken_away(cli, model, revoked):
    revoked["list"].unlink()
    assert code_of(cli, "verify", model) == "key.record"
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == "key.record"
    assert code_of(cli, "key", "revoke", "security", *secret(cli)) == "key.record"


def test_a_list_that_is_taken_away_with_its_note(cli, model, revoked):
    revoked["list"].unlink()
    revoked["note"].unlink()
    assert code_of(cli, "verify", model) == "key.record"
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == "key.record"


def test_a_note_that_is_taken_away_is_made_again(cli, model, revoked):
    revoked["note"].unlink()
    assert code_of(cli, "verify", model) == "key.revoked"
    assert revoked["note"].exists()


def test_an_older_list_is_not_brought_back(cli, model, revoked):
    revoked["list"].write_bytes(revoked["first"][0])
    assert code_of(cli, "verify", model) == "key.record"
    revoked["note"].write_bytes(revoked["first"][1])
    assert code_of(cli, "verify", model) == "key.record"
    other = Cli(cli.state.parent / "other", cli.passphrase_file)
    shutil.copytree(cli.state, other.state)
    assert code_of(other, "verify", model) == "key.record"


@pytest.mark.parametrize("how", ["older", "another of its length", "longer, without the last"])
def test_a_list_that_does_not_go_on_from_the_one_here_is_not_accepted(cli, model, revoked, how, tmp_path):
    file = tmp_path / "list.json"
    file.write_bytes(revoked["first"][0])
    if how != "older":
        # The same signer, somewhere else, goes on from the first entry in another way.
        fork = Cli(tmp_path / "fork", cli.passphrase_file)
        shutil.copytree(cli.state / "keys", fork.state / "keys")
        fork.state.chmod(0o700)
        (fork.state / "keys/revocations.json").write_bytes(revoked["first"][0])
        (fork.state / "keys/revocations.seen").write_bytes(revoked["first"][1])
        for fingerprint in ["e" * 64] + ["f" * 64] * (how != "another of its length"):
            fork.ok("key", "revoke", fingerprint, "--signed-by", "security", *secret(cli))
        file.write_bytes((fork.state / "keys/revocations.json").read_bytes())
    assert code_of(cli, "key", "accept", file) == "key.record"
    assert code_of(cli, "verify", model) == "key.revoked"


def edited(text: bytes, how: str) -> bytes:
    document = json.loads(text)
    entries = document["entries"]
    if how == "without the last":
        entries.pop()
    elif how == "without the first":
        entries.pop(0)
    elif how == "in another order":
        entries.reverse()
    elif how == "none":
        entries.clear()
    elif how == "a signature changed":
        entries[-1]["sig"] = entries[0]["sig"]
    elif how == "a payload changed":
        entries[-1]["payload"] = entries[0]["payload"]
    elif how == "another type":
        document["mediaType"] = "application/json"
    elif how == "one member more":
        document["more"] = 1
    else:
        return {"empty": b"", "cut": text[:-40], "no json": b"nothing is revoked", "deep": b"[" * 100000}[how]
    return json.dumps(document).encode()


@pytest.mark.parametrize("how", ["without the last", "without the first", "in another order", "none", "a signature changed",
                                 "a payload changed", "another type", "one member more", "empty", "cut", "no json", "deep"])
def test_a_list_that_was_changed(cli, model, revoked, how, tmp_path):
    text = edited(revoked["list"].read_bytes(), how)
    (tmp_path / "list.json").write_bytes(text)
    expected = ("input.too_large", "key.record") if how == "deep" else ("key.record",)
    assert code_of(cli, "key", "accept", tmp_path / "list.json") in expected
    assert code_of(cli, "verify", model) == "key.revoked"
    revoked["list"].write_bytes(text)
    assert code_of(cli, "verify", model) in expected


def test_a_list_by_somebody_who_is_not_trusted(cli, model, tmp_path):
    stranger = Cli(tmp_path / "stranger", cli.passphrase_file)
    stranger.new_key("mine")
    fingerprint = cli.json("key", "show", "signer")["fingerprint"]
    stranger.ok("key", "revoke", fingerprint, "--signed-by", "mine", *secret(cli))
    assert code_of(cli, "key", "accept", stranger.state / "keys/revocations.json") == "key.record"
    assert cli.json("verify", model)["status"] == "verified"
    shutil.copy(stranger.state / "keys/revocations.json", cli.state / "keys/revocations.json")
    assert code_of(cli, "verify", model) == "key.record"


@pytest.mark.parametrize("kind", ["link", "fifo", "folder", "writable"])
def test_something_else_in_the_place_of_the_list(cli, model, revoked, kind, tmp_path):
    file = revoked["list"]
    text = file.read_bytes()
    if kind == "writable":
        file.chmod(0o666)
    else:
        file.unlink()
        (tmp_path / "list").write_bytes(text)
        {"link": lambda: file.symlink_to(tmp_path / "list"), "fifo": lambda: os.mkfifo(file), "folder": file.mkdir}[kind]()
    assert code_of(cli, "verify", model) == "key.permissions"


def test_the_memory_of_versions_is_taken_away(cli, model, revoked):
    """Its folder is there, so that it was; nothing is believed to be new."""
    (cli.state / "trust/seen.json").unlink()
    assert code_of(cli, "verify", model) == "trust.policy_rollback"
    assert code_of(cli, "sign", model, "--key", "security", *secret(cli)) == "trust.policy_rollback"


# ---- the files of a key -------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["link", "hard link of another's", "fifo", "folder", "owner", "plain", "huge"])
def test_something_else_in_the_place_of_a_key(cli, model, kind, tmp_path):
    file = cli.state / "keys/signer.key"
    text = file.read_bytes()
    if kind == "owner":
        os.chown(file, 12345, 12345)
    elif kind == "huge":
        file.write_bytes(text + b"\n" * (70 << 10))
    elif kind == "plain":
        plain = subprocess.run(["openssl", "pkey", "-in", file, "-passin", f"pass:{PASSPHRASE}"], capture_output=True,
                               check=True).stdout
        file.write_bytes(plain)
    else:
        file.unlink()
        (tmp_path / "key").write_bytes(text)
        (tmp_path / "key").chmod(0o600)
        if kind == "link":
            file.symlink_to(tmp_path / "key")
        elif kind == "fifo":
            os.mkfifo(file, 0o600)
        elif kind == "folder":
            file.mkdir()
        else:
            os.chown(tmp_path / "key", 12345, 12345)
            os.link(tmp_path / "key", file)
    expected = {"huge": "too_large", "plain": "key.format"}.get(kind, "key.permissions")
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)).endswith(expected)
    assert cli.events("--type", "key.refused")[0]["code"].endswith(expected)


def test_the_key_of_another_name_is_not_this_one(cli, model):
    """Who exchanges the private half signs under no name that is trusted."""
    cli.new_key("other")
    shutil.copy(cli.state / "keys/other.key", cli.state / "keys/signer.key")
    (model / "model.sig").unlink()
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == "key.format"
    assert not (model / "model.sig").exists()


def test_a_folder_of_keys_that_others_can_write_to(cli, model):
    (cli.state / "keys").chmod(0o777)
    assert code_of(cli, "key", "new", "x", *secret(cli)) == "key.permissions"
    assert code_of(cli, "sign", model, "--key", "signer", *secret(cli)) == "key.permissions"


@pytest.mark.parametrize("kind", ["owner", "group", "folder"])
def test_a_passphrase_file_that_is_not_the_users_alone(cli, model, kind):
    file = cli.passphrase_file
    if kind == "owner":
        os.chown(file, 12345, 12345)
    elif kind == "group":
        file.chmod(0o620)
    else:
        file.unlink()
        file.mkdir()
    done = cli.run("sign", model, "--key", "signer", *secret(cli))
    assert done.returncode != 0
    assert ("[io.unsafe_permissions]" if kind != "folder" else "[io") in done.stderr, done.stderr


# ---- memory -------------------------------------------------------------------------------------


def private_number(cli, name) -> bytes:
    shown = subprocess.run(["openssl", "pkey", "-in", cli.state / f"keys/{name}.key", "-passin", f"pass:{PASSPHRASE}",
                            "-text", "-noout"], capture_output=True, text=True, check=True).stdout
    digits = re.search(r"priv:\s*((?:[0-9a-f]{2}:?\s*)+)", shown).group(1)
    return bytes.fromhex(re.sub(r"[:\s]", "", digits)).lstrip(b"\0")


def mappings(pid):
    """Each writable mapping of a process: begin, end, flags."""
    found, begin_end = [], None
    for line in pathlib.Path(f"/proc/{pid}/smaps").read_text().splitlines():
        if head := re.match(r"([0-9a-f]+)-([0-9a-f]+) (\S+)", line):
            begin_end = int(head[1], 16), int(head[2], 16), head[3]
        elif line.startswith("VmFlags:") and "w" in begin_end[2]:
            found.append((*begin_end[:2], line.split()[1:]))
    return found


def places_of(pid, secret_bytes):
    """The flags of every mapping that holds these bytes."""
    places = []
    with open(f"/proc/{pid}/mem", "rb", 0) as memory:
        for begin, end, flags in mappings(pid):
            try:
                memory.seek(begin)
                data = memory.read(end - begin)
            except OSError:
                continue
            if data and secret_bytes in data:
                places.append(flags)
    return places


def test_keys_and_passphrases_lie_on_locked_pages_only_that_are_not_dumped(cli):
    """Looked at as root while the program waits for the second passphrase, with the first key open."""
    number = private_number(cli, "signer")
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(cli.binary, [str(cli.binary), "key", "rotate", "signer", "next", "--state", str(cli.state)])
    try:
        shown = b""
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1024)
        os.write(terminal, PASSPHRASE.encode() + b"\n")
        while b"next: " not in shown:
            shown += os.read(terminal, 1024)
        for what, data in {"key": number[::-1], "key as text": number, "passphrase": PASSPHRASE.encode()}.items():
            for flags in places_of(pid, data):
                assert "lo" in flags and "dd" in flags, (what, flags)
        # There is something to find at all.
        assert places_of(pid, number[::-1]) and places_of(pid, PASSPHRASE.encode())
        assert os.stat(f"/proc/{pid}/mem").st_uid == 0
        for file in ("cmdline", "environ"):
            assert PASSPHRASE.encode() not in pathlib.Path(f"/proc/{pid}/{file}").read_bytes()
        assert re.search(r"Max core file size +0 +0 ", pathlib.Path(f"/proc/{pid}/limits").read_text())
    finally:
        os.kill(pid, 9)
        os.waitpid(pid, 0)
        os.close(terminal)


def looks_into(pid, user) -> bool:
    look = subprocess.run(["cat", f"/proc/{pid}/environ"], capture_output=True, user=user, group=user, extra_groups=[])
    return look.returncode == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="changes its user")
def test_other_programs_of_the_same_user_cannot_look_in(cli):
    """The process is not dumpable: what is its own in /proc belongs to root, and nobody else may trace it."""
    user = 12345
    with tempfile.TemporaryDirectory() as place:
        os.chmod(place, 0o755)
        program = shutil.copy(cli.binary, place)
        state = pathlib.Path(place) / "state"
        state.mkdir(mode=0o700)
        os.chown(state, user, user)
        pid, terminal = pty.fork()
        if pid == 0:
            os.setgroups([])
            os.setgid(user)
            os.setuid(user)
            os.execv(program, [program, "key", "new", "x", "--state", str(state)])
        other = subprocess.Popen(["sleep", "60"], user=user, group=user, extra_groups=[])
        try:
            shown = b""
            while not shown.endswith(b": "):
                shown += os.read(terminal, 1024)
            assert looks_into(other.pid, user) and not looks_into(pid, user)
        finally:
            other.kill()
            other.wait()
            os.kill(pid, 9)
            os.waitpid(pid, 0)
            os.close(terminal)


def test_where_memory_cannot_be_locked_it_says_so(cli, model):
    """Not silently: a person is told, and it stands beside the key's use in the log."""
    without = ["setpriv", "--bounding-set=-ipc_lock", "--inh-caps=-ipc_lock", "prlimit", "--memlock=0:0"]
    command = [*without, cli.binary, "sign", model, "--key", "signer", *map(str, secret(cli)), "--state", cli.state]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "could not be locked" in done.stderr
    assert cli.events("--type", "key.used")[0]["record"]["unmapped"]["memory_locked"] is False
    quiet = cli.sign(model)
    assert "locked" not in quiet.stderr
    assert cli.events("--type", "key.used")[0]["record"]["unmapped"]["memory_locked"] is True
    # Nor does it say so of what holds no secret.
    verified = subprocess.run([*without, cli.binary, "verify", model, "--state", cli.state], capture_output=True, text=True)
    assert verified.returncode == 0 and "locked" not in verified.stderr


def test_a_passphrase_is_no_argument(cli, model):
    for option in ("--passphrase", "--password", "--pin"):
        done = cli.run("sign", model, "--key", "signer", option, PASSPHRASE)
        assert done.returncode == 2, option
    done = cli.run("sign", model, "--key", "signer", env={**os.environ, "MLXGUARD_PASSPHRASE": PASSPHRASE}, input="")
    assert done.returncode == 2 and "[key.passphrase_missing]" in done.stderr
