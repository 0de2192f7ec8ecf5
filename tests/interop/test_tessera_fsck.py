# SPDX-License-Identifier: Apache-2.0
"""Tessera's fsck, which shares no code with mlxguard, accepts our logs and refuses a tampered one."""
import os
import pathlib
import re
import shutil
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
TARGET = BIN / "tests/log_target"
GOBIN = ROOT / "build/gobin"
MODULE = "github.com/transparency-dev/tessera/cmd/fsck@v1.0.4"
# The exit code says nothing in this version: only this line does.
SUCCESS = re.compile(r"Successfully fsck'd log with size (\d+) and root (\S+)")


@pytest.fixture(scope="module")
def fsck():
    binary = GOBIN / "fsck"
    if binary.exists():
        return binary
    if shutil.which("go") is None:
        pytest.skip("go is not installed, so Tessera's fsck cannot be built")
    GOBIN.mkdir(parents=True, exist_ok=True)
    built = subprocess.run(["nice", "go", "install", MODULE], env={**os.environ, "GOBIN": str(GOBIN)},
                           capture_output=True, text=True, timeout=900)
    if built.returncode != 0 and not binary.exists():
        pytest.skip("Tessera's fsck could not be built: " + built.stderr[-500:])
    return binary


def run_fsck(fsck, log):
    done = subprocess.run([str(fsck), f"--storage_url=file://{log}/", f"--public_key={log}/log.vkey",
                           "--ui=false", "--logtostderr", "-N", "2"],
                          capture_output=True, text=True, timeout=120)
    return SUCCESS.search(done.stdout + done.stderr)


def fill(state, count):
    done = subprocess.run([str(TARGET), "burst", str(state), "fsck", str(count), "2000"],
                          capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr


def verified(state):
    done = subprocess.run([str(TARGET), "verify", str(state)], capture_output=True, text=True, timeout=300)
    lines = done.stdout.splitlines()
    assert lines[-1] == "ok", done.stdout
    _, size, _, _, _, root = lines[-2].split()
    return size, root


def test_logs_of_many_sizes_pass(fsck, tmp_path):
    """One entry, around one tile, around two levels of tiles; by the process that goes on with the log."""
    size = 0
    for more in (1, 254, 1, 1, 65279, 1, 999):
        fill(tmp_path, more)
        size += more
        match = run_fsck(fsck, tmp_path / "log")
        assert match, f"fsck refused a log of {size} entries"
        assert match.groups() == verified(tmp_path)
        assert int(match.group(1)) == size


@pytest.mark.parametrize("pattern", ["tile/entries/000", "tile/entries/002.p/*", "tile/0/001", "tile/0/002.p/*",
                                     "tile/1/000.p/*", "checkpoint"])
def test_a_flipped_byte_fails_in_both(fsck, tmp_path, pattern):
    fill(tmp_path, 600)
    log = tmp_path / "log"
    assert run_fsck(fsck, log)
    file = next(log.glob(pattern))
    data = bytearray(file.read_bytes())
    data[len(data) // 2] ^= 1
    file.write_bytes(data)
    assert not run_fsck(fsck, log)
    done = subprocess.run([str(TARGET), "verify", str(tmp_path)], capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout.splitlines()[-1] == "bad"
