#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares every #include with tools/layers.toml. Exit 0: all arrows allowed; 1: violations, listed.

    tools/check_layers.py [ROOT]       ROOT defaults to the repository
"""
import pathlib
import re
import sys
import tomllib

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)


def check(root: pathlib.Path) -> list[str]:
    layers = tomllib.loads((root / "tools/layers.toml").read_text())
    folders, processes, owners = layers["folders"], layers["processes"], layers["owners"]
    problems = []
    places = [(root / "src" / name, name, uses) for name, uses in folders.items()]
    places += [(root / "processes" / name, name, uses) for name, uses in processes.items()]
    for base, known in (("src", folders), ("processes", processes)):
        for folder in sorted((root / base).glob("*/")) if (root / base).exists() else []:
            if folder.is_dir() and folder.name not in known:
                problems.append(f"{base}/{folder.name}: not listed in tools/layers.toml")
    for path, name, uses in places:
        for file in sorted(path.glob("**/*")):
            if file.suffix not in (".h", ".cpp"):
                continue
            is_test = file.stem.endswith("_test") or file.stem.endswith("_harness")
            for kind, header in INCLUDE.findall(file.read_text(errors="replace")):
                where = f"{file.relative_to(root)}: includes {header}"
                first = header.split("/")[0]
                for prefix, allowed in owners.items():
                    if header.startswith(prefix) and name not in allowed and not is_test:
                        problems.append(f"{where}: only {', '.join(allowed)} may")
                if kind == '"' and "/" in header:
                    if first == "processes" or first in processes and first not in folders:
                        problems.append(f"{where}: processes do not include each other")
                    elif first in folders and first != name and first not in uses:
                        problems.append(f"{where}: {name} may use {', '.join(uses) or 'nothing'}")
    return problems


def find_cycle(folders: dict[str, list[str]]) -> list[str]:
    done: set[str] = set()

    def walk(name: str, trail: list[str]) -> list[str]:
        if name in trail:
            return trail[trail.index(name):] + [name]
        if name in done:
            return []
        for used in folders.get(name, []):
            if cycle := walk(used, trail + [name]):
                return cycle
        done.add(name)
        return []

    for name in folders:
        if cycle := walk(name, []):
            return cycle
    return []


def main() -> int:
    root = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).parents[1]
    problems = check(root)
    layers = tomllib.loads((root / "tools/layers.toml").read_text())
    if cycle := find_cycle(layers["folders"]):
        problems.append("tools/layers.toml: cycle " + " -> ".join(cycle))
    for problem in problems:
        print(problem)
    print(f"layers: {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
