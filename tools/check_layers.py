#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Compares every #include, and what every program links, with tools/layers.toml.
Exit 0: all is as the table says; 1: violations, listed.

    tools/check_layers.py [ROOT]            includes; ROOT defaults to the repository
    tools/check_layers.py --links [BUILD]   also the programs of a configured build folder (build)
    tools/check_layers.py --samples         shows that each check finds its bad sample
"""
import pathlib
import re
import sys
import tempfile
import tomllib

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
LINKED = re.compile(r"^build bin/([^\s/]+): CXX_EXECUTABLE_LINKER.*\n((?:  .*\n)+)", re.M)


def check_includes(root: pathlib.Path) -> list[str]:
    layers = tomllib.loads((root / "tools/layers.toml").read_text())
    folders, processes, owners = layers["folders"], layers["processes"], layers["owners"]
    problems = []
    places = [("src", name, uses) for name, uses in folders.items()]
    places += [("processes", name, uses) for name, uses in processes.items()]
    for base, known in (("src", folders), ("processes", processes)):
        for folder in sorted((root / base).glob("*/")) if (root / base).exists() else []:
            if folder.is_dir() and folder.name not in known:
                problems.append(f"{base}/{folder.name}: not listed in tools/layers.toml")
    owners_used = {(prefix, name): False for prefix, names in owners.items() for name in names}
    for base, name, uses in places:
        used = set()
        for file in sorted((root / base / name).glob("**/*")):
            if file.suffix not in (".h", ".cpp"):
                continue
            is_test = file.stem.endswith("_test") or file.stem.endswith("_harness")
            for kind, header in INCLUDE.findall(file.read_text(errors="replace")):
                where = f"{file.relative_to(root)}: includes {header}"
                first = header.split("/")[0]
                for prefix, allowed in owners.items():
                    if not header.startswith(prefix):
                        continue
                    owners_used[prefix, name] = True
                    if name not in allowed and not is_test:
                        problems.append(f"{where}: only {', '.join(allowed)} may")
                if kind == '"' and "/" in header:
                    used.add(first)
                    if first == "processes" or first in processes and first not in folders:
                        problems.append(f"{where}: processes do not include each other")
                    elif first in folders and (first != name or base != "src") and first not in uses:
                        problems.append(f"{where}: {name} may use {', '.join(uses) or 'nothing'}")
        problems += [f"tools/layers.toml: {base}/{name} may use {one}, and does not"
                     for one in uses if one not in used and (root / base / name).exists()]
    problems += [f"tools/layers.toml: {name} may include {prefix}, and does not"
                 for (prefix, name), is_used in owners_used.items() if not is_used and len(owners[prefix]) > 1]
    if cycle := find_cycle(folders):
        problems.append("tools/layers.toml: cycle " + " -> ".join(cycle))
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


def linked_by_programs(build: pathlib.Path) -> dict[str, set[str]]:
    """What CMake links into each program of build/bin, all that its libraries link included: our libraries by
    the name of their folder, others by the name of their file (libssl)."""
    linked = {}
    for name, variables in LINKED.findall((build / "build.ninja").read_text()):
        libraries = re.search(r"^  LINK_LIBRARIES = (.*)$", variables, re.M)
        found = linked[name] = set()
        for word in libraries.group(1).split() if libraries else []:
            if word.startswith("-l"):
                found.add("lib" + word[2:])
            elif not word.startswith("-"):
                stem = pathlib.Path(word).name.split(".")[0]
                found.add(stem.removeprefix("libmlxguard_"))
    return linked


def check_links(root: pathlib.Path, build: pathlib.Path) -> list[str]:
    never = tomllib.loads((root / "tools/layers.toml").read_text())["never_links"]
    linked = linked_by_programs(build)
    problems = [f"bin/{name}: no row in [never_links] of tools/layers.toml"
                for name in linked if name.startswith("mlxguard") and name not in never]
    for name, libraries in never.items():
        if name not in linked:
            problems.append(f"tools/layers.toml: {name} is not a program")
        problems += [f"bin/{name}: links {one}" for one in libraries if one in linked.get(name, ())]
    return problems


LAYERS = """[folders]\nlow = []\nhigh = ["low"]\n[processes]\none = ["high"]\ntwo = ["high"]
[owners]\n"x.h" = ["low"]\n"y.h" = ["low", "high"]\n[never_links]\nmlxguard-one = ["low"]\n"""
GOOD = {"src/low/a.cpp": "#include <y.h>\n", "src/high/a.cpp": '#include "low/a.h"\n#include <y.h>\n',
        "processes/one/a.cpp": '#include "high/a.h"\n', "processes/two/a.cpp": '#include "high/a.h"\n',
        "tools/layers.toml": LAYERS,
        "build.ninja": "build bin/mlxguard-one: CXX_EXECUTABLE_LINKER__one a.o\n  LINK_LIBRARIES = src/high/libmlxguard_high.a -lz\n"}
# What each check is for: the file that is otherwise, and what must be said of it.
SAMPLES = {
    "an arrow up": ("src/low/b.cpp", '#include "high/a.h"\n', "low may use nothing"),
    "another process": ("processes/one/b.cpp", '#include "two/a.h"\n', "processes do not include each other"),
    "a header with a home": ("src/high/b.cpp", "#include <x.h>\n", "only low may"),
    "an unlisted folder": ("src/new/b.cpp", "", "src/new: not listed"),
    "an arrow that nothing uses": ("src/high/a.cpp", "#include <y.h>\n", "src/high may use low, and does not"),
    "an owner that does not include": ("src/low/a.cpp", "", "low may include y.h, and does not"),
    "a cycle": ("tools/layers.toml", LAYERS.replace("low = []", 'low = ["high"]'), "cycle low -> high -> low"),
    "a library that must not be linked": ("build.ninja", GOOD["build.ninja"].replace("high", "low"), "bin/mlxguard-one: links low"),
    "a program without a row": ("build.ninja", GOOD["build.ninja"].replace("guard-one", "guard-new"), "no row in [never_links]"),
    "a row without a program": ("build.ninja", "", "mlxguard-one is not a program"),
}


def problems_of_sample(changed: dict[str, str]) -> list[str]:
    with tempfile.TemporaryDirectory() as folder:
        root = pathlib.Path(folder)
        for name, text in {**GOOD, **changed}.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        return check_includes(root) + check_links(root, root)


def samples() -> int:
    failures = [f"the good sample: {problem}" for problem in problems_of_sample({})]
    for what, (name, text, expected) in SAMPLES.items():
        if not any(expected in problem for problem in problems_of_sample({name: text})):
            failures.append(f"{what}: not found")
    for failure in failures:
        print(failure)
    print(f"layers: {len(SAMPLES)} samples, {len(failures)} failures")
    return 1 if failures else 0


def main() -> int:
    arguments = sys.argv[1:]
    if arguments == ["--samples"]:
        return samples()
    root = pathlib.Path(__file__).parents[1]
    problems = []
    if arguments[:1] == ["--links"]:
        problems += check_links(root, pathlib.Path(arguments[1]) if arguments[1:] else root / "build")
    elif arguments:
        root = pathlib.Path(arguments[0])
    problems += check_includes(root)
    for problem in problems:
        print(problem)
    print(f"layers: {len(problems)} violations")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
