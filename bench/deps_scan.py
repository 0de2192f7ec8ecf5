#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps scan` of some 700 pinned packages against a whole snapshot of PyPI's advisories, beside osv-scanner (offline, the
same records) and pip-audit, which has no offline database and asks the network: `skipped` says for how many packages it got no answer.

Warm: the files are in the page cache. Cold: the database, the requirements and the program were dropped from it before each run.
Memory is the largest resident set of the process, mapped files included. One JSON line a measurement; peers that are not
installed are named as absent, never left out. OSV_SCANNER and PIP_AUDIT name the peers' programs.
"""
import json
import os
import pathlib
import random
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile

from packaging.version import InvalidVersion, Version

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
SNAPSHOT = ROOT.parent / "shared/advisories/pypi-osv-2025-02-12.zip"
ROUNDS = int(os.environ.get("ROUNDS", "7"))
BARS = {"warm": 0.3, "cold": 1.5}
MEMORY_MB_MAX = 150
PIP_AUDIT_PACKAGES = 20  # it asks the index once a package: an index is not there to be asked for hundreds


def is_version(text):
    """Some listed ones are none (`2.0.0-final`), and no installer takes those."""
    try:
        return bool(Version(text))
    except InvalidVersion:
        return False


def pins_of(snapshot, seed=5):
    """One listed version of each package that has any."""
    listed = {}
    with zipfile.ZipFile(snapshot) as archive:
        for name in archive.namelist():
            record = json.loads(archive.read(name))
            for affected in record["affected"] if not record.get("withdrawn") else []:
                key = re.sub(r"[-_.]+", "-", affected["package"]["name"]).lower()
                listed.setdefault(key, []).extend(filter(is_version, affected.get("versions", [])))
    choose = random.Random(seed).choice
    return {name: choose(versions) for name, versions in sorted(listed.items()) if versions}


def run(command, **options):
    """Seconds, largest resident set in MB, status, standard output."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as problems:
        start = time.monotonic()
        process = subprocess.Popen(list(map(str, command)), stdout=out, stderr=problems, **options)
        _, status, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        problems.seek(0)
        return seconds, usage.ru_maxrss / 1024, process.returncode, out.read(), problems.read()


def drop(*files):
    """Drops the files' pages from the cache, as far as a user may."""
    for file in files:
        with open(file, "rb") as opened:
            os.fsync(opened.fileno()) if os.access(file, os.W_OK) else None
            os.posix_fadvise(opened.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def line(tool, mode, times, memory, **more):
    out = {"bench": "deps_scan", "tool": tool, "mode": mode, "seconds": round(statistics.median(times), 4),
           "best": round(min(times), 4), "worst": round(max(times), 4), "rss_mb": round(memory), "load": os.getloadavg()[0]}
    if tool == "mlxguard":
        out |= {"bar_seconds": BARS[mode], "bar_mb": MEMORY_MB_MAX,
                "within": statistics.median(times) <= BARS[mode] and memory <= MEMORY_MB_MAX}
    print(json.dumps(out | more), flush=True)


def ours(place, requirements, packages):
    state = place / "state"
    program = BIN / "mlxguard"
    seconds, memory, status, _, problems = run([program, "deps", "db", "update", "--from", SNAPSHOT, "--state", state])
    if status != 0:
        sys.exit(f"deps db update: {problems.decode()}")
    print(json.dumps({"bench": "deps_db_update", "tool": "mlxguard", "seconds": round(seconds, 3), "rss_mb": round(memory)}))
    command = [program, "deps", "scan", requirements, "--json", "--max-age", "36500d", "--state", state]
    database = state / "advisories/osv.db"
    for mode in ("cold", "warm"):
        times, peak, findings = [], 0.0, 0
        for _ in range(ROUNDS):
            if mode == "cold":
                drop(database, requirements, program)
            seconds, memory, status, out, problems = run(command)
            report = json.loads(out)
            assert status == 1 and len(report["components"]) == packages, problems.decode()
            findings = sum(len(row["findings"]) for row in report["components"])
            assert findings >= packages, "each of these versions is listed as affected"
            times.append(seconds)
            peak = max(peak, memory)
        line("mlxguard", mode, times, peak, packages=packages, findings=findings)


def osv_scanner(place, requirements, packages):
    program = os.environ.get("OSV_SCANNER") or shutil.which("osv-scanner")
    if not program:
        print(json.dumps({"bench": "deps_scan", "tool": "osv-scanner", "absent": True}))
        return
    cache = place / "osv/osv-scalibr/PyPI"
    cache.mkdir(parents=True)
    shutil.copy(SNAPSHOT, cache / "all.zip")
    command = [program, "scan", "source", "--offline", "--format", "json", "-L", requirements]
    environment = os.environ | {"OSV_SCALIBR_LOCAL_DB_CACHE_DIRECTORY": str(place / "osv")}
    for mode in ("cold", "warm"):
        times, peak, found = [], 0.0, 0
        for _ in range(ROUNDS):
            if mode == "cold":
                drop(cache / "all.zip", requirements, program)
            seconds, memory, status, out, problems = run(command, env=environment)
            assert status == 1, problems.decode()
            found = sum(len(package["vulnerabilities"]) for result in json.loads(out)["results"] for package in result["packages"])
            times.append(seconds)
            peak = max(peak, memory)
        line("osv-scanner", mode, times, peak, packages=packages, records=found)


def pip_audit(place, requirements):
    program = os.environ.get("PIP_AUDIT") or shutil.which("pip-audit")
    if not program:
        print(json.dumps({"bench": "deps_scan", "tool": "pip-audit", "absent": True}))
        return
    command = [program, "--disable-pip", "--no-deps", "-r", place / "few.txt", "--format", "json", "--progress-spinner", "off",
               "--cache-dir", place / "audit"]
    few = place / "few.txt"
    few.write_text("".join(requirements.read_text().splitlines(keepends=True)[:PIP_AUDIT_PACKAGES]))
    seconds, memory, status, out, problems = run(command)
    skipped = None
    if out:
        skipped = sum("skip_reason" in one for one in json.loads(out)["dependencies"])
    line("pip-audit", "online", [seconds], memory, packages=PIP_AUDIT_PACKAGES, exit_status=status, skipped=skipped,
         said=problems.decode(errors="replace").strip()[-120:])


def main():
    if not SNAPSHOT.is_file():
        sys.exit("bench/deps_scan.py: error: ../shared/advisories is not there")
    pins = pins_of(SNAPSHOT)
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as folder:
        place = pathlib.Path(folder)
        requirements = place / "requirements.txt"
        requirements.write_text("".join(f"{name}=={version}\n" for name, version in pins.items()))
        ours(place, requirements, len(pins))
        osv_scanner(place, requirements, len(pins))
        pip_audit(place, requirements)


if __name__ == "__main__":
    main()
