# SPDX-License-Identifier: Apache-2.0
"""Files that a user names may be anything: folders, devices without an end, pipes, broken links.
Whatever is named, a command ends with an error of two lines and a documented exit code. What it
prints may go nowhere: a full disk is an error of every command."""
import os
import re
import subprocess

import pytest

from conftest import BIN


def commands():
    """Every command and subcommand that the programs' own help lists."""
    def listed(arguments):
        text = subprocess.run([BIN / "mlxguard", *arguments, "--help"], capture_output=True,
                              text=True, timeout=60).stdout
        lines = text.split("Subcommands:\n", 1)
        return re.findall(r"^  ([a-z][a-z-]*)", lines[1], re.M) if len(lines) == 2 else []

    found = [()]
    for word in listed(()):
        found.append((word,))
        for inner in listed((word,)):
            found.append((word, inner))
            found += [(word, inner, deeper) for deeper in listed((word, inner))]
    return found


def test_no_command_loses_its_help_in_silence():
    every = commands()
    assert len(every) > 30, every
    for command in every:
        with open("/dev/full", "w") as full:
            done = subprocess.run([BIN / "mlxguard", *command, "--help"], stdout=full,
                                  stderr=subprocess.PIPE, text=True, timeout=60)
        assert done.returncode == 3, (command, done.returncode, done.stderr)
        assert "standard output could not be written" in done.stderr


@pytest.mark.parametrize("arguments", [
    ("--version",), ("key", "list"), ("key", "list", "--json"), ("log", "query"),
    ("log", "query", "--json"), ("log", "verify", "--json"), ("trust", "list"),
    ("model", "list", "--json"), ("inspect", "MODEL"), ("inspect", "MODEL", "--json"),
    ("verify", "MODEL", "--json"), ("deps", "inventory", "REQUIREMENTS", "--json"),
])
def test_a_result_on_a_full_disk_is_a_failure(cli, tmp_path, arguments):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"w")
    cli.sign(model)
    requirements = tmp_path / "requirements.txt"
    requirements.write_text("numpy==1.26.4\n")
    named = {"MODEL": str(model), "REQUIREMENTS": str(requirements)}
    command = [named.get(word, word) for word in arguments]
    if "--version" not in command:
        command += ["--state", str(cli.state)]
    with open("/dev/full", "w") as full:
        done = subprocess.run([BIN / "mlxguard", *command], stdout=full, stderr=subprocess.PIPE,
                              text=True, timeout=60)
    assert done.returncode == 3, done.stderr
    assert "[io.failed]" in done.stderr and "mlxguard: hint: " in done.stderr


NAMED = [
    ("log", "verify", "--previous-checkpoint", "FILE"),
    ("log", "verify", "--public-key", "FILE"),
    ("key", "list", "-c", "FILE"),
    ("run", "MODEL", "--input", "FILE"),
    ("verify", "MODEL", "--public-key", "FILE"),
    ("sign", "MODEL", "--key", "signer", "--passphrase-file", "FILE"),
    ("inspect", "FILE/absent"),
    ("deps", "scan", "FILE/absent"),
    ("deps", "scan", "MODEL", "--vex", "FILE"),
    ("serve", "MODEL", "--listen", "127.0.0.1:0", "--api-key-file", "FILE"),
    ("serve", "MODEL", "--listen", "127.0.0.1:0", "--tls-certificate", "FILE",
     "--tls-private-key", "FILE"),
    ("serve", "-c", "FILE"),
    ("deps", "mirror", "serve", "--upstream", "http://127.0.0.1:9/simple", "--listen",
     "127.0.0.1:0", "--api-key-file", "FILE"),
    ("deps", "mirror", "serve", "--upstream", "http://127.0.0.1:9/simple", "--listen",
     "127.0.0.1:0", "--tls-certificate", "FILE", "--tls-private-key", "FILE"),
]


@pytest.mark.parametrize("what", ["folder", "/dev/zero", "absent", "broken link", "no rights"])
@pytest.mark.parametrize("arguments", NAMED, ids=lambda words: " ".join(words))
def test_whatever_is_named_ends_in_an_error_of_two_lines(cli, tmp_path, arguments, what):
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights").write_bytes(b"w")
    cli.sign(model)
    file = tmp_path / "named"
    if what == "folder":
        file.mkdir()
    elif what == "broken link":
        file.symlink_to("nowhere")
    elif what == "no rights":
        if os.geteuid() == 0:
            file.symlink_to("/proc/1/mem")  # root may read every file; this one fails while read
        else:
            file.write_text("x")
            file.chmod(0)
    elif what == "/dev/zero":
        file.symlink_to("/dev/zero")
    command = [word.replace("FILE", str(file)).replace("MODEL", str(model)) for word in arguments]
    done = cli.run(*command, timeout=60)
    assert done.returncode in (1, 2, 3), (done.returncode, done.stderr)
    lines = done.stderr.splitlines()
    assert any(re.match(r"mlxguard: error: .* \[[a-z_.0-9]+\]$", line) for line in lines), lines
    assert any(line.startswith("mlxguard: hint: ") for line in lines), lines


def test_a_pipe_may_be_named(cli, tmp_path):
    """`-c <(command)`, as a shell writes it."""
    reader, writer = os.pipe()
    os.write(writer, b"[limits]\nqueue_max = 3\n")
    os.close(writer)
    done = subprocess.run([BIN / "mlxguard", "key", "list", "-c", f"/dev/fd/{reader}", "--state",
                           str(cli.state)], capture_output=True, text=True, timeout=60,
                          pass_fds=[reader])
    os.close(reader)
    assert done.returncode == 0, done.stderr
