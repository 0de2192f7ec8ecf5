# SPDX-License-Identifier: Apache-2.0
"""Our safetensors parser beside mlx's: what ours accepts, mlx accepts, with the same tensors. The reverse
does not hold, and shall not: mlx takes shapes that wrap and tensors that overlap."""
import json
import os
import pathlib
import random
import struct
import subprocess
import sys

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
SIZES = {"BOOL": 1, "U8": 1, "I8": 1, "U16": 2, "I16": 2, "F16": 2, "BF16": 2, "U32": 4, "I32": 4, "F32": 4,
         "U64": 8, "I64": 8}
# Loads each file named on standard input and prints what it found; a crash ends it, which the test sees.
MLX = """
import json, sys
import mlx.core as mx
names = {"bool": "BOOL", "uint8": "U8", "int8": "I8", "uint16": "U16", "int16": "I16", "float16": "F16",
         "bfloat16": "BF16", "uint32": "U32", "int32": "I32", "float32": "F32", "uint64": "U64", "int64": "I64"}
for line in sys.stdin:
    try:
        tensors = mx.load(line.strip(), format="safetensors")
        mx.eval(tensors)
        found = {k: [names[str(v.dtype).split(".")[-1]], list(v.shape)] for k, v in tensors.items()}
    except Exception as error:
        found = {"error": str(error)}
    print(json.dumps(found), flush=True)
"""


def file_of(header, data: bytes = b"", length: int | None = None) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header, ensure_ascii=False).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def some_tensors(rng: random.Random) -> tuple[dict, int]:
    header, at = {}, 0
    if rng.random() < 0.3:
        header["__metadata__"] = {"format": "mlx", "näme": "välue"}
    for i in range(rng.randrange(0, 6)):
        dtype = rng.choice(list(SIZES))
        shape = [rng.choice([0, 1, 1, 2, 3, 5]) for _ in range(rng.randrange(0, 5))]
        size = SIZES[dtype]
        for extent in shape:
            size *= extent
        name = rng.choice(["weight", "層", "a.b.c", "x" * 300, "quote\"back\\slash", "\u0001"]) + str(i)
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [at, at + size]}
        at += size
    return header, at


def mutated(rng: random.Random, header: dict, data_bytes: int) -> bytes:
    """One change to a good file: to a number, to the header's bytes, to its length, to the data's length."""
    header = json.loads(json.dumps(header))
    tensors = [t for name, t in header.items() if name != "__metadata__"]
    kind = rng.randrange(6)
    if kind == 0 and tensors:
        rng.choice(tensors)["shape"].append(rng.choice([0, 1, 2, -1, 1 << 31, 1 << 32, 1 << 62, 65536, 1.0, None, "1"]))
    elif kind == 1 and tensors:
        rng.choice(tensors)["data_offsets"][rng.randrange(2)] += rng.choice([-1, 1, 4, 1 << 40])
    elif kind == 2 and tensors:
        rng.choice(tensors)["dtype"] = rng.choice([*SIZES, "F64", "C64", "F8_E4M3", "f32", 7])
    elif kind == 3:
        text = bytearray(json.dumps(header).encode())
        text[rng.randrange(len(text))] = rng.randrange(256)
        return file_of(bytes(text), bytes(data_bytes))
    elif kind == 4:
        return file_of(header, bytes(max(0, data_bytes + rng.choice([-1, 1, 7]))))
    text = json.dumps(header).encode() + b" " * rng.randrange(9)
    return file_of(text, bytes(data_bytes), len(text) + rng.choice([0, 0, 0, -1, 1, 1 << 40]))


def ours(files) -> list[dict]:
    found = []
    for first in range(0, len(files), 500):
        done = subprocess.run([BIN / "tests/list_tensors", *files[first:first + 500]], capture_output=True,
                              text=True, check=True)
        found += [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(files)
    return found


def theirs(files) -> list[dict]:
    done = subprocess.run([sys.executable, "-c", MLX], input="\n".join(map(str, files)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_offsets(tensors: dict) -> dict:
    return {name: [dtype, shape] for name, (dtype, shape, _, _) in tensors.items()}


@pytest.mark.parametrize("seed", [1, 2])
def test_what_we_accept_mlx_accepts_with_the_same_tensors(tmp_path, seed):
    rng = random.Random(seed)
    files, good = [], set()
    for i in range(1500):
        header, data_bytes = some_tensors(rng)
        path = tmp_path / f"{i}.safetensors"
        if i % 3 == 0:
            path.write_bytes(file_of(header, bytes(data_bytes)))
            good.add(i)
        else:
            path.write_bytes(mutated(rng, header, data_bytes))
        files.append(path)
    verdicts = ours(files)
    assert all("tensors" in verdicts[i] for i in good), "a good file was refused"
    accepted = [i for i, verdict in enumerate(verdicts) if "tensors" in verdict]
    assert len(good) < len(accepted) < len(files)
    for i, found in zip(accepted, theirs([files[i] for i in accepted]), strict=True):
        assert found == without_offsets(verdicts[i]["tensors"]), files[i].read_bytes()[:2000]


def test_files_that_mlx_writes_are_accepted(tmp_path):
    script = """
import sys, mlx.core as mx
types = [mx.bool_, mx.uint8, mx.int8, mx.uint16, mx.int16, mx.float16, mx.bfloat16, mx.uint32, mx.int32, mx.float32,
         mx.uint64, mx.int64]
mx.save_safetensors(sys.argv[1], {str(t): mx.zeros((2, 3), dtype=t) for t in types} | {"scalar": mx.array(1.0)},
                    metadata={"format": "mlx"})
"""
    path = tmp_path / "written.safetensors"
    subprocess.run([sys.executable, "-c", script, path], check=True)
    verdict = ours([path])[0]
    assert theirs([path])[0] == without_offsets(verdict["tensors"])
    assert len(verdict["tensors"]) == 13


def test_fuzz_corpus(tmp_path):
    files = sorted((ROOT / "fuzz/corpus/safetensors").iterdir())
    verdicts = ours(files)
    accepted = [i for i, verdict in enumerate(verdicts) if "tensors" in verdict]
    assert 4 <= len(accepted) < len(files)
    for i, found in zip(accepted, theirs([files[i] for i in accepted]), strict=True):
        assert found == without_offsets(verdicts[i]["tensors"])
