#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""`mlxguard inspect` beside modelscan, picklescan and fickling: the same folders, what each finds, and how long it takes.

Each case is a folder with one thing in it that runs code, breaks a loader or is harmless; a tool "speaks" when its exit status or output says so. The peers are
named by MODELSCAN, PICKLESCAN and FICKLING or found on the PATH; one that is absent is named as absent. One JSON line a case and tool, then one a tool.
"""
import bz2
import collections
import datetime
import gzip
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import subprocess
import sys
import tarfile
import tempfile
import time
import zipfile
import zlib

ROOT = pathlib.Path(__file__).resolve().parents[1]
MLXGUARD = ROOT / "build/bin/mlxguard"


class Runs:
    """A pickle of this calls what it was made with."""

    def __init__(self, function, *arguments):
        self.call = (function, arguments)

    def __reduce__(self):
        return self.call


def safetensors(shape, offsets, data=b"", name="w", dtype="F32"):
    header = json.dumps({name: {"dtype": dtype, "shape": shape, "data_offsets": offsets}}).encode()
    return struct.pack("<Q", len(header)) + header + data


def safetensors_text(header, data_bytes):
    return struct.pack("<Q", len(header)) + header.encode() + bytes(data_bytes)


def zipped(entries):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content)
    return out.getvalue()


def torch_zip(pickled, more=()):
    return zipped({"archive/data.pkl": pickled, **dict(more), "archive/version": "3\n"})


def tar(content):
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w") as archive:
        info = tarfile.TarInfo("model.pkl")
        info.size = len(content)
        archive.addfile(info, io.BytesIO(content))
    return out.getvalue()


def gguf_template(template):
    key = b"tokenizer.chat_template"
    return b"GGUF" + struct.pack("<IQQQ", 3, 0, 1, len(key)) + key + struct.pack("<IQ", 8, len(template)) + template


def odd_memo():
    """Python reads the memo's number " 1" as 1: a scanner that does not sees harmless names."""
    return b"Vcollections\np1\n0VOrderedDict\np2\n0Vos\np 1\n0Vsystem\np 2\n0g1\ng2\n\x93(S'id'\ntR."


def memo_global():
    """STACK_GLOBAL whose names come from the memo, in another order than they were made."""
    return (b"\x80\x04\x8c\x06system\x94\x8c\x05posix\x94h\x01h\x00\x93\x8c\x02id\x94\x85R.")


def cases():
    """(name, files, whether it is bad)"""
    evil = pickle.dumps(Runs(os.system, "id"))
    yield "pickle os.system", {"model.pkl": evil}, True
    yield "pickle eval", {"model.pkl": pickle.dumps(Runs(eval, "1"))}, True
    yield "pickle protocol 0", {"model.pkl": pickle.dumps(Runs(os.system, "id"), 0)}, True
    yield "pickle names from the memo", {"model.pkl": memo_global()}, True
    yield "pickle that breaks after it ran", {"model.pkl": evil[:-1] + b"\xff\xff"}, True
    yield "pickle behind a pickle", {"model.pkl": pickle.dumps({"a": 1}) + evil}, True
    yield "pickle named .safetensors", {"model.safetensors": evil}, True
    yield "pickle without an extension", {"weights": evil}, True
    yield "pickle in gzip", {"model.pkl.gz": gzip.compress(evil)}, True
    yield "pickle in a PyTorch zip", {"pytorch_model.bin": torch_zip(evil)}, True
    yield "pickle in a zip with a wrong CRC", {"pytorch_model.bin": torch_zip(evil).replace(b"version3\n", b"version4\n")}, True
    yield "pickle importlib", {"model.pkl": pickle.dumps(Runs(__import__, "os"))}, True
    yield "pickle of an unknown module", {"model.pkl": b"cnobody.knows\nthis\n(S'x'\ntR."}, True
    yield "numpy object array", {"a.npy": npy("|O", (1,), evil)}, True
    yield "numpy shape wraps", {"a.npy": npy("<f4", (1 << 40, 1 << 40), b"\0" * 16)}, True
    yield "auto_map", {"config.json": b'{"auto_map": {"AutoModel": "modeling.X"}}', "modeling.py": b"import os\n"}, True
    yield "model_file", {"config.json": b'{"model_file": "evil.py"}', "evil.py": b"import os\n"}, True
    yield "chat template", {"tokenizer_config.json": b'{"chat_template": "{{ x.__class__.__mro__ }}"}'}, True
    yield "safetensors overlap", {"model.safetensors": safetensors([1 << 40], [0, 16], bytes(16))}, True
    yield "safetensors wraps", {"model.safetensors": safetensors([1 << 32, 1 << 32], [0, 0])}, True
    yield "gguf tensor count", {"model.gguf": b"GGUF" + struct.pack("<IQQ", 3, 1 << 60, 0)}, True
    yield "NaN weights", {"model.safetensors": safetensors([2], [0, 8], struct.pack("<ff", float("nan"), 1))}, True
    yield "executable", {"run": b"\x7fELF" + bytes(100)}, True
    yield "pickle: memo numbers with blanks", {"model.pkl": odd_memo()}, True
    yield "pickle: breaks off after an unknown call", {"model.pkl": b"cnobody.knows\nthis\n(S'x'\ntR"}, True
    yield "pickle: name behind an array's bytes", {"model.joblib": b"\x80\x04}\x94" + b"\xff" * 64 + b"\x8c\x02os\x94\x8c\x06system\x94\x93."}, True
    yield "pickle in zlib (joblib)", {"model.joblib": zlib.compress(evil)}, True
    yield "pickle in two streams of gzip", {"model.pkl.gz": gzip.compress(evil[:9]) + gzip.compress(evil[9:])}, True
    yield "pickle in bz2", {"model.pkl.bz2": bz2.compress(evil)}, True
    yield "pickle in a zip behind a picture", {"logo.png": b"\x89PNG\r\n\x1a\n" + bytes(40) + torch_zip(evil)}, True
    yield "pickle in the place of a PyTorch storage", {"pytorch_model.bin": torch_zip(pickle.dumps({}), {"archive/data/0": evil})}, True
    yield "pickle in a tar", {"model.tar": tar(evil)}, True
    yield "numpy object array in npz", {"a.npz": zipped({"a.npy": npy("|O", (1,), evil)})}, True
    yield "numpy header with a key twice", {"a.npy": npy("<f4", (1,), evil, more=", 'descr': '|O'")}, True
    yield "YAML object", {"c.yaml": b"a: !!python/object/apply:os.system [id]\n"}, True
    yield "YAML object behind an escape", {"c.yaml": b"a: !!pyth%6Fn/object/apply:os.system [id]\n"}, True
    yield "Keras Lambda layer", {"m.keras": zipped({"config.json": b'{"class_name": "Lambda", "config": {"function": "gASV"}}'})}, True
    yield "chat template with a computed key", {"chat_template.jinja": b"{% set k = a ~ b %}{{ x[k] }}"}, True
    yield "chat template in GGUF", {"m.gguf": gguf_template(b"{{ x.__class__ }}")}, True
    yield "safetensors: two tensors of one name", {"model.safetensors": safetensors_text('{"w":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"w":{"dtype":"U8","shape":[1],"data_offsets":[1,2]}}', 2)}, True
    yield "mlxfn cut off", {"f.mlxfn": struct.pack("<Q", 6) + b"0.32.4" + bytes(9)}, True
    yield "good: npz", {"a.npz": zipped({"a.npy": npy("<f4", (2,), bytes(8))})}, False
    yield "good: GGUF", {"m.gguf": gguf_template(b"{{ x }}")}, False
    yield "good: pickle of an ordered dictionary and a date", {"model.pkl": pickle.dumps([collections.OrderedDict(a=1), datetime.date(2026, 1, 1)])}, None
    yield "good: pickle of numbers", {"model.pkl": pickle.dumps({"w": [1.0, 2.0]})}, None
    yield "good: safetensors", {"model.safetensors": safetensors([2], [0, 8], struct.pack("<ff", 0.5, 1))}, False
    yield "good: PyTorch state dict", {"pytorch_model.bin": torch_zip(pickle.dumps(collections.OrderedDict(w=1)))}, None
    yield "good: config and template", {"config.json": b'{"model_type": "llama"}', "chat_template.jinja": b"{% for m in messages %}{{ m.content }}{% endfor %}"}, False


def npy(dtype, shape, data, more=""):
    header = (repr({"descr": dtype, "fortran_order": False, "shape": shape})[:-1] + more + ", }").encode()
    header += b" " * (-(len(header) + 11) % 64) + b"\n"
    return b"\x93NUMPY\x01\0" + struct.pack("<H", len(header)) + header + data


def program(variable, name):
    return os.environ.get(variable) or shutil.which(name)


def mlxguard(folder, state):
    done = subprocess.run([MLXGUARD, "inspect", folder, "--json", "--state", state], capture_output=True, text=True)
    report = json.loads(done.stdout)
    worst = [row["severity"] for row in report["findings"]]
    # That a file is a pickle is said of harmless ones too; medium alone is a remark about the format.
    return "incomplete" if not report["complete"] and not worst else "speaks" if any(one != "medium" or "pickle" not in row["rule"] for one, row in zip(worst, report["findings"])) else "silent"


def modelscan(path, folder, _):
    done = subprocess.run([path, "-p", folder], capture_output=True, text=True)
    return {0: "silent", 1: "speaks"}.get(done.returncode, "incomplete")


def picklescan(path, folder, _):
    done = subprocess.run([path, "-p", folder], capture_output=True, text=True)
    return {0: "silent", 1: "speaks"}.get(done.returncode, "incomplete")


def fickling(path, folder, _):
    said = set()
    for file in folder.iterdir():  # it takes one file; its report goes where --json-output says
        report = folder.parent / "fickling.json"
        report.unlink(missing_ok=True)
        done = subprocess.run([path, "--check-safety", "--json-output", report, file], capture_output=True, text=True)
        said.add("speaks" if done.returncode == 1 and report.exists() else "silent" if done.returncode == 0 else "incomplete")
    return "speaks" if "speaks" in said else "incomplete" if "incomplete" in said else "silent"


def main():
    tools = {"mlxguard": lambda folder, state: mlxguard(folder, state)}
    for name, variable, run in (("modelscan", "MODELSCAN", modelscan), ("picklescan", "PICKLESCAN", picklescan), ("fickling", "FICKLING", fickling)):
        if path := program(variable, name):
            tools[name] = lambda folder, state, path=path, run=run: run(path, folder, state)
        else:
            print(json.dumps({"bench": "inspect", "who": name, "absent": True}))
    found, spent = collections.defaultdict(collections.Counter), collections.Counter()
    with tempfile.TemporaryDirectory() as work:
        for index, (case, files, bad) in enumerate(cases()):
            folder = pathlib.Path(work) / f"case{index}"
            folder.mkdir()
            for name, content in files.items():
                (folder / name).write_bytes(content)
            row = {}
            for name, run in tools.items():
                begin = time.perf_counter()
                row[name] = run(folder, pathlib.Path(work) / "state")
                spent[name] += time.perf_counter() - begin
                if bad is not None:
                    found[name][("bad" if bad else "good", row[name])] += 1
            print(json.dumps({"bench": "inspect", "case": case, "bad": bad, **row}))
    for name in tools:
        bad = {said: count for (kind, said), count in found[name].items() if kind == "bad"}
        good = {said: count for (kind, said), count in found[name].items() if kind == "good"}
        print(json.dumps({"bench": "inspect", "who": name, "bad": bad, "good": good, "seconds": round(spent[name], 2)}))


if __name__ == "__main__":
    main()
