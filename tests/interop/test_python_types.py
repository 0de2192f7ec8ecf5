# SPDX-License-Identifier: Apache-2.0
"""The package's types are complete: mypy --strict, over the package and over a program that uses all of it."""
import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(1800)  # the first of them builds the wheel, on a fresh machine from nothing

PROGRAM = '''
from __future__ import annotations

import pathlib

import mlx.core as mx
import mlxguard
from mlxguard import lm


def use(path: pathlib.Path) -> None:
    guard: mlxguard.Guard = mlxguard.configure(state=path, config=None, public_keys=[path], progress=lambda done, total: None)
    report: mlxguard.Report = guard.verify(path)
    names: tuple[str, str, str, int, int, list[str]] = (
        report.root_digest, report.signer, report.signer_name, report.files, report.bytes, report.warnings)
    try:
        model: mlxguard.VerifiedModel = guard.open_model(path, "name")
        sizes: dict[str, int] = model.files
        model.load("a", stream=mx.cpu)
        mlxguard.load(path, stream=mx.new_stream(mx.cpu))
        with model.folder() as folder:
            inside: pathlib.Path = folder / "x"
            print(inside, sizes, names)
    except mlxguard.Refused as error:
        words: list[str] = [error.code, error.subject, error.hint, error.expected, error.actual, error.message, error.model, error.part]
        number: int = error.number
        print(words, number)
    with mlxguard.Guard() as own, mlxguard.patch(own) as used:
        print(used.verify(path).signer)
    print(lm.load(path, adapter_path=path, guard=guard), lm.generate, lm.stream_generate, lm.batch_generate)
'''
WRONG = {
    "guard.verify(path).signer_nam": "attr-defined",
    "lm.convert": "attr-defined",
    "mlxguard.configure(status=path)": "call-arg",
    "error.codes": "attr-defined",
    "mlxguard.load(1)": "arg-type",
}


def mypy(package, folder, text):
    file = folder / "program.py"
    file.write_text(text)
    done = subprocess.run([sys.executable, "-m", "mypy", "--strict", "--follow-imports=silent", "--no-error-summary", "--cache-dir", folder / "cache",
                           file, package / "mlxguard"], capture_output=True, text=True, env={**os.environ, "MYPYPATH": str(package)}, cwd=folder)
    assert done.stderr == ""
    return [line for line in done.stdout.splitlines() if ": note: " not in line]


def test_a_program_with_every_type_is_checked_strictly(package, tmp_path):
    assert mypy(package, tmp_path, PROGRAM) == []
    wrong = PROGRAM.replace("        print(words, number)\n", "        print(words, number)\n" + "".join(f"        {line}\n" for line in WRONG))
    found = mypy(package, tmp_path, wrong)
    assert [line.rpartition("[")[2].rstrip("]") for line in found] == list(WRONG.values()), found
