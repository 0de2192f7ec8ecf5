# SPDX-License-Identifier: Apache-2.0
"""Which files changed: against $MLXGUARD_BASE, else against where this branch left origin/main (or main)."""
import os
import pathlib
import subprocess

ROOT = pathlib.Path(__file__).resolve().parents[1]


def git(*args) -> list[str]:
    done = subprocess.run(["git", "-C", ROOT, *args], capture_output=True, text=True)
    return done.stdout.splitlines() if done.returncode == 0 else []


def base() -> str:
    if named := os.environ.get("MLXGUARD_BASE"):
        return named
    for branch in ("origin/main", "main"):
        if found := git("merge-base", "HEAD", branch):
            return found[0]
    return "HEAD"


def changed_files() -> list[pathlib.Path]:
    """Changed or new since the base, in the working tree included; without the deleted ones."""
    names = git("diff", "--name-only", "--diff-filter=d", base()) + git("ls-files", "-o", "--exclude-standard")
    return [ROOT / name for name in sorted(set(names))]


def all_files() -> list[pathlib.Path]:
    return [ROOT / name for name in git("ls-files", "-co", "--exclude-standard") if (ROOT / name).is_file()]
