# SPDX-License-Identifier: Apache-2.0
"""What docs/applications.md shows is run as it stands there, word for word."""
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest

pytestmark = pytest.mark.timeout(1800)  # the wheel and a C++ program are built
ROOT = pathlib.Path(__file__).resolve().parents[2]
BUILD = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin")).parent


def snippets(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", (ROOT / "docs/applications.md").read_text(), re.DOTALL | re.MULTILINE)


@pytest.fixture
def home(tmp_path, cli, llama, adapter):
    """A user's folder, in which the page's first snippet, of the shell, has run."""
    for name in ("minilm", "layer"):
        (tmp_path / "models" / name).mkdir(parents=True)
    subprocess.run([sys.executable, "-c", """if True:
        import mlx.core as mx
        mx.save_safetensors("models/minilm/model.safetensors", {"w": mx.arange(4)})
        mx.save_safetensors("models/layer/weights.safetensors", {"weight": mx.ones((2, 2)), "bias": mx.ones((2,))})
        """], cwd=tmp_path, check=True)
    shutil.copytree(llama, tmp_path / "models/llama")
    environment = {**os.environ, "PATH": f"{cli.binary.parent}:{os.environ['PATH']}", "XDG_STATE_HOME": str(tmp_path / "home"),
                   "HF_HUB_OFFLINE": "1"}
    (tmp_path / "passphrase").unlink()
    for snippet in snippets("sh"):
        done = subprocess.run(["bash", "-ec", snippet], cwd=tmp_path, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, snippet + done.stdout + done.stderr
    return tmp_path, environment


def test_the_snippets_in_python(package, home):
    folder, environment = home
    text = "\n".join(snippets("python"))
    assert len(snippets("python")) >= 5
    done = subprocess.run([sys.executable, "-c", text], cwd=folder, capture_output=True, text=True, timeout=300,
                          env={**environment, "PYTHONPATH": str(package)})
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_snippets_in_cpp(home, tmp_path):
    folder, environment = home
    [build_file], [program] = snippets("cmake"), snippets("cpp")
    source, prefix = tmp_path / "source", tmp_path / "prefix"
    source.mkdir()
    (source / "CMakeLists.txt").write_text(build_file)
    (source / "main.cpp").write_text(program)
    mlx = subprocess.run([sys.executable, "-m", "mlx", "--cmake-dir"], capture_output=True, text=True, check=True).stdout.strip()
    for command in (["cmake", "--install", BUILD, "--component", "mlxguard-api", "--prefix", prefix],
                    ["cmake", "-S", source, "-B", source / "build", "-G", "Ninja", f"-DCMAKE_PREFIX_PATH={prefix};{mlx}"],
                    ["cmake", "--build", source / "build"]):
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
    done = subprocess.run([source / "build/my_program"], cwd=folder, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "1 tensors\n"), done.stderr


def test_the_package_brings_the_command(package):
    """Beside it lie the programs that it starts for hostile files and for tokens."""
    [scripts] = package.glob("mlxguard-*.data/scripts")
    assert {"mlxguard", "mlxguard-inspector", "mlxguard-token"} <= {file.name for file in scripts.iterdir()}
    (scripts / "mlxguard").chmod(0o755)
    done = subprocess.run([scripts / "mlxguard", "--version"], capture_output=True, text=True)
    assert done.returncode == 0 and "mlxguard" in done.stdout, done.stderr
