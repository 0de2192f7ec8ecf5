# SPDX-License-Identifier: Apache-2.0
"""Attacks on the event log's files: each is found, and named by its code and place."""
import base64
import hashlib
import os
import pathlib
import shutil
import sqlite3
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
TARGET = BIN / "tests/log_target"
SIZE = 700


def run(*arguments):
    return subprocess.run([str(TARGET), *map(str, arguments)], capture_output=True, text=True, timeout=120)


def fill(state, count, name="a"):
    done = run("burst", state, name, count, 500)
    assert done.returncode == 0, done.stderr


def findings(state):
    """Pairs of code and subject."""
    done = run("verify", state)
    lines = done.stdout.splitlines()
    assert lines and lines[-1] == ("ok" if done.returncode == 0 else "bad"), done.stderr
    return [tuple(line.removeprefix("finding ").split(" | ")[:2]) for line in lines if line.startswith("finding")]


@pytest.fixture(scope="module")
def original(tmp_path_factory):
    state = tmp_path_factory.mktemp("log") / "state"
    state.mkdir()
    fill(state, SIZE)
    assert findings(state) == []
    return state


@pytest.fixture
def state(original, tmp_path):
    shutil.copytree(original, tmp_path / "state")
    return tmp_path / "state"


def entries_of(file):
    data, entries = file.read_bytes(), []
    while data:
        length = int.from_bytes(data[:2], "big")
        entries.append(data[2:2 + length])
        data = data[2 + length:]
    return entries


def write_entries(file, entries):
    file.write_bytes(b"".join(len(entry).to_bytes(2, "big") + entry for entry in entries))


def leaf(entry):
    return hashlib.sha256(b"\0" + entry).digest()


def test_one_bit_of_an_entry(state):
    bundle = state / "log/tile/entries/001"
    entries = entries_of(bundle)
    entries[44] = entries[44].replace(b"success", b"suCcess")
    write_entries(bundle, entries)
    assert findings(state) == [("log.entry_changed", "entry 300")]


def test_a_removed_entry(state):
    bundle = state / "log/tile/entries/001"
    entries = entries_of(bundle)
    del entries[44]
    write_entries(bundle, entries)
    assert findings(state) == [("log.entry_missing", "entry 300")]


def test_an_inserted_entry(state):
    bundle = state / "log/tile/entries/002.p/188"
    entries = entries_of(bundle)
    write_entries(bundle, entries + [b"{}"])
    assert findings(state) == [("log.entry_changed", "tile/entries/002.p/188")]


def test_entries_in_another_order(state):
    bundle = state / "log/tile/entries/000"
    entries = entries_of(bundle)
    entries[10], entries[200] = entries[200], entries[10]
    write_entries(bundle, entries)
    assert findings(state) == [("log.entry_order", "entry 10"), ("log.entry_order", "entry 200")]


def test_a_removed_bundle(state):
    (state / "log/tile/entries/000").unlink()
    assert findings(state) == [("log.entry_missing", "entries 0 to 255")]


def test_a_truncated_log(state):
    shutil.rmtree(state / "log/tile/entries/002.p")
    assert findings(state) == [("log.truncated", "entries 512 to 699")]


def test_a_changed_hash_tile(state):
    tile = state / "log/tile/0/001"
    data = bytearray(tile.read_bytes())
    data[1000] ^= 0x80
    tile.write_bytes(data)
    assert findings(state) == [("log.tile_changed", "tile/0/001")]


def test_an_entry_rewritten_with_all_hashes_above_it(state):
    """All that can be recomputed without the private key is recomputed."""
    bundle, tile = state / "log/tile/entries/001", state / "log/tile/0/001"
    entries = entries_of(bundle)
    entries[44] = b'{"nothing":"happened"}'
    write_entries(bundle, entries)
    hashes = [leaf(entry) for entry in entries]
    tile.write_bytes(b"".join(hashes))
    while len(hashes) > 1:
        hashes = [hashlib.sha256(b"\1" + hashes[i] + hashes[i + 1]).digest() for i in range(0, len(hashes), 2)]
    above = state / "log/tile/1/000.p/2"
    above.write_bytes(above.read_bytes()[:32] + hashes[0])
    found = findings(state)
    assert ("log.root", "checkpoint") in found


def test_a_checkpoint_that_claims_another_size_or_root(state):
    checkpoint = state / "log/checkpoint"
    text = checkpoint.read_text()
    checkpoint.write_text(text.replace("\n700\n", "\n699\n"))
    assert findings(state) == [("log.checkpoint", "checkpoint")]
    root = text.split("\n")[2]
    checkpoint.write_text(text.replace(root, base64.b64encode(b"\0" * 32).decode()))
    assert findings(state) == [("log.checkpoint", "checkpoint")]


def test_a_log_made_anew_with_another_key(state, tmp_path):
    other = tmp_path / "other"
    other.mkdir()
    fill(other, SIZE)
    shutil.rmtree(state / "log")
    shutil.copytree(other / "log", state / "log")
    assert ("log.checkpoint", "log.vkey") in findings(state)


def test_an_older_true_log_put_back(tmp_path):
    state = tmp_path / "state"
    state.mkdir()
    fill(state, 100)
    shutil.copytree(state / "log", tmp_path / "old")
    fill(state, 1, "incriminating")
    shutil.rmtree(state / "log")
    shutil.copytree(tmp_path / "old", state / "log")
    assert findings(state) == [("log.rollback", "checkpoint")]
    # And it is not written on.
    done = run("append", state, "b", 1)
    assert done.returncode == 3 and "log.rollback" in done.stderr


def test_a_removed_head(state):
    (state / "log.head").unlink()
    assert findings(state) == [("log.rollback", "log.head")]


def test_an_index_that_hides_an_event(state):
    database = sqlite3.connect(state / "log/index.sqlite")
    database.execute("DELETE FROM events WHERE idx = 300")
    database.commit()
    database.close()
    assert findings(state) == [("log.index", "index.sqlite")]


@pytest.mark.parametrize("position", [8, 30, 60, 200, -10])
def test_a_damaged_journal(state, position):
    """Journals of a process that was killed: what is in the middle is acknowledged, and may not change."""
    process = subprocess.Popen([str(TARGET), "append", str(state), "k", "1000000"], stdout=subprocess.PIPE, text=True)
    for line in process.stdout:
        if line.startswith("acked k 40"):
            break
    process.kill()
    process.wait()
    journal = sorted((state / "log/journal").iterdir())[-1]
    data = bytearray(journal.read_bytes())
    frame = data.find(b"MLXGJRN1", 1)
    assert frame > 0, "the journal holds more than one frame"
    end = len(data.rstrip(b"\0"))  # the rest is room for frames to come
    index = frame + position if position > 0 else end + position
    data[index] ^= 1
    journal.write_bytes(data)
    assert "log.journal" in {code for code, _ in findings(state)}
