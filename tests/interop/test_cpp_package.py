# SPDX-License-Identifier: Apache-2.0
"""The installed C++ package and the example in examples/cpp, built against it as a stranger would."""
import os
import pathlib
import re
import subprocess

import pytest

pytestmark = pytest.mark.timeout(900)  # an example is configured and compiled
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


THREADS = r"""
#include <atomic>
#include <cstdio>
#include <thread>
#include <vector>

#include "mlxguard/mlxguard.h"

int main(int, char** argv) {
  std::atomic<std::uint64_t> last{0}, calls{0};
  std::atomic<bool> in_order{true};
  auto guard = mlxguard::Guard::open({.state = argv[1], .progress = [&](std::uint64_t done, std::uint64_t total) {
    if (done > total) in_order = false;
    last = done;
    ++calls;
  }});
  if (!guard) return 2;
  std::atomic<int> loaded{0};
  std::vector<std::thread> threads;
  for (int i = 0; i < 2; ++i) {
    threads.emplace_back([&] {
      for (int round = 0; round < 3; ++round) {
        const auto model = guard->load(argv[2]);
        if (!model) continue;
        const mlxguard::Model copy = *model;
        if (copy.bytes(copy.files()[0].name)) ++loaded;
      }
    });
  }
  for (auto& thread : threads) thread.join();
  const std::uint64_t whole = last;
  const auto stopped = guard->load(argv[2], {}, [] { return true; });
  const auto missing = guard->load("/nonexistent");
  mlxguard::Guard moved = std::move(*guard);
  std::printf("%d %d %llu %s %s %d\n", loaded.load(), in_order && calls >= 6,
              static_cast<unsigned long long>(whole), stopped ? "loaded" : stopped.error().code.c_str(),
              missing ? "loaded" : missing.error().code.c_str(), moved.verify(argv[2]).has_value());
}
"""


def test_a_program_with_threads(prefix, cli, tmp_path):
    """Threads share a guard and copy models; a load can be called off; a guard can be moved."""
    [library] = {file.parent for file in (prefix / "lib").rglob("libmlxguard.so")}
    (tmp_path / "threads.cpp").write_text(THREADS)
    subprocess.run(["g++", "-std=c++20", "-Wall", "-Wextra", "-Werror", "-pthread", "-I", prefix / "include", tmp_path / "threads.cpp",
                    "-o", tmp_path / "threads", "-L", library, "-lmlxguard", f"-Wl,-rpath,{library}"], check=True)
    model = tmp_path / "model"
    model.mkdir()
    (model / "weights.bin").write_bytes(bytes(range(256)) * 40000)
    cli.sign(model)
    done = subprocess.run([tmp_path / "threads", cli.state, model], capture_output=True, text=True, timeout=120)
    assert done.stdout.split() == ["6", "1", str(256 * 40000), "io.failed", "artifact.not_found", "1"], done


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
