#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Inventory of a 300-package environment with RECORD hashes, beside what else lists one: cyclonedx-py and pip.

The environment is the project's own, each package three times under other names: real files, real binaries,
real requirements. One JSON line a measurement; rounds are interleaved. None of the peers compares a file with
its RECORD or looks into a binary; mlxguard's `records_only` leaves the binaries out as well.
"""
import importlib.metadata
import json
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = pathlib.Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT / "tests/support"))
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
ROUNDS = int(os.environ.get("ROUNDS", "5"))
PACKAGES = 300


def link(source, target):
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def copy_package(distribution, suffix, site):
    """Installs a distribution again as NAME + suffix; its files stay the same, below a folder of their own."""
    from wheel_maker import record_hash
    origin = pathlib.Path(distribution.locate_file(""))
    name = distribution.metadata["Name"].replace("-", "_") + suffix
    info = f"{name}-{distribution.version}.dist-info"
    rows = []
    for file in distribution.files or []:
        path = str(file)
        if path.startswith("..") or path.endswith(".pyc") or ".dist-info/" in path or not file.hash:
            continue
        target = f"{name}_files/{path}" if suffix else path
        link(origin / path, site / target)
        rows.append(f"{target},{file.hash.mode}={file.hash.value},{file.size}")
    text = distribution.read_text("METADATA").replace(f"Name: {distribution.metadata['Name']}", f"Name: {name}", 1)
    for path, data in {f"{info}/METADATA": text.encode(), f"{info}/INSTALLER": b"pip\n"}.items():
        (site / path).parent.mkdir(parents=True, exist_ok=True)
        (site / path).write_bytes(data)
        rows.append(f"{path},{record_hash(data)},{len(data)}")
    (site / info / "RECORD").write_text("\n".join(f'"{r.rsplit(",", 2)[0]}",' + ",".join(r.rsplit(",", 2)[1:])
                                                  for r in rows) + f"\n{info}/RECORD,,\n")


def make_environment(folder):
    site = folder / "lib/python3.11/site-packages"
    site.mkdir(parents=True)
    (folder / "pyvenv.cfg").write_text("home = /usr/bin\nversion = 3.11.2\ninclude-system-site-packages = false\n")
    source = next((ROOT / ".venv/lib").glob("python3*/site-packages"))
    found = sorted(importlib.metadata.distributions(path=[str(source)]), key=lambda d: d.metadata["Name"].lower())
    made = 0
    for suffix in ("", "_b", "_c", "_d"):
        for distribution in found:
            if made == PACKAGES:
                return made
            if suffix and distribution.metadata["Name"] in ("mlx-cpu", "mlx"):
                continue  # one of them is enough: nobody has three
            copy_package(distribution, suffix, site)
            made += 1
    return made


def measure(command, **options):
    start = time.monotonic()
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, **options)
    seconds = time.monotonic() - start
    if done.returncode != 0:
        raise SystemExit(f"{command}: {done.stderr.decode()}")
    return seconds, done.stdout


def main():
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as place:
        env = pathlib.Path(place) / "env"
        packages = make_environment(env)
        files = sum(len(names) for _, _, names in os.walk(env))
        size = sum((pathlib.Path(folder) / name).stat().st_size for folder, _, names in os.walk(env) for name in names)
        common = ["--state", f"{place}/state", "--json"]
        peers = {"mlxguard": [BIN / "mlxguard", "deps", "inventory", env, *common],
                 "mlxguard_records_only": [BIN / "mlxguard", "deps", "inventory", env, "--no-native", *common],
                 "pip_list": [ROOT / ".venv/bin/python", "-m", "pip", "list", "--path",
                              env / "lib/python3.11/site-packages", "--format", "json"]}
        cyclonedx = shutil.which("cyclonedx-py", path=f"{ROOT}/build/bench-venv/bin:{os.environ.get('PATH', '')}")
        if cyclonedx:
            peers["cyclonedx_py"] = [cyclonedx, "environment", env, "--sv", "1.6"]
        times = {name: [] for name in peers}
        for _ in range(ROUNDS + 1):  # the first warms the page cache
            for name, command in peers.items():
                seconds, out = measure(command)
                times[name].append(seconds)
                if name == "mlxguard":
                    found = json.loads(out)
                    listed = sum(c["kind"] == "package" and c["purl"].startswith("pkg:pypi/")
                                 for c in found["components"])
                    assert listed == packages, (listed, packages)
                    wrong = [o for o in found["observations"] if o["kind"].startswith("record")]
                    assert wrong == [], wrong[:3]
        memory = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024
        for name, all_times in times.items():
            line = {"bench": "deps_inventory", "tool": name, "packages": packages, "files": files,
                    "mb": round(size / 1e6), "seconds": round(statistics.median(all_times[1:]), 3),
                    "best": round(min(all_times[1:]), 3), "first": round(all_times[0], 3), "load": os.getloadavg()[0]}
            if name == "mlxguard":
                line |= {"bar_seconds": 2.0, "within": statistics.median(all_times[1:]) <= 2.0,
                         "children_rss_mb_max": round(memory)}
            print(json.dumps(line))


if __name__ == "__main__":
    main()
