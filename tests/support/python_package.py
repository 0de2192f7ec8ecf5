# SPDX-License-Identifier: Apache-2.0
"""What the tests of the Python package share: one wheel a session, and programs that run with it.

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


@pytest.fixture
def adapter(tmp_path, cli, llama):
    folder = tmp_path / "adapter"
    folder.mkdir()
    subprocess.run([sys.executable, "-c", textwrap.dedent("""
        import json, pathlib, sys, mlx.core as mx, mlx.utils, mlx_lm
        from mlx_lm.tuner.utils import linear_to_lora_layers
        model, _ = mlx_lm.load(sys.argv[1])
        parameters = {"rank": 4, "scale": 8.0, "dropout": 0.0}
        linear_to_lora_layers(model, 1, parameters)
        weights = {name: mx.random.normal(array.shape) for name, array in mlx.utils.tree_flatten(model.parameters()) if "lora" in name}
        out = pathlib.Path(sys.argv[2])
        mx.save_safetensors(str(out / "adapters.safetensors"), weights, {"format": "mlx"})
        (out / "adapter_config.json").write_text(json.dumps({"fine_tune_type": "lora", "num_layers": 1, "lora_parameters": parameters}))
        """), llama, folder], check=True, env={**os.environ, "HF_HUB_OFFLINE": "1"})
    cli.sign(folder)
    return folder
