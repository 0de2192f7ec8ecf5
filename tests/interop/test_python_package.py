# SPDX-License-Identifier: Apache-2.0
"""The Python package as its users get it: a wheel built by pip, in place of mlx.core.load and mlx_lm.load.

Each case is a program of its own, since a user's process holds mlx and our library side by side.
"""
import json
import os
import pathlib
import shutil
import subprocess
import sys
import textwrap
import zipfile

import pytest

import tiny_llama

ROOT = pathlib.Path(__file__).resolve().parents[2]

PRELUDE = """
import json, os, pathlib, pickle, sys
import mlx.core as mx
import mlxguard
state, model = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2])
guard = mlxguard.configure(state=state)

def refusal(call):
    try:
        call()
    except mlxguard.MlxguardError as error:
        return {"type": type(error).__name__, "code": error.code, "subject": error.subject, "hint": error.hint,
                "expected": error.expected, "actual": error.actual, "text": str(error)}
    return None

def answer(**values):
    print(json.dumps(values))
"""


@pytest.fixture(scope="session")
def package(tmp_path_factory):
    """Folder with the unpacked wheel that `pip wheel .` makes of a checkout. MLXGUARD_PYTHON_SITE names one
    that is there already."""
    if built := os.environ.get("MLXGUARD_PYTHON_SITE"):
        return pathlib.Path(built)
    folder = tmp_path_factory.mktemp("wheel")
    done = subprocess.run([sys.executable, "-m", "pip", "wheel", "-q", "--no-deps", "--no-build-isolation", "-w", folder, ROOT],
                          capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    [wheel] = folder.glob("mlxguard-*.whl")
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


@pytest.fixture
def program(package, tmp_path):
    def run(code, *args, exit_code=0, env=None):
        file = tmp_path / "program.py"
        file.write_text(PRELUDE + textwrap.dedent(code))
        done = subprocess.run([sys.executable, file, *map(str, args)], capture_output=True, text=True, timeout=300,
                              env={**os.environ, "PYTHONPATH": str(package), "HF_HUB_OFFLINE": "1", **(env or {})})
        assert done.returncode == exit_code, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1]) if done.stdout.strip() else None

    return run


@pytest.fixture
def arrays(tmp_path, cli):
    """A signed folder with one file of each kind that mlx loads."""
    folder = tmp_path / "arrays"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", textwrap.dedent("""
        import sys, mlx.core as mx
        weights = {"w": mx.arange(24, dtype=mx.float32).reshape(4, 6), "b": mx.array([1, 2, 3], mx.int32)}
        mx.save_safetensors(sys.argv[1] + "/a.safetensors", weights, {"made": "by a test"})
        mx.savez(sys.argv[1] + "/a.npz", **weights)
        mx.save(sys.argv[1] + "/a.npy", weights["w"])
        mx.save_gguf(sys.argv[1] + "/a.gguf", weights)
        """), folder], check=True)
    cli.sign(folder)
    return folder


@pytest.fixture(scope="session")
def llama(tmp_path_factory):
    return tiny_llama.write(tmp_path_factory.mktemp("llama") / "llama")


@pytest.fixture
def signed_llama(tmp_path, cli, llama):
    folder = tmp_path / "signed-llama"
    shutil.copytree(llama, folder)
    cli.sign(folder)
    return folder


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
    ("nothing", "Failed", "artifact.not_found"),
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
            answer(same=(type(again) is type(error), again.code == error.code, str(again) == str(error)))
        """, cli.state, arrays) == {"same": [True, True, True]}


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
    ("repository", "UsageError", "usage"),
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
