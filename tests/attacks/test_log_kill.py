# SPDX-License-Identifier: Apache-2.0
"""SIGKILL at any moment, during recovery too, and a full disk: no acknowledged event is lost or moved."""
import json
import os
import pathlib
import random
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
TARGET = BIN / "tests/log_target"
KILLS = 36


def run(*arguments, timeout=120):
    return subprocess.run([str(TARGET), *map(str, arguments)], capture_output=True, text=True, timeout=timeout)


def verified(state):
    done = run("verify", state)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def logged(state):
    """Sequence numbers in the log's order, by producer; the kinds of the other events."""
    done = run("dump", state)
    assert done.returncode == 0, done.stderr
    producers, others = {}, []
    for line in done.stdout.splitlines():
        record = json.loads(line)
        ours = record["unmapped"]
        if "request" in ours:
            producers.setdefault(ours["request"], []).append(ours["count"])
        else:
            others.append(record)
    return producers, others


class Victim:
    """A process that writes, and what it was told is durable."""

    def __init__(self, state, *arguments):
        self.acked = {}
        self.process = subprocess.Popen([str(TARGET), *map(str, arguments)], stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read)
        self.reader.start()

    def _read(self):
        for line in self.process.stdout:
            words = line.split()
            # A line that the kill cut short was not told to anybody.
            if line.endswith("\n") and words and words[0] == "acked":
                self.acked.setdefault(words[1], []).append(int(words[2]))

    def kill_after(self, seconds):
        time.sleep(seconds)
        self.process.kill()
        self.process.wait()
        self.reader.join()


def check(state, acked):
    producers, others = logged(state)
    for producer, numbers in acked.items():
        found = producers.get(producer, [])
        # One producer's events are logged in its order, without gaps and once, and reach as far as it was told.
        assert found == list(range(len(found))), f"{producer}: order or gap"
        assert len(found) >= len(numbers), f"{producer}: {len(numbers)} acknowledged, {len(found)} in the log"
    return others


def test_no_acknowledged_event_is_lost_by_kills_at_random_moments(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    chance = random.Random(7)
    acked, recoveries = {}, 0
    for kill in range(KILLS):
        name = f"p{kill}"
        command = (["append", state, name, 1_000_000, 4] if kill % 3 == 0 else
                   ["append", state, name, 1_000_000] if kill % 3 == 1 else
                   ["burst", state, name, 10_000_000, 300])
        victim = Victim(state, *command)
        # Some die while they recover what the one before them left, some in the middle of the tree's work.
        victim.kill_after(chance.choice([0.002, 0.005, 0.01, 0.02, 0.05]) if kill % 4 == 3 else
                          chance.uniform(0.02, 0.5))
        acked.update(victim.acked)
        if kill % 6 == 5:
            verified(state)  # of the log as the kill left it: an incomplete frame is no finding
    done = run("append", state, "last", 1)
    assert done.returncode == 0, done.stderr
    verified(state)
    others = check(state, acked)
    assert sum(len(numbers) for numbers in acked.values()) > 1000
    recovered = [record for record in others if record["unmapped"]["kind"] == "log.recovered"]
    assert recovered and all(record["unmapped"]["outcome"] == "success" for record in recovered)
    assert len(recovered) == len(others)


def test_kills_of_one_of_two_writers(tmp_path):
    """The one that lives goes on, and what the dead one was told is in the log."""
    state = tmp_path / "state"
    state.mkdir()
    chance = random.Random(8)
    survivor = Victim(state, "append", state, "survivor", 1_000_000, 2)
    acked = {}
    for kill in range(8):
        victim = Victim(state, "append", state, f"v{kill}", 1_000_000)
        victim.kill_after(chance.uniform(0.02, 0.3))
        acked.update(victim.acked)
    survivor.kill_after(0.1)
    acked.update(survivor.acked)
    assert run("append", state, "last", 1).returncode == 0
    verified(state)
    check(state, acked)


def test_a_full_disk_is_told_and_appending_works_again(tmp_path):
    """On a small file system of its own; ENOSPC, not a stand-in."""
    script = f"""
        set -e
        mount -t tmpfs -o size=3m tmpfs {tmp_path}
        mkdir {tmp_path}/state
        {TARGET} append {tmp_path}/state full 1000000 > {tmp_path}/../full.out 2> {tmp_path}/../full.err || true
        tail -n 1 {tmp_path}/../full.out
        mount -o remount,size=64m {tmp_path}
        {TARGET} append {tmp_path}/state after 5 | tail -n 1
        {TARGET} verify {tmp_path}/state | tail -n 1
        {TARGET} dump {tmp_path}/state > {tmp_path}/../full.dump
    """
    done = subprocess.run(["unshare", "--user", "--map-root-user", "--mount", "sh", "-c", script],
                          capture_output=True, text=True, timeout=120)
    if "unshare" in done.stderr or "mount" in done.stderr:
        pytest.skip("this machine does not allow a mount in a user namespace")
    assert done.returncode == 0, done.stderr
    failed, after, verdict = done.stdout.splitlines()
    assert failed.startswith("failed full ") and failed.endswith(" log.write")
    assert after == "acked after 4"
    assert verdict == "ok"
    acked = sum(line.startswith("acked") for line in (tmp_path.parent / "full.out").read_text().splitlines())
    sequences = [json.loads(line)["unmapped"].get("count") for line in
                 (tmp_path.parent / "full.dump").read_text().splitlines() if '"request":"full"' in line]
    assert sequences == list(range(acked)), "what failed is not in the log, what was acknowledged is"
