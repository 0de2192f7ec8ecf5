# SPDX-License-Identifier: Apache-2.0
"""Our readers of npy, npz, GGUF and exported functions beside mlx's: what ours accept, mlx accepts, with the same names, shapes, types and values. The
reverse does not hold, and shall not: mlx takes what wraps, overlaps, or is something else to another reader."""
import io
import json
import os
import pathlib
import random
import struct
import subprocess
import sys
import zipfile

import numpy
import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
# Loads each file named on standard input and prints what it found; a crash ends it, which the test sees.
MLX = """
import json, os, sys
import mlx.core as mx
for line in sys.stdin:
    path = line.strip()
    try:
        if path.endswith(".mlxfn"):
            mx.import_function(path)
            found = {}
        else:
            loaded = mx.load(path)
            loaded = loaded if isinstance(loaded, dict) else {"": loaded}
            mx.eval(loaded)
            found = {k: [str(v.dtype).split(".")[-1], list(v.shape)] for k, v in loaded.items()}
    except Exception as error:
        found = {"error": str(error)}
    print(json.dumps(found), flush=True)
os._exit(0)  # mlx's threads may still hold readers of a npz, which the end of the interpreter does not take well
"""
NUMPY_TYPES = ["|b1", "|u1", "|i1", "<u2", ">u2", "<i2", ">i2", "<u4", ">u4", "<i4", ">i4", "<u8", ">u8", "<i8", ">i8", "<f2", ">f2", "<f4", ">f4",
               "<f8", ">f8", "<c8"]
SHAPES = [(), (1,), (0,), (2, 3), (2, 0, 3), (1, 2, 3, 4), (7,), (2,) * 8]


def ours(files) -> list[dict]:
    found = []
    for first in range(0, len(files), 500):
        done = subprocess.run([BIN / "tests/list_tensors", *files[first:first + 500]], capture_output=True, text=True, check=True)
        found += [json.loads(line) for line in done.stdout.splitlines()]
    assert len(found) == len(files)
    return found


def theirs(files) -> list[dict]:
    done = subprocess.run([sys.executable, "-c", MLX], input="\n".join(map(str, files)), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def without_offsets(tensors: dict) -> dict:
    return {name: [dtype, shape] for name, (dtype, shape, _, _) in tensors.items()}


def accepted_alike(files) -> list[int]:
    """The files that ours accepts, of which mlx must find the same."""
    verdicts = ours(files)
    accepted = [i for i, verdict in enumerate(verdicts) if "tensors" in verdict]
    for i, found in zip(accepted, theirs([files[i] for i in accepted]), strict=True):
        assert found == without_offsets(verdicts[i]["tensors"]), files[i].read_bytes()[:500]
    return accepted


def some_array(dtype, shape):
    count = int(numpy.prod(shape))
    array = numpy.arange(count).astype(dtype).reshape(shape)
    return array + (1j if dtype == "<c8" else 0) if dtype != "|b1" else array.astype("|b1")


def npy_of(array) -> bytes:
    out = io.BytesIO()
    numpy.save(out, array)
    return out.getvalue()


def test_every_npy_that_numpy_writes_is_read_alike_in_both_orders(tmp_path):
    files, arrays = [], []
    for dtype in NUMPY_TYPES:
        for shape in SHAPES:
            for order in "CF":
                array = numpy.asarray(some_array(dtype, shape), dtype=dtype, order=order)
                files.append(tmp_path / f"{len(files)}.npy")
                files[-1].write_bytes(npy_of(array))
                arrays.append(array)
    assert len(accepted_alike(files)) == len(files), "a good file was refused"
    paths = tmp_path / "paths.json"
    paths.write_text(json.dumps([str(file) for file in files]))
    # Types and shapes may agree while the values do not: byte order and element order decide over them.
    done = subprocess.run([sys.executable, "-c", """
import json, sys
import mlx.core as mx, numpy
mx.set_default_device(mx.cpu)
for path in json.load(open(sys.argv[1])):
    assert numpy.array_equal(numpy.array(mx.load(path)), numpy.load(path)), path
""", paths], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_what_mlx_reads_wrongly_is_refused(tmp_path):
    """mlx exchanges the halves of a complex number of the other byte order."""
    file = tmp_path / "a.npy"
    file.write_bytes(npy_of(numpy.array([1 + 2j], dtype=">c8")))
    assert ours([file]) == [{"refused": "npy.dtype"}]


@pytest.mark.parametrize("seed", [1, 2])
def test_npy_headers_that_were_changed_are_refused_or_read_alike(tmp_path, seed):
    rng = random.Random(seed)
    files = []
    for i in range(1500):
        data = bytearray(npy_of(some_array(rng.choice(NUMPY_TYPES), rng.choice(SHAPES))))
        header = 10 + int.from_bytes(data[8:10], "little")
        kind = rng.randrange(5)
        if kind == 0:
            data[rng.randrange(header)] = rng.randrange(256)
        elif kind == 1:
            at = data.index(b"(") + 1
            data[at:at + 1] = rng.choice([b"-1", b"4294967297, ", b"0, ", b" 1", b"1,", b"1L", b"65536, 65536, 65536, "])
        elif kind == 2:
            data[13 + 8:13 + 11] = rng.choice([b"<f4", b">c8", b"|O1", b"<V2", b"|i8", b"<U1"])
        elif kind == 3:
            data = data[:rng.randrange(len(data) + 1)]
        files.append(tmp_path / f"{i}.npy")
        files[-1].write_bytes(bytes(data))
    assert 100 < len(accepted_alike(files)) < len(files)


@pytest.mark.parametrize("packed", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_npz_of_numpy_of_mlx_and_by_hand(tmp_path, packed):
    import mlx.core as mx
    arrays = {f"a{i}": some_array(dtype, SHAPES[i % len(SHAPES)]) for i, dtype in enumerate(NUMPY_TYPES)}
    (numpy.savez if packed == zipfile.ZIP_STORED else numpy.savez_compressed)(tmp_path / "numpy.npz", **arrays)
    save = mx.savez if packed == zipfile.ZIP_STORED else mx.savez_compressed
    save(str(tmp_path / "mlx.npz"), a=mx.arange(6).reshape(2, 3), b=mx.array(1.0), c=mx.zeros((0, 3), mx.bfloat16))
    with zipfile.ZipFile(tmp_path / "hand.npz", "w", packed) as archive:
        archive.writestr("näme/x.npy", npy_of(some_array(">i4", (3, 2))))
        archive.writestr("plain", npy_of(some_array("<f4", ())))
    files = [tmp_path / f"{name}.npz" for name in ("numpy", "mlx", "hand")]
    assert len(accepted_alike(files)) == 3
    assert set(ours(files[2:])[0]["tensors"]) == {"näme/x", "plain"}


def test_npz_that_were_changed_are_refused_or_read_alike(tmp_path):
    rng = random.Random(3)
    out = io.BytesIO()
    numpy.savez_compressed(out, w=some_array("<f4", (2, 3)), b=some_array("<i2", (4,)))
    good, files = out.getvalue(), []
    for i in range(1000):
        data = bytearray(good)
        for _ in range(rng.randrange(3)):
            data[rng.randrange(len(data))] = rng.randrange(256)
        files.append(tmp_path / f"{i}.npz")
        files[-1].write_bytes(bytes(data[:len(data) - rng.choice([0, 0, 0, 1, 30])]))
    assert 100 < len(accepted_alike(files)) < len(files)


GGUF_MLX_TYPES = {"0": "float32", "1": "float16", "24": "int8", "25": "int16", "26": "int32"}


def test_gguf_that_mlx_writes_is_read_alike(tmp_path):
    import mlx.core as mx
    tensors = {f"t{i}.{kind}": mx.zeros(shape, dtype=getattr(mx, kind)) for kind in GGUF_MLX_TYPES.values()
               for i, shape in enumerate([(), (1,), (3, 5), (2, 3, 4), (0, 4)])}
    metadata = {"general.name": "x", "list": ["a", "b"], "numbers": mx.array([1, 2, 3])}
    mx.save_gguf(str(tmp_path / "a.gguf"), tensors, metadata)
    mx.save_gguf(str(tmp_path / "none.gguf"), {}, {})
    verdict, none = ours([tmp_path / "a.gguf", tmp_path / "none.gguf"])
    assert none == {"tensors": {}}
    found = {name: [GGUF_MLX_TYPES[type_], shape] for name, (type_, shape, _, _) in verdict["tensors"].items()}
    assert found == theirs([tmp_path / "a.gguf"])[0] == {k: [str(v.dtype).split(".")[-1], list(v.shape)] for k, v in tensors.items()}


def gguf_of(tensors, keys=b"", key_count=0, data=b"", count=None) -> bytes:
    file = b"GGUF" + struct.pack("<IQQ", 3, len(tensors) if count is None else count, key_count) + keys
    for name, extents, type_, offset in tensors:
        file += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(extents))
        file += b"".join(struct.pack("<Q", extent) for extent in extents) + struct.pack("<IQ", type_, offset)
    return file + bytes(-len(file) % 32) + data


# ggml's number of a type: elements and bytes of a block.
BLOCKS = {0: (1, 4), 1: (1, 2), 2: (32, 18), 3: (32, 20), 6: (32, 22), 7: (32, 24), 8: (32, 34), 9: (32, 36), 10: (256, 84), 11: (256, 110), 12: (256, 144),
          13: (256, 176), 14: (256, 210), 15: (256, 292), 16: (256, 66), 17: (256, 74), 18: (256, 98), 20: (32, 18), 24: (1, 1), 25: (1, 2), 26: (1, 4),
          27: (1, 8), 28: (1, 8), 30: (1, 2)}


def test_of_each_type_of_gguf_exactly_those_that_mlx_reads_are_accepted(tmp_path):
    files = []
    for type_, (elements, size) in BLOCKS.items():
        files.append(tmp_path / f"{type_}.gguf")
        files[-1].write_bytes(gguf_of([(b"x.weight", [512, 2], type_, 0)], data=bytes(1024 // elements * size)))
    taken = ["tensors" in verdict for verdict in ours(files)]
    read = ["error" not in found for found in theirs(files)]
    assert taken == read


def test_gguf_that_was_changed_is_refused_or_read_alike(tmp_path):
    rng = random.Random(4)
    keys = struct.pack("<Q", 1) + b"k" + struct.pack("<IQ", 8, 2) + b"vv"
    good = gguf_of([(b"a", [4, 2], 0, 0), (b"b.weight", [32, 2], 8, 32)], keys, 1, bytes(100))
    files = []
    for i in range(1000):
        data = bytearray(good)
        for _ in range(rng.randrange(3)):
            data[rng.randrange(160)] = rng.choice([0, 1, 2, 31, 64, 127, 128, 255])
        files.append(tmp_path / f"{i}.gguf")
        files[-1].write_bytes(bytes(data[:len(data) - rng.choice([0, 0, 0, 1, 70])]))
    verdicts = ours(files)
    accepted = [i for i, verdict in enumerate(verdicts) if "tensors" in verdict]
    assert 100 < len(accepted) < len(files)
    for i, found in zip(accepted, theirs([files[i] for i in accepted]), strict=True):
        assert "error" not in found, (verdicts[i], found)
        for name, (type_, shape, _, _) in verdicts[i]["tensors"].items():
            if type_ in GGUF_MLX_TYPES:
                assert found[name] == [GGUF_MLX_TYPES[type_], shape]
            else:
                assert name in found  # quantised: mlx makes three arrays of it


def test_functions_that_mlx_exports_are_accepted_and_what_is_accepted_mlx_imports(tmp_path):
    import mlx.core as mx
    import mlx.nn as nn
    w = mx.ones((3, 2))
    net = nn.Sequential(nn.Linear(3, 8), nn.GELU(), nn.LayerNorm(8), nn.Linear(8, 2))
    attention = nn.TransformerEncoderLayer(8, 2)
    functions = {"product": (lambda x: x @ w + 1, (mx.zeros((2, 3)),)), "net": (lambda x: mx.softmax(net(x)), (mx.zeros((2, 3)),)),
                 "attention": (lambda x: attention(x, None), (mx.zeros((1, 4, 8)),)),
                 "many": (lambda x, y: tuple(mx.split(x.astype(mx.float16), 2)) + (mx.argsort(y), mx.where(y > 0, y, -y)), (mx.zeros((4, 3)), mx.arange(5)))}
    files = []
    for name, (function, arguments) in functions.items():
        for shapeless in (False, True):
            file = tmp_path / f"{name}{shapeless}.mlxfn"
            try:
                mx.export_function(str(file), function, *arguments, shapeless=shapeless)
            except ValueError:
                continue  # not every operation has a form without shapes
            files.append(file)
    assert len(files) >= 6 and len(accepted_alike(files)) == len(files)
    rng = random.Random(5)
    changed = []
    for file in files:
        for i in range(150):
            data = bytearray(file.read_bytes())
            data[rng.randrange(min(len(data), 600))] = rng.randrange(256)
            changed.append(tmp_path / f"{file.stem}-{i}.mlxfn")
            changed[-1].write_bytes(bytes(data))
    verdicts = ours(changed)
    assert 0 < sum("refused" in verdict for verdict in verdicts)
    assert {verdict.get("refused", "mlxfn.invalid") for verdict in verdicts} == {"mlxfn.invalid"}


@pytest.mark.parametrize("kind", ["npy", "npz"])
def test_fuzz_corpora(tmp_path, kind):
    files = []
    for file in sorted((ROOT / "fuzz/corpus" / kind).iterdir()):
        files.append(tmp_path / f"{file.name}.{kind}")
        files[-1].write_bytes(file.read_bytes())
    assert 3 <= len(accepted_alike(files)) < len(files)
