# SPDX-License-Identifier: Apache-2.0
"""The installed C++ package and the example in examples/cpp, built against it as a stranger would."""
import os
import pathlib
import re
import subprocess

import pytest

ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin")).parent


@pytest.fixture(scope="session")
def prefix(tmp_path_factory):
    folder = tmp_path_factory.mktemp("prefix")
    subprocess.run(["cmake", "--install", BUILD, "--component", "mlxguard-api", "--prefix", folder], check=True,
                   capture_output=True)
    return folder


@pytest.fixture(scope="session")
def example(prefix, tmp_path_factory):
    build = tmp_path_factory.mktemp("example")
    mlx = (ROOT / ".venv/mlx-cmake").resolve()
    for command in (["cmake", "-S", ROOT / "examples/cpp", "-B", build, "-G", "Ninja", "-DCMAKE_BUILD_TYPE=Release",
                     f"-DCMAKE_PREFIX_PATH={prefix}", f"-DMLX_DIR={mlx}"], ["cmake", "--build", build]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    return build / "load_model"


def test_the_example_loads_a_signed_model(example, cli, minilm_source, tmp_path):
    import shutil
    model = tmp_path / "minilm"
    shutil.copytree(minilm_source, model)
    cli.sign(model)
    key = cli.state / "keys/signer.pub"
    command = [example, tmp_path / "app-state", key, model, "model.safetensors"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    first, *tensors = done.stdout.splitlines()
    assert first == f"minilm {cli.json('verify', model)['root_digest']}"
    import mlx.core as mx
    expected = {name: float(mx.sum(array.astype(mx.float32)))
                for name, array in mx.load(str(model / "model.safetensors")).items()}
    found = {name: float(total) for name, _, total in (line.split() for line in tensors)}
    assert found.keys() == expected.keys()
    for name, total in expected.items():
        assert found[name] == pytest.approx(total, rel=1e-3, abs=1e-3)

    (model / "config.json").write_text("{}")
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1 and "[signature.digest_mismatch]" in done.stderr and done.stdout == ""


def test_public_headers_stand_alone_and_include_nothing_private(prefix, tmp_path):
    for header in sorted((prefix / "include/mlxguard").iterdir()):
        for name in re.findall(r'#include "([^"]+)"', header.read_text()):
            assert name.startswith("mlxguard/"), f"{header.name} includes {name}"
        if header.name == "mlx.h":
            continue  # compiled by the example, which has mlx
        source = tmp_path / "alone.cpp"
        source.write_text(f'#include "mlxguard/{header.name}"\n')
        subprocess.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-fsyntax-only", "-I", prefix / "include", source],
                       check=True)


def test_the_library_gives_away_only_its_public_names(prefix):
    [library] = [file for file in (prefix / "lib").rglob("libmlxguard.so*") if not file.is_symlink()]
    listed = subprocess.run(["nm", "-DC", "--defined-only", library], capture_output=True, text=True, check=True).stdout
    names = [line.split(maxsplit=2)[2] for line in listed.splitlines()]
    assert names and all(name.startswith("mlxguard::v1::") for name in names)
