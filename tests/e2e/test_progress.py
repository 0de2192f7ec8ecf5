# SPDX-License-Identifier: Apache-2.0
"""Work that takes longer than a second says on a terminal how far it is, how fast, and how long it will take;
elsewhere, and with --json, it says nothing."""
import os
import pty
import re
import subprocess

import pytest

LINE = re.compile(r"(\w+) +(\d+) % +[\d.]+ \w+ of [\d.]+ GB +[\d.]+ \wB/s +(\d+ s|\d+ min|\?) left")


@pytest.fixture(scope="module")
def large(tmp_path_factory):
    folder = tmp_path_factory.mktemp("large")
    with open(folder / "weights.bin", "wb") as file:
        file.truncate(5 << 30)  # a sparse file: nothing on the disk, but all of it is hashed
    return folder


def on_terminal(*command) -> str:
    """What a person sees on standard error."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen([str(part) for part in command], stderr=theirs, stdout=subprocess.DEVNULL)
    os.close(theirs)
    seen = b""
    while True:
        try:
            read = os.read(ours, 65536)
        except OSError:  # the other end is closed
            break
        if not read:
            break
        seen += read
    os.close(ours)
    assert process.wait() == 0, seen
    return seen.decode()


@pytest.mark.slow
def test_progress_of_signing_and_verifying(cli, large):
    common = ("--state", cli.state)
    steps = {
        "hashing": ("sign", large, "--key", "signer", "--passphrase-file", cli.passphrase_file),
        "verifying": ("verify", large),
        "checking": ("trust", "check", large),
    }
    for word, step in steps.items():
        seen = on_terminal(cli.binary, *step, *common)
        lines = LINE.findall(seen.replace("\x1b[K", " "))
        assert lines and all(line[0] == word for line in lines), (word, seen)
        shares = [int(line[1]) for line in lines]
        assert shares == sorted(shares) and shares[-1] > shares[0]
        assert seen.rstrip().endswith("\x1b[K")  # the line is removed at the end
        assert "left" not in cli.ok(*step).stderr
        assert "left" not in on_terminal(cli.binary, *step, *common, "--json")


def test_what_is_quick_says_nothing(cli, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_text("a")
    assert on_terminal(cli.binary, "sign", tmp_path / "m", "--key", "signer", "--passphrase-file",
                       cli.passphrase_file, "--state", cli.state) == ""


def test_the_time_in_which_a_passphrase_is_typed_is_no_part_of_the_work(cli, tmp_path):
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "a").write_bytes(b"a" * 1_000_000)
    agent = tmp_path / "agent"
    agent.write_text(f"#!/bin/sh\nsleep 1.5\ncat {cli.passphrase_file}\n")
    agent.chmod(0o700)
    assert on_terminal(cli.binary, "sign", tmp_path / "m", "--key", "signer", "--passphrase-agent", agent, "--state",
                       cli.state) == ""
