# SPDX-License-Identifier: Apache-2.0
"""The Python package as its users get it: a wheel built by pip, in place of mlx.core.load and mlx_lm.load.

Each case is a program of its own, since a user's process holds mlx and our library side by side.
"""
import io
import json
import os
import pathlib
import pickle
import shutil
import struct
import subprocess
import sys
import textwrap
import warnings
import zipfile

import pytest

pytestmark = pytest.mark.timeout(1800)  # the first of them builds the wheel, on a fresh machine from nothing


def test_load_gives_what_mlx_gives(program, cli, arrays):
    same = program("""
        def equal(a, b):
            if isinstance(a, dict):
                return a.keys() == b.keys() and all(equal(a[k], b[k]) for k in a)
            return a.dtype == b.dtype and bool(mx.array_equal(a, b))
        found = {}
        for kind in ("safetensors", "npz", "npy", "gguf"):
            file = model / f"a.{kind}"
            found[kind] = equal(mlxguard.load(file), mx.load(str(file)))
        ours, theirs = (load(model / "a.safetensors", return_metadata=True)[1] for load in (mlxguard.load, lambda f, **k: mx.load(str(f), **k)))
        answer(found=found, metadata=ours == theirs, made=ours["made"])
        """, cli.state, arrays)
    assert same == {"found": {"safetensors": True, "npz": True, "npy": True, "gguf": True}, "metadata": True, "made": "by a test"}
    assert len(cli.events("--type", "model.verified")) == 5


def test_single_file_model(program, cli, arrays, tmp_path):
    file = tmp_path / "one.safetensors"
    shutil.copy(arrays / "a.safetensors", file)
    cli.sign(file)
    assert program("answer(keys=sorted(mlxguard.load(model)))", cli.state, file) == {"keys": ["b", "w"]}


@pytest.mark.parametrize("what, type_, code", [
    ("unsigned", "SignatureRefused", "signature.missing"),
    ("changed", "SignatureRefused", "signature.digest_mismatch"),
    ("added", "SignatureRefused", "signature.file_unsigned"),
    ("removed", "SignatureRefused", "signature.file_missing"),
    ("link", "ArtifactRefused", "artifact.symlink"),
    ("header", "FormatRefused", "safetensors.offsets"),
    ("nothing", "FileMissing", "artifact.not_found"),
])
def test_refusals_are_typed(program, cli, arrays, what, type_, code):
    if what == "unsigned":
        (arrays / "model.sig").unlink()
    elif what == "changed":
        data = bytearray((arrays / "a.safetensors").read_bytes())
        data[-1] ^= 1
        (arrays / "a.safetensors").write_bytes(data)
    elif what == "added":
        (arrays / "more.py").write_text("print('hello')")
    elif what == "removed":
        (arrays / "a.npy").unlink()
    elif what == "link":
        (arrays / "link").symlink_to("a.npy")
    elif what == "header":  # signed, and yet nothing mlx should see: two tensors over the same bytes
        header = json.dumps({"x": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]},
                             "y": {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]}}).encode()
        (arrays / "a.safetensors").write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        cli.sign(arrays)
    elif what == "nothing":
        shutil.rmtree(arrays)
    refused = program("answer(refused=refusal(lambda: mlxguard.load(model / 'a.safetensors')))", cli.state, arrays)["refused"]
    assert (refused["type"], refused["code"]) == (type_, code)
    if what == "changed":
        assert refused["subject"] == "a.safetensors" and refused["expected"] != refused["actual"]


def npy_file(descr="'<f4'", shape="(1,)", data=bytes(4), version=1, length=None) -> bytes:
    header = f"{{'descr': {descr}, 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    size = len(header) if length is None else length
    return b"\x93NUMPY" + bytes([version, 0]) + size.to_bytes(2 if version == 1 else 4, "little") + header + data


def gguf_file(tensors=(), keys=b"", key_count=0, count=None, rank=None, data=bytes(64)) -> bytes:
    file = b"GGUF" + struct.pack("<IQQ", 3, len(tensors) if count is None else count, key_count) + keys
    for name, extents, type_, offset in tensors:
        file += struct.pack("<Q", len(name)) + name + struct.pack("<I", len(extents) if rank is None else rank)
        file += b"".join(struct.pack("<Q", extent) for extent in extents) + struct.pack("<IQ", type_, offset)
    return file + bytes(-len(file) % 32) + data


def safetensors_file(*tensors, data=b"", text=None) -> bytes:
    header = (text or "{" + ",".join(f'"{name}":{{"dtype":"{dtype}","shape":{shape},"data_offsets":{offsets}}}'
                                     for name, dtype, shape, offsets in tensors) + "}").encode()
    return struct.pack("<Q", len(header)) + header + data


def npz_file(content, change=None) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, entry in content:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")  # a name twice
                archive.writestr(name, entry)
    return change(out.getvalue()) if change else out.getvalue()


# Files that someone trusted signed and that mlx should not be given all the same: what each is refused for.
HOSTILE = {
    "early_nul.npy": ("npy.header", npy_file().replace(b"{", b"\0", 1)),
    "length_beyond_the_file.npy": ("npy.header", npy_file(version=2, length=0x7FFFFFFF)),
    "version_3.npy": ("npy.header", npy_file(version=3)),
    "key_twice.npy": ("npy.header", npy_file(shape="(1,), 'descr': '|O'")),
    "wraps.npy": ("npy.shape", npy_file(shape="(65536, 65536, 65536, 65536)", data=b"")),
    "wraps_behind_zero.npy": ("npy.shape", npy_file(shape="(0, 2147483647, 2147483647, 2147483647)", data=b"")),
    "negative.npy": ("npy.shape", npy_file(shape="(-1,)")),
    "beyond_32_bits.npy": ("npy.shape", npy_file(shape="(4294967297,)")),
    "cut.npy": ("npy.shape", npy_file(shape="(2,)")),
    "objects.npy": ("npy.dtype", npy_file(descr="'|O'", data=pickle.dumps(1))),
    "swapped_halves.npy": ("npy.dtype", npy_file(descr="'>c8'", data=bytes(8))),
    "name_twice.npz": ("archive.invalid", npz_file([("a.npy", npy_file()), ("a.npy", npy_file())])),
    "leaves_the_folder.npz": ("archive.invalid", npz_file([("../a.npy", npy_file())])),
    "shifted.npz": ("archive.invalid", npz_file([("a.npy", npy_file())], lambda data: b"before" + data)),
    "two_names.npz": ("archive.invalid", npz_file([("a.npy", npy_file())], lambda data: data.replace(b"a.npy", b"b.npy", 1))),
    "damaged.npz": ("archive.invalid", npz_file([("a.npy", npy_file())], lambda data: data[:45] + b"\xff" + data[46:])),
    "no_array.npz": ("npy.header", npz_file([("a.npy", b"no array")])),
    "negative.npz": ("npy.shape", npz_file([("a.npy", npy_file(shape="(-1,)"))])),
    "objects.npz": ("npy.dtype", npz_file([("a.npy", npy_file(descr="'|O'", data=pickle.dumps(1)))])),
    "unknown_type.gguf": ("gguf.tensor", gguf_file([(b"w", [4], 77, 0)])),
    "type_mlx_lacks.gguf": ("gguf.tensor", gguf_file([(b"w", [256], 16, 0)], data=bytes(66))),
    "offset_far_outside.gguf": ("gguf.tensor", gguf_file([(b"w", [4], 0, 1 << 40)])),
    "offset_wraps.gguf": ("gguf.tensor", gguf_file([(b"w", [4], 0, (1 << 64) - 32)])),
    "wraps_at_32_bits.gguf": ("gguf.tensor", gguf_file([(b"w.weight", [65536, 65536], 8, 0)])),
    "too_many_dimensions.gguf": ("gguf.tensor", gguf_file([(b"w", [1] * 9, 0, 0)])),
    "absurd_rank.gguf": ("gguf.tensor", gguf_file([(b"w", [1], 0, 0)], rank=1 << 31)),
    "overlap.gguf": ("gguf.tensor", gguf_file([(b"a", [4], 0, 0), (b"b", [4], 0, 0)])),
    "name_twice.gguf": ("gguf.tensor", gguf_file([(b"a", [4], 0, 0), (b"a", [4], 0, 32)])),
    "text_past_the_end.gguf": ("gguf.metadata", gguf_file(keys=struct.pack("<Q", 1) + b"k" + struct.pack("<IQ", 8, 1 << 40), key_count=1)),
    "text_wraps.gguf": ("gguf.metadata", gguf_file(keys=struct.pack("<Q", 1) + b"k" + struct.pack("<IQ", 8, (1 << 64) - 8), key_count=1)),
    "huge_array.gguf": ("gguf.metadata", gguf_file(keys=struct.pack("<Q", 1) + b"k" + struct.pack("<IIQ", 9, 0, 1 << 60), key_count=1)),
    "huge_tensor_count.gguf": ("gguf.header", gguf_file(count=1 << 60)),
    "version.gguf": ("gguf.header", gguf_file().replace(struct.pack("<I", 3), struct.pack("<I", 1), 1)),
    "wraps.safetensors": ("safetensors.shape", safetensors_file(("w", "U8", "[65536,65536,65536,65536]", "[0,0]"))),
    "negative.safetensors": ("safetensors.shape", safetensors_file(("w", "U8", "[-1]", "[0,0]"))),
    "cut_to_32_bits.safetensors": ("safetensors.shape", safetensors_file(("w", "U8", "[4294967297]", "[0,1]"), data=bytes(1))),
    "name_twice.safetensors": ("safetensors.duplicate", safetensors_file(("w", "U8", "[1]", "[0,1]"), ("w", "U8", "[1]", "[1,2]"), data=bytes(2))),
    "overlap.safetensors": ("safetensors.offsets", safetensors_file(("a", "U8", "[4]", "[0,4]"), ("b", "U8", "[4]", "[0,4]"), data=bytes(4))),
    "type.safetensors": ("safetensors.dtype", safetensors_file(("w", "F8_E4M3", "[1]", "[0,1]"), data=bytes(1))),
    "header.safetensors": ("safetensors.header", safetensors_file(text="{}x")),
}


def test_hostile_files_that_were_signed_are_refused_before_mlx_reads_them(program, cli, tmp_path):
    folder = tmp_path / "hostile"
    folder.mkdir()
    for name, (_, content) in HOSTILE.items():
        (folder / name).write_bytes(content)
    (folder / "good.npy").write_bytes(npy_file())
    cli.sign(folder)
    found = program("""
        opened = mlxguard.open_model(model)
        refused = {}
        for name in opened.files:
            error = refusal(lambda: opened.load(name))
            refused[name] = error and (error["type"], error["code"])
        other = [refusal(lambda: opened.check_structure("good.npy", kind))["code"] for kind in ("gguf", "npz", "safetensors", "mlxfn", "zip")]
        alone = refusal(lambda: mlxguard.load(model / "wraps.npy"))
        answer(refused=refused, other=other, alone=(alone["code"], alone["subject"]), alive=mx.sum(opened.load("good.npy")).item())
        """, cli.state, folder)
    expected = {name: ["FormatRefused", code] for name, (code, _) in HOSTILE.items()}
    assert found["refused"] == expected | {"good.npy": None}
    assert found["other"] == ["gguf.header", "archive.invalid", "safetensors.header", "mlxfn.invalid", "format.unknown"]
    assert found["alone"] == ["npy.shape", "wraps.npy"] and found["alive"] == 0


def test_mlx_lm_is_not_given_weights_of_a_bad_structure(program, cli, signed_llama, tmp_path):
    adapter = tmp_path / "adapter"
    adapter.mkdir()
    (adapter / "adapter_config.json").write_text('{"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": {"rank": 4, "scale": 1.0, "dropout": 0.0}}')
    (adapter / "adapters.safetensors").write_bytes(HOSTILE["overlap.safetensors"][1])
    cli.sign(adapter)
    load = """
        from mlxguard.lm import load
        answer(refused=refusal(lambda: load(model, adapter_path=sys.argv[3])))
        """
    refused = program(load, cli.state, signed_llama, adapter)["refused"]
    assert (refused["type"], refused["code"]) == ("FormatRefused", "safetensors.offsets")
    (signed_llama / "model-2.safetensors").write_bytes(HOSTILE["wraps.safetensors"][1])
    cli.sign(signed_llama)
    refused = program(load, cli.state, signed_llama, adapter)["refused"]
    assert (refused["type"], refused["code"]) == ("FormatRefused", "safetensors.shape")


def test_a_signer_who_is_not_trusted_is_a_type_of_its_own(program, cli, arrays, tmp_path):
    refused = program("answer(refused=refusal(lambda: mlxguard.load(model / 'a.npy')))", tmp_path / "other", arrays)["refused"]
    assert (refused["type"], refused["code"]) == ("UsageError", "signature.no_trusted_keys")
    cli.ok("key", "new", "another", "--passphrase-file", cli.passphrase_file, "--state", tmp_path / "other")
    refused = program("answer(refused=refusal(lambda: mlxguard.load(model / 'a.npy')))", tmp_path / "other", arrays)["refused"]
    assert (refused["type"], refused["code"]) == ("SignerRefused", "signature.untrusted_key")


def test_what_the_trust_policy_refuses_is_a_type_of_its_own(program, cli, arrays):
    cli.ok("trust", "add", "here", "--path", arrays, "--signer", "1" * 64)
    load = "answer(refused=refusal(lambda: mlxguard.load(model / 'a.safetensors')))"
    refused = program(load, cli.state, arrays)["refused"]
    assert (refused["type"], refused["code"]) == ("PolicyRefused", "trust.signer")
    assert "source here, signer" in refused["text"] and refused["hint"] and refused["expected"] and refused["actual"]
    assert cli.events("--type", "model.refused")[0]["code"] == "trust.signer"
    (cli.state / "trust.toml").write_text("version = 9\nmode = 'off'\n")
    refused = program(load, cli.state, arrays)["refused"]
    assert (refused["type"], refused["code"]) == ("UsageError", "trust.policy")
    (cli.state / "trust.toml").write_text("version = 10\nmode = 'warn'\n")
    warned = program("""
        import warnings
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            mlxguard.load(model / "a.safetensors")
            mlxguard.verify(model)
        answer(said=[(w.category.__name__, str(w.message)) for w in caught])
        """, cli.state, arrays)["said"]
    assert [one[0] for one in warned] == ["PolicyWarning"] * 2
    assert all("[trust.no_source]" in one[1] for one in warned)
    assert cli.events("--type", "model.warned")[0]["code"] == "trust.no_source"


def test_what_the_policy_refuses_by_finding_is_not_loaded(program, cli, arrays):
    cli.ok("trust", "add", "here", "--path", arrays, "--signer", "signer", "--refuse-findings", "severity:high")
    for other in ("npz", "npy", "gguf"):
        (arrays / f"a.{other}").unlink()
    cli.sign(arrays)
    load = "answer(refused=refusal(lambda: mlxguard.load(model / 'a.safetensors')))"
    assert program(load, cli.state, arrays)["refused"] is None
    (arrays / "run.sh").write_text("#!/bin/sh\n")
    cli.sign(arrays)
    refused = program(load, cli.state, arrays)["refused"]
    assert (refused["type"], refused["code"], refused["subject"]) == ("PolicyRefused", "trust.finding", "run.sh")


def test_exceptions_survive_pickling_and_are_catchable_by_their_bases(program, cli, arrays):
    (arrays / "model.sig").unlink()
    assert program("""
        try:
            mlxguard.load(model / "a.npy")
        except mlxguard.Refused as error:
            again = pickle.loads(pickle.dumps(error))
            same = (type(again) is type(error), again.code == error.code, str(again) == str(error))
        missing = mlxguard._errors.FileMissing("gone", code="artifact.not_found", number=406, subject="a")
        again = pickle.loads(pickle.dumps(missing))
        answer(same=same, missing=(type(again).__name__, str(again), again.number, isinstance(again, FileNotFoundError)))
        """, cli.state, arrays) == {"same": [True, True, True], "missing": ["FileMissing", "a: gone [artifact.not_found]", 406, True]}


def test_what_mlx_reads_late_is_what_was_verified(program, cli, arrays):
    """mlx reads at evaluation. A file that changes in between changes what mx.load returns, not ours."""
    found = program("""
        file = model / "a.safetensors"
        ours, theirs = mlxguard.load(file)["w"], mx.load(str(file))["w"]
        data = bytearray(file.read_bytes())
        data[-96:] = bytes(96)
        with open(file, "r+b") as changed:
            changed.write(data)
        answer(ours=mx.sum(ours).item(), theirs=mx.sum(theirs).item())
        """, cli.state, arrays)
    assert found["ours"] == sum(range(24))
    assert found["theirs"] != found["ours"]


def test_one_verification_serves_many_files(program, cli, arrays):
    found = program("""
        opened = mlxguard.open_model(model)
        answer(files=opened.files, digest=opened.root_digest, w=mx.sum(opened.load("a.npz")["w"]).item(),
               text=opened.read("a.npy")[:6].decode("latin-1"), report=mlxguard.verify(model).root_digest)
        """, cli.state, arrays)
    assert set(found["files"]) == {"a.safetensors", "a.npz", "a.npy", "a.gguf"}
    assert found["w"] == sum(range(24)) and found["text"] == "\x93NUMPY" and found["report"] == found["digest"]
    assert len(cli.events("--type", "model.verified")) == 2


def test_progress_threads_and_forks(program, cli, arrays):
    found = program("""
        import threading
        seen = []
        guard = mlxguard.configure(state=state, progress=lambda done, total: seen.append((done, total)))
        sums = []
        def work():
            sums.append(mx.sum(mlxguard.load(model / "a.npz")["w"]).item())
        threads = [threading.Thread(target=work) for _ in range(4)]
        for thread in threads: thread.start()
        for thread in threads: thread.join()
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            guard = mlxguard.Guard(state=state)
            os.write(write, str(len(guard.open_model(model).files)).encode())
            guard.close()
            os._exit(0)
        os.waitpid(child, 0)
        answer(sums=sums, seen=bool(seen) and all(0 < d <= t for d, t in seen), child=os.read(read, 9).decode())
        """, cli.state, arrays)
    assert found == {"sums": [sum(range(24))] * 4, "seen": True, "child": "4"}


GENERATE = """
    from mlxguard.lm import load, generate
    import mlx_lm
    def say(loaded):
        return generate(*loaded, prompt="the quick brown", max_tokens=24)
    ours = say(load(model))
    answer(ours=ours, theirs=say(mlx_lm.load(str(model))), left=[name for name in os.listdir(os.environ["TMPDIR"]) if name.startswith("mlxguard")])
"""


def test_mlx_lm_generates_on_a_verified_model(program, cli, signed_llama, tmp_path):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    found = program(GENERATE, cli.state, signed_llama, env={"TMPDIR": str(temporary)})
    assert found["ours"] and found["ours"] == found["theirs"] and found["left"] == []


@pytest.mark.parametrize("what, type_, code", [
    ("tokenizer", "SignatureRefused", "signature.digest_mismatch"),
    ("weights", "SignatureRefused", "signature.digest_mismatch"),
    ("cache", "ArtifactRefused", "artifact.symlink"),
    ("repository", "FileMissing", "artifact.not_found"),
])
def test_mlx_lm_is_not_given_what_is_refused(program, cli, signed_llama, tmp_path, what, type_, code):
    path = signed_llama
    if what == "tokenizer":
        text = (path / "tokenizer.json").read_text()
        (path / "tokenizer.json").write_text(text.replace("</s>", "</t>", 1))
    elif what == "weights":
        file = next(path.glob("*.safetensors"))
        file.write_bytes(file.read_bytes()[:-4] + b"\0\0\0\1")
    elif what == "cache":  # a Hugging Face cache holds links to its blobs
        cache = tmp_path / "snapshots"
        cache.mkdir()
        for file in path.iterdir():
            (cache / file.name).symlink_to(file)
        path = cache
    elif what == "repository":
        path = "mlx-community/no-such-model"
    refused = program("""
        from mlxguard.lm import load
        answer(refused=refusal(lambda: load(sys.argv[2])))
        """, cli.state, path)["refused"]
    assert (refused["type"], refused["code"]) == (type_, code)


def test_python_code_of_a_model_does_not_run_unasked(program, cli, signed_llama):
    (signed_llama / "evil.py").write_text("open(__import__('os').environ['MARK'], 'w').write('ran')")
    config = json.loads((signed_llama / "config.json").read_text())
    (signed_llama / "config.json").write_text(json.dumps(config | {"model_file": "evil.py"}))
    cli.sign(signed_llama)
    mark = signed_llama.parent / "mark"
    found = program("""
        from mlxguard.lm import load
        try:
            load(model)
            answer(loaded=True)
        except (ValueError, mlxguard.Refused) as error:
            answer(loaded=False, said="evil.py" in str(error))
        """, cli.state, signed_llama, env={"MARK": str(mark)})
    assert found == {"loaded": False, "said": True} and not mark.exists()


def test_without_configuration_the_state_is_the_command_lines(package, cli, arrays, tmp_path):
    """Not the current folder: whoever fills that one would choose the keys that are trusted."""
    evil = tmp_path / "evil"
    cli.ok("key", "new", "mallory", "--passphrase-file", cli.passphrase_file, "--state", evil)
    cli.ok("sign", arrays, "--key", "mallory", "--passphrase-file", cli.passphrase_file, "--state", evil)
    before = sorted(str(path) for path in evil.rglob("*"))
    home = tmp_path / "home"
    code = """if True:
        import sys, mlxguard
        try:
            print(len(mlxguard.load(sys.argv[1])))
        except mlxguard.MlxguardError as error:
            print(error.code)
        """
    def run():
        done = subprocess.run([sys.executable, "-c", code, str(arrays / "a.safetensors")], cwd=evil, capture_output=True, text=True,
                              env={**os.environ, "PYTHONPATH": str(package), "XDG_STATE_HOME": str(home)})
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()
    assert run() == "signature.no_trusted_keys"
    assert sorted(str(path) for path in evil.rglob("*")) == before
    cli.ok("key", "new", "signer", "--passphrase-file", cli.passphrase_file, "--state", home / "mlxguard")
    assert run() == "signature.untrusted_key"
    cli.ok("sign", arrays, "--key", "signer", "--passphrase-file", cli.passphrase_file, "--state", home / "mlxguard")
    assert run() == "2"


def test_importing_is_light(package):
    code = "import sys, mlxguard; print([name for name in sys.modules if name.split('.')[0] in ('mlx', 'mlx_lm', 'numpy', 'transformers')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env={**os.environ, "PYTHONPATH": str(package)})
    assert done.stdout.strip() == "[]", done.stderr


def test_editors_are_told_every_type(package):
    """py.typed, and a stub that names what the compiled module has."""
    assert (package / "mlxguard/py.typed").is_file()
    code = """if True:
        import ast, inspect, json, sys, mlxguard
        from mlxguard import _core
        def names(thing):
            return sorted(name for name in vars(thing) if not name.startswith("_"))
        stub = {}
        for node in ast.parse(open(sys.argv[1]).read()).body:
            if isinstance(node, ast.ClassDef):
                stub[node.name] = sorted(one.name if isinstance(one, ast.FunctionDef) else one.target.id
                                         for one in node.body if isinstance(one, (ast.FunctionDef, ast.AnnAssign)))
            elif isinstance(node, ast.FunctionDef):
                stub[node.name] = []
        real = {name: names(thing) if inspect.isclass(thing) else []
                for name, thing in vars(_core).items() if not name.startswith("_")}
        untyped = [f"{owner.__name__}.{name}" for owner in (mlxguard, mlxguard.Guard, mlxguard.VerifiedModel)
                   for name, thing in vars(owner).items()
                   if inspect.isfunction(thing) and not name.startswith("_")
                   and any(one.annotation is inspect.Parameter.empty for word, one in inspect.signature(thing).parameters.items() if word != "self")]
        undocumented = [name for name in mlxguard.__all__ if not getattr(mlxguard, name).__doc__]
        print(json.dumps([stub == real, untyped, undocumented]))
        """
    done = subprocess.run([sys.executable, "-c", code, str(package / "mlxguard/_core.pyi")], capture_output=True, text=True,
                          env={**os.environ, "PYTHONPATH": str(package)})
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == [True, [], []]


def test_on_linux_mlx_comes_with_what_it_computes_on(package):
    [metadata] = package.glob("mlxguard-*.dist-info/METADATA")
    assert any(line.startswith("Requires-Dist: mlx[cpu]") for line in metadata.read_text().splitlines())


def test_options_are_those_of_mlx(program, cli, arrays, tmp_path):
    shutil.copy(arrays / "a.npy", arrays / "renamed")
    cli.sign(arrays)
    found = program("""
        os.chdir(model)
        opened = open("a.npy", "rb")
        answer(renamed=mx.sum(mlxguard.load("renamed", "npy")).item(),
               stream=mx.sum(mlxguard.load("a.npz", stream=mx.cpu)["w"]).item(),
               text=mx.sum(mlxguard.load(str(model / "a.npy"), format="npy")).item(),
               dots=mx.sum(mlxguard.load("../" + model.name + "/a.npy")).item(),
               object=refusal(lambda: mlxguard.load(opened)), folder=refusal(lambda: mlxguard.load(model)),
               kind=refusal(lambda: mlxguard.load("renamed")), gone=refusal(lambda: mlxguard.load("gone.npy")),
               keys=refusal(lambda: mlxguard.Guard(state=state, public_keys="a.pub")))
        """, cli.state, arrays)
    assert [found[how] for how in ("renamed", "stream", "text", "dots")] == [sum(range(24))] * 4
    assert (found["gone"]["type"], found["gone"]["code"], found["gone"]["subject"]) == ("FileMissing", "artifact.not_found", "gone.npy")
    for how in ("object", "folder", "kind", "keys"):
        assert (found[how]["type"], found[how]["code"]) == ("UsageError", "usage") and found[how]["hint"], how


def test_a_file_below_the_current_folders_signature(program, cli, tmp_path):
    """The signature may lie above the folder that a program runs in."""
    folder = tmp_path / "deep"
    (folder / "weights").mkdir(parents=True)
    subprocess.run([sys.executable, "-c", "import sys, mlx.core as mx; mx.save(sys.argv[1], mx.arange(3))",
                    folder / "weights/a.npy"], check=True)
    cli.sign(folder)
    found = program("""
        os.chdir(model / "weights")
        answer(sums=[mx.sum(mlxguard.load(name)).item() for name in ("a.npy", "./a.npy", "../weights/a.npy", model / "weights/../weights/a.npy")])
        """, cli.state, folder)
    assert found == {"sums": [3] * 4}


def test_models_of_the_store(program, cli, arrays, signed_llama, tmp_path):
    cli.ok("model", "add", arrays, "--name", "arrays")
    cli.ok("model", "add", signed_llama, "--name", "llama")
    shutil.rmtree(arrays)
    shutil.rmtree(signed_llama)
    found = program("""
        from mlxguard.lm import load
        answer(sum=mx.sum(mlxguard.load("store:arrays/a.npy")).item(), files=sorted(mlxguard.open_model("store:arrays").files),
               verified=mlxguard.verify("store:arrays").files, parameters=len(load("store:llama")[0].parameters()) > 0,
               none=refusal(lambda: load("store:nothing")))
        """, cli.state, arrays)
    assert found["sum"] == sum(range(24)) and found["verified"] == len(found["files"]) == 4 and found["parameters"]
    assert (found["none"]["type"], found["none"]["code"]) == ("FileMissing", "store.not_found")


def test_nothing_is_left_open_and_arrays_outlive_their_model(program, cli, arrays):
    found = program("""
        import gc
        def descriptors():
            gc.collect()
            return len(os.listdir("/proc/self/fd"))
        def work():
            for kind in ("safetensors", "npz", "npy", "gguf"):
                mlxguard.load(model / f"a.{kind}")
            refusal(lambda: mlxguard.load(model / "none.npy"))
            with mlxguard.open_model(model).folder() as folder:
                (folder / "a.npy").read_bytes()
        work()
        before = descriptors()
        for _ in range(25):
            work()
        after = descriptors()
        with mlxguard.Guard(state=state) as own:
            opened = own.open_model(model)
        lazy = {kind: opened.load(f"a.{kind}") for kind in ("safetensors", "npz", "gguf")}
        del own, opened
        gc.collect()
        answer(leaked=after - before, sums={kind: mx.sum(arrays["w"]).item() for kind, arrays in lazy.items()})
        """, cli.state, arrays)
    # The log's own thread may have a file open at the first count.
    assert found.pop("leaked") <= 0
    assert found == {"sums": {kind: sum(range(24)) for kind in ("safetensors", "npz", "gguf")}}


@pytest.mark.parametrize("options", [[], ["--hash", "blake3"], ["--shard-size", "16MB"]])
def test_each_byte_of_a_model_is_read_once(program, cli, tmp_path, options):
    """What is hashed is what is held: no byte of a file is asked for again."""
    folder = tmp_path / "large"
    folder.mkdir()
    for i in range(3):
        (folder / f"w{i}").write_bytes(os.urandom(1 << 20) * (20 + i))
    cli.ok("sign", folder, "--key", "signer", "--passphrase-file", cli.passphrase_file, *options)
    found = program("""
        def read_so_far():
            return int(next(line.split()[1] for line in open("/proc/self/io") if line.startswith("rchar")))
        def cost(call):
            before = read_so_far()
            call()
            return read_so_far() - before
        guard.verify(model)
        answer(size=sum(guard.open_model(model).files.values()), load=cost(lambda: guard.open_model(model)), verify=cost(lambda: guard.verify(model)))
        """, cli.state, folder)
    for how in ("load", "verify"):
        assert 0 <= found[how] - found["size"] < 1 << 20, how  # and the bundle, the keys, the log


def test_a_child_goes_on_with_a_guard_of_its_own(program, cli, arrays):
    """Threads and locks of the parent's log do not exist in a child."""
    found = program("""
        mlxguard.load(model / "a.npy")
        read, write = os.pipe()
        child = os.fork()
        if child == 0:
            said = [len(mlxguard.open_model(model).files)]
            said.append(refusal(lambda: guard.open_model(model))["code"])
            del guard
            mlxguard.configure(state=state)
            said.append(len(mlxguard.open_model(model).files))
            os.write(write, json.dumps(said).encode())
            sys.exit(0)  # in order: everything is destroyed
        ended = os.waitpid(child, 0)[1]
        answer(child=json.loads(os.read(read, 99)), ended=ended, parent=len(mlxguard.open_model(model).files))
        """, cli.state, arrays)
    assert found == {"child": [4, "usage", 4], "ended": 0, "parent": 4}


def test_an_interrupt_ends_a_verification(program, cli, tmp_path):
    """Ctrl-C is answered while files are read, not after; the log says what became of the model."""
    folder = tmp_path / "large"
    folder.mkdir()
    with open(folder / "weights.bin", "wb") as file:
        file.truncate(1 << 30)
    cli.sign(folder)
    found = program("""
        import signal
        told = []
        def progress(done, total):
            told.append(done)
            if len(told) == 2:
                os.kill(os.getpid(), signal.SIGINT)
        guard = mlxguard.configure(state=state, progress=progress)
        ended = []
        for call in (guard.verify, guard.open_model):
            told.clear()
            try:
                call(model)
                ended.append("whole")
            except KeyboardInterrupt:
                ended.append("interrupted" if told[-1] < 1 << 30 else "late")
        guard = mlxguard.configure(state=state)
        answer(ended=ended, again=guard.verify(model).files)
        """, cli.state, folder)
    assert found == {"ended": ["interrupted", "interrupted"], "again": 1}
    assert [event["code"] for event in cli.events("--type", "model.refused")] == ["io.failed"] * 2


def test_every_argument_of_mlx_lm_load(program, cli, signed_llama, adapter):
    found = program("""
        import mlx_lm
        from mlxguard.lm import load, generate, stream_generate
        adapter = sys.argv[3]
        def say(loaded):
            return generate(*loaded[:2], prompt="the quick brown", max_tokens=16)
        plain, adapted = say(load(model)), say(load(path_or_hf_repo=str(model), adapter_path=adapter))
        config = load(model, return_config=True, lazy=True, tokenizer_config={"eos_token": "</s>"}, model_config={"max_position_embeddings": 64})
        answer(plain=plain == say(mlx_lm.load(str(model))), adapted=adapted == say(mlx_lm.load(str(model), adapter_path=adapter)), differ=plain != adapted,
               config=config[2]["max_position_embeddings"], lazy=say(config) is not None,
               revision=refusal(lambda: load(model, revision="main")))
        """, cli.state, signed_llama, adapter)
    assert found["plain"] and found["adapted"] and found["differ"] and found["config"] == 64 and found["lazy"]
    assert found["revision"]["type"] == "UsageError" and found["revision"]["hint"]


@pytest.mark.parametrize("what, type_, code", [
    ("unsigned", "SignatureRefused", "signature.missing"),
    ("changed", "SignatureRefused", "signature.digest_mismatch"),
    ("header", "FormatRefused", "safetensors.offsets"),
    ("nothing", "FileMissing", "artifact.not_found"),
])
def test_an_adapter_is_held_to_the_same(program, cli, signed_llama, adapter, what, type_, code):
    weights = adapter / "adapters.safetensors"
    if what == "unsigned":
        (adapter / "model.sig").unlink()
    elif what == "changed":
        weights.write_bytes(weights.read_bytes()[:-1] + b"\x55")
    elif what == "header":
        header = json.dumps({name: {"dtype": "F32", "shape": [1], "data_offsets": [0, 4]} for name in "xy"}).encode()
        weights.write_bytes(len(header).to_bytes(8, "little") + header + bytes(4))
        cli.sign(adapter)
    else:
        shutil.rmtree(adapter)
    refused = program("""
        from mlxguard.lm import load
        answer(refused=refusal(lambda: load(model, adapter_path=sys.argv[3])))
        """, cli.state, signed_llama, adapter)["refused"]
    assert (refused["type"], refused["code"]) == (type_, code)


@pytest.mark.parametrize("config, key, value", [
    ("config.json", "model_file", "{mark}.py"),
    ("config.json", "model_file", "../evil.py"),
    ("tokenizer_config.json", "auto_map", {"AutoTokenizer": ["someone/else--code.Evil", None]}),
    ("config.json", "auto_map", {"AutoModel": "../evil.Evil"}),
])
def test_code_that_is_asked_for_is_the_models_own(program, cli, signed_llama, config, key, value):
    """With trust_remote_code code runs that was signed, and no other."""
    mark = signed_llama.parent / "mark"
    (signed_llama.parent / "mark.py").write_text(f"open({str(mark)!r}, 'w')")
    if isinstance(value, str):
        value = value.format(mark=mark)
    file = signed_llama / config
    file.write_text(json.dumps(json.loads(file.read_text()) | {key: value}))
    cli.sign(signed_llama)
    refused = program("""
        from mlxguard.lm import load
        answer(refused=[refusal(lambda: load(model, **options)) for options in
                        ({"trust_remote_code": True}, {"tokenizer_config": {"trust_remote_code": True}})])
        """, cli.state, signed_llama)["refused"]
    for one in refused:
        assert (one["type"], one["code"], one["subject"]) == ("SignatureRefused", "signature.file_unsigned", config)
    assert not mark.exists()


def test_the_models_own_code_runs_when_it_is_asked_for(program, cli, signed_llama):
    (signed_llama / "arch.py").write_text("from mlx_lm.models.llama import Model, ModelArgs\n")
    file = signed_llama / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"model_file": "arch.py"}))
    cli.sign(signed_llama)
    assert program("""
        from mlxguard.lm import load
        answer(loaded=type(load(model, trust_remote_code=True)[0]).__name__)
        """, cli.state, signed_llama) == {"loaded": "Model"}
