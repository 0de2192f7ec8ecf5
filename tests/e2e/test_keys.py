# SPDX-License-Identifier: Apache-2.0
"""`mlxguard key`: made encrypted, kept private, never overwritten."""
import os
import re
import pty
import stat
import subprocess

import pytest

from conftest import BIN, PASSPHRASE


def test_new_key_is_encrypted_private_and_opens_with_openssl(cli):
    cli.ok("key", "new", "made", "--passphrase-file", cli.passphrase_file)
    private = cli.state / "keys/made.key"
    assert stat.S_IMODE(private.stat().st_mode) == 0o600
    assert stat.S_IMODE((cli.state / "keys").stat().st_mode) == 0o700
    assert private.read_text().startswith("-----BEGIN ENCRYPTED PRIVATE KEY-----")
    shown = subprocess.run(["openssl", "pkey", "-in", private, "-passin", f"pass:{PASSPHRASE}", "-pubout"],
                           capture_output=True, text=True, check=True)
    assert shown.stdout == (cli.state / "keys/made.pub").read_text()
    parsed = subprocess.run(["openssl", "asn1parse", "-in", private], capture_output=True, text=True, check=True).stdout
    assert "scrypt" in parsed
    assert re.findall(r"INTEGER +:([0-9A-F]+)", parsed)[-3:] == ["4000", "08", "08"]  # N, r, p (ADR 2)
    assert "aes-256-cbc" in parsed


def test_a_key_is_never_overwritten(cli, passphrase_file):
    before = (cli.state / "keys/signer.key").read_bytes()
    done = cli.run("key", "new", "signer", "--passphrase-file", passphrase_file)
    assert done.returncode == 2
    assert "[key.exists]" in done.stderr
    assert (cli.state / "keys/signer.key").read_bytes() == before


@pytest.mark.parametrize("name", ["../x", "a/b", "", ".hidden", "a b", "x" * 65, "é"])
def test_odd_names_are_refused(cli, passphrase_file, name):
    done = cli.run("key", "new", name, "--passphrase-file", passphrase_file)
    assert done.returncode == 2
    assert sorted(p.name for p in (cli.state / "keys").iterdir()) == ["log.ed25519", "signer.key", "signer.pub", "signer.rec"]


def test_short_passphrase_is_refused(cli, tmp_path):
    file = tmp_path / "short"
    file.write_text("1234567\n")
    file.chmod(0o600)
    done = cli.run("key", "new", "weak", "--passphrase-file", file)
    assert done.returncode == 2
    assert "[key.passphrase_weak]" in done.stderr
    assert not (cli.state / "keys/weak.key").exists()


def test_readable_passphrase_file_is_refused(cli, passphrase_file):
    passphrase_file.chmod(0o640)
    done = cli.run("key", "new", "other", "--passphrase-file", passphrase_file)
    assert "[io.unsafe_permissions]" in done.stderr
    assert done.returncode == 1


def test_passphrase_from_a_descriptor(cli):
    reader, writer = os.pipe()
    os.write(writer, PASSPHRASE.encode())
    os.close(writer)
    done = subprocess.run([BIN / "mlxguard", "key", "new", "by-fd", "--passphrase-fd", str(reader), "--state", cli.state],
                          pass_fds=[reader], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_without_passphrase_and_terminal_it_says_what_to_do(cli):
    done = subprocess.run([BIN / "mlxguard", "key", "new", "none", "--state", cli.state], capture_output=True, text=True,
                          stdin=subprocess.DEVNULL, start_new_session=True)
    assert done.returncode == 2
    assert "[key.passphrase_missing]" in done.stderr
    assert "--passphrase-file" in done.stderr


def test_passphrase_at_a_terminal_is_asked_twice_and_not_shown(cli):
    pid, terminal = pty.fork()
    if pid == 0:
        os.execv(BIN / "mlxguard", ["mlxguard", "key", "new", "typed", "--state", str(cli.state)])
    shown = b""
    for _ in range(2):
        while not shown.endswith(b": "):
            shown += os.read(terminal, 1024)
        os.write(terminal, PASSPHRASE.encode() + b"\n")
        shown += b"|"
    while True:
        try:
            chunk = os.read(terminal, 1024)
        except OSError:
            break
        if not chunk:
            break
        shown += chunk
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0, shown
    assert PASSPHRASE.encode() not in shown
    assert (cli.state / "keys/typed.key").exists()


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o644])
def test_a_key_file_that_others_may_read_is_refused(cli, mode, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/a").write_text("x")
    (cli.state / "keys/signer.key").chmod(mode)
    done = cli.run("sign", tmp_path / "model", "--key", "signer", "--passphrase-file", cli.passphrase_file)
    assert done.returncode == 1
    assert "[key.permissions]" in done.stderr
    assert not (tmp_path / "model/model.sig").exists()
    assert cli.events("--type", "key.refused")[0]["code"] == "key.permissions"


def test_wrong_passphrase(cli, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/a").write_text("x")
    wrong = tmp_path / "wrong"
    wrong.write_text("not the passphrase")
    wrong.chmod(0o600)
    done = cli.run("sign", tmp_path / "model", "--key", "signer", "--passphrase-file", wrong)
    assert done.returncode == 1
    assert "[key.passphrase]" in done.stderr
    assert cli.events("--type", "key.refused")[0]["code"] == "key.passphrase"


def test_unknown_key(cli, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model/a").write_text("x")
    done = cli.run("sign", tmp_path / "model", "--key", "nobody", "--passphrase-file", cli.passphrase_file)
    assert done.returncode == 3
    assert "[key.not_found]" in done.stderr


def test_list(cli):
    keys = cli.json("key", "list")["keys"]
    assert [key["name"] for key in keys] == ["signer"]
    assert len(keys[0]["fingerprint"]) == 64


