#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Style and honesty of the tree, as a test. Exit 0: nothing found; 1: findings, one a line.

    tools/tidy.py [ROOT]      ROOT defaults to the repository
    tools/tidy.py --samples   shows that each check finds its bad sample

What must stay as it is stands in tools/tidy.toml with its reason. An exception that is not needed any more
is a finding itself: the list can only shrink.
"""
import fnmatch
import pathlib
import re
import subprocess
import sys
import tomllib

COLUMNS_MAX = 100
FILE_LINES_MAX = 400
FUNCTION_LINES_MAX = 70
SOURCE = {".cpp", ".h"}
BANNED = {
    r"\b(strcpy|strcat|sprintf|vsprintf|gets|strtok|mktemp|tmpnam|alloca)\s*\(": "an unbounded or racy call",
    r"\b(system|popen)\s*\(": "a shell",
    r"\bstd::regex\b": "std::regex, whose stack input controls",
    r"\batoi\s*\(|\bstd::sto(i|l|ll|ul|ull|d|f)\b": "a number parser without errors; use std::from_chars",
    r"\breinterpret_cast<\s*char\s*\*>\s*\(\s*const_cast": "a cast that writes through const",
    r"\busing namespace (?!std::literals|std::string_view_literals|std::chrono|mlxguard|nb::literals)": "using namespace",
}


class Tree:
    def __init__(self, root: pathlib.Path):
        self.root = root
        listed = subprocess.run(["git", "-C", root, "ls-files", "-co", "--exclude-standard"], capture_output=True, text=True)
        names = listed.stdout.splitlines() if listed.returncode == 0 else [
            str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()]
        self.names = sorted(name for name in names if (root / name).is_file())

    def text(self, name):
        return (self.root / name).read_text(errors="replace")

    def sources(self, *folders):
        return [name for name in self.names if pathlib.PurePath(name).suffix in SOURCE
                and (not folders or name.split("/")[0] in folders)]


def formatted_lines(text):
    """Numbered lines outside of `clang-format off`: tables may be wide."""
    off = False
    for number, line in enumerate(text.splitlines(), 1):
        if "clang-format off" in line:
            off = True
        if not off:
            yield number, line
        if "clang-format on" in line:
            off = False


def check_columns(tree):
    for name in tree.sources():
        for number, line in formatted_lines(tree.text(name)):
            if len(line) > COLUMNS_MAX and "R\"" not in line and ")\"" not in line:  # raw text is data
                yield name, f"line {number} has {len(line)} columns, more than {COLUMNS_MAX}"


def check_file_length(tree):
    for name in tree.sources():
        lines = tree.text(name).count("\n")
        if lines > FILE_LINES_MAX:
            yield name, f"{lines} lines, more than {FILE_LINES_MAX}"


def check_function_length(tree):
    """A body that begins with `{` at the end of an unindented line (or one in a class) and ends with `}` below it."""
    for name in tree.sources("src", "processes", "include", "python"):
        start, indent = 0, ""
        for number, line in formatted_lines(tree.text(name)):
            opened = re.match(r"^(\s{0,2})\S.*\)[^;]*\{$", line)
            if not start and opened and not re.match(r"\s*(namespace|class|struct|enum|if|for|while|switch)\b", line):
                start, indent = number, opened.group(1)
            elif start and line.rstrip().rstrip(";)") == indent + "}":  # also of a lambda
                if number - start > FUNCTION_LINES_MAX:
                    yield name, f"a function of {number - start} lines at line {start}, more than {FUNCTION_LINES_MAX}"
                start = 0


def check_banned(tree):
    for name in tree.sources("src", "processes", "include"):
        if re.search(r"_(test|harness|target|support)\.(cpp|h)$", name):
            continue  # tests and what they run
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            code = line.split("//")[0]
            for pattern, what in BANNED.items():
                if re.search(pattern, code):
                    yield name, f"line {number}: {what}"


def check_environment(tree):
    for name in tree.sources("src", "processes"):
        if not name.endswith("/main.cpp") and re.search(r"\bgetenv\s*\(", tree.text(name)):
            yield name, "reads the environment; only main.cpp does, and passes it on"


def check_todo(tree):
    for name in tree.names:
        if pathlib.PurePath(name).suffix in SOURCE | {".py", ".rs", ".cmake"} and not name.startswith("tools/tidy"):
            for number, line in enumerate(tree.text(name).splitlines(), 1):
                if re.search(r"\b(TODO|FIXME|XXX|HACK)\b", line):
                    yield name, f"line {number}: unfinished work; finish it or take it out"


def check_spdx(tree):
    for name in tree.names:
        if pathlib.PurePath(name).suffix in SOURCE | {".py", ".rs"}:
            if "SPDX-License-Identifier: Apache-2.0" not in "\n".join(tree.text(name).splitlines()[:3]):
                yield name, "no SPDX line in the first three"


def check_listed(tree):
    """Every source is built by the CMakeLists.txt of its folder or of one above it."""
    for name in tree.sources("src", "processes", "fuzz", "bench", "tests", "python"):
        path = pathlib.PurePath(name)
        if path.suffix != ".cpp":
            continue
        stem = path.stem.removesuffix("_fuzz")
        lists = [folder / "CMakeLists.txt" for folder in path.parents] + [
            path.parent / f"{path.parent.name}.cmake", pathlib.PurePath("cmake/mlxguard.cmake")]
        if not any((tree.root / list_).is_file() and re.search(rf"\b{re.escape(stem)}\b", tree.text(list_))
                   for list_ in lists):
            yield name, "no CMakeLists.txt names it"


def check_error_codes(tree):
    table = "src/base/error_codes.h"
    if table not in tree.names:
        return
    used = "\n".join(tree.text(name) for name in tree.sources("src", "processes") if name != table)
    for enumerator in re.findall(r"X\(\d+, (k\w+),", tree.text(table)):
        if not re.search(rf"ErrorCode::{enumerator}\b", used):
            yield table, f"{enumerator} is in the table and nobody makes it"


def check_events(tree):
    table, page = "src/record/table.h", "docs/events.md"
    if table not in tree.names:
        return
    used = "\n".join(tree.text(name) for name in tree.sources("src", "processes") if name != table)
    documented = tree.text(page) if page in tree.names else ""
    for enumerator, name in re.findall(r"X\((k\w+),\s*\"([\w.]+)\"", tree.text(table)):
        if not re.search(rf"Kind::{enumerator}\b", used):
            yield table, f"{name} is in the table and nobody reports it"
        if f"`{name}`" not in documented:
            yield page, f"does not document {name}"


def check_machine_paths(tree):
    paths = re.compile(r"(?<![\w.])/(root|home)/\w|(?<![\w./])/(work)/")
    for name in tree.names:
        if name.startswith("tools/tidy") or pathlib.PurePath(name).suffix in {".lock", ".svg", ".png", ".bin", ".zip"}:
            continue
        for number, line in enumerate(tree.text(name).splitlines(), 1):
            if paths.search(line):
                yield name, f"line {number}: a path of one machine"


CHECKS = {
    "columns": check_columns, "file-length": check_file_length, "function-length": check_function_length,
    "banned": check_banned, "environment": check_environment, "todo": check_todo, "spdx": check_spdx,
    "listed": check_listed, "error-codes": check_error_codes, "events": check_events, "machine-paths": check_machine_paths,
}


def run(root: pathlib.Path) -> list[str]:
    tree = Tree(root)
    file = root / "tools/tidy.toml"
    exceptions = tomllib.loads(file.read_text()) if file.is_file() else {}
    problems = []
    for check, function in CHECKS.items():
        allowed = exceptions.get(check, {})
        needed = set()
        for name, what in function(tree):
            if pattern := next((p for p in allowed if fnmatch.fnmatch(name, p) or p in what.split()), None):
                needed.add(pattern)
            else:
                problems.append(f"{name}: {what} [{check}]")
        problems += [f"tools/tidy.toml: {check} {pattern}: not needed any more" for pattern in set(allowed) - needed]
    return problems


SAMPLES = {
    "columns": ("src/a/a.cpp", "// " + "x" * 100),
    "file-length": ("src/a/a.cpp", "\n" * 500),
    "function-length": ("src/a/a.cpp", "int f() {\n" + "  g();\n" * 80 + "}\n"),
    "banned": ("src/a/a.cpp", "void f() { strcpy(a, b); }"),
    "environment": ("src/a/a.cpp", "auto x = std::getenv(\"HOME\");"),
    "todo": ("src/a/a.cpp", "// TODO later"),
    "spdx": ("src/a/a.cpp", "int x;"),
    "listed": ("src/a/a.cpp", "int x;"),
    "error-codes": ("src/base/error_codes.h", 'X(100, kIo, "io.failed", kFailed, "")'),
    "events": ("src/record/table.h", 'X(kSeen, "thing.seen", kHost, 1, 1, 1, "")'),
    "machine-paths": ("src/a/a.cpp", '// see ' + '/ro' + 'ot/x'),
}


def samples() -> int:
    import tempfile
    silent = []
    for check, (name, text) in SAMPLES.items():
        with tempfile.TemporaryDirectory() as folder:
            file = pathlib.Path(folder, name)
            file.parent.mkdir(parents=True)
            file.write_text(text)
            if not any(f"[{check}]" in problem for problem in run(pathlib.Path(folder))):
                silent.append(check)
    silent += sorted(set(CHECKS) - set(SAMPLES))
    print(f"tidy: {len(CHECKS) - len(silent)} of {len(CHECKS)} checks find their bad sample")
    return 1 if silent else 0


def main() -> int:
    if sys.argv[1:] == ["--samples"]:
        return samples()
    problems = run(pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else pathlib.Path(__file__).resolve().parents[1])
    for problem in problems:
        print(problem)
    print(f"tidy: {len(problems)} findings")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
