# SPDX-License-Identifier: Apache-2.0
"""`mlxguard deps lock` and `deps check`: locks from a real resolver, and every way of differing from one."""
import hashlib
import json
import os
import subprocess
import sys
import tomllib

import pytest

import conftest
from wheel_maker import environment, install, wheel

VENV = conftest.ROOT / ".venv"


@pytest.fixture
def index(tmp_path):
    """A folder of wheels as the only index that pip and uv ask."""
    folder = tmp_path / "wheels"
    folder.mkdir()
    wheel(folder, "leaf", "1.0")
    wheel(folder, "leaf", "2.0")
    wheel(folder, "middle", "1.0", ["leaf>=1"])
    return folder


@pytest.fixture
def tool_env(index):
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    uv = index.parent / "uv.toml"  # uv has no variable that turns its index off
    uv.write_text(f"no-index = true\nfind-links = [{json.dumps(str(index))}]\n")
    return {**keep, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(index), "UV_CONFIG_FILE": str(uv),
            "PATH": f"{VENV / 'bin'}:{os.environ['PATH']}"}


@pytest.fixture
def env(tmp_path, tool_env):
    """A real virtual environment with middle and leaf 1.0, installed by pip."""
    folder = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", folder], check=True)
    subprocess.run([VENV / "bin/python", "-m", "pip", "--python", folder / "bin/python", "install", "-q",
                    "middle==1.0", "leaf==1.0"], check=True, env=tool_env)
    return folder


@pytest.fixture
def locked(cli, env, tmp_path, tool_env):
    lock = tmp_path / "pylock.toml"
    cli.ok("deps", "lock", env, "-o", lock, "--requirements", tmp_path / "locked.txt", "--python",
           VENV / "bin/python", env=tool_env)
    return lock


def site(env):
    return next(env.glob("lib/python3*/site-packages"))


def differences(cli, lock, env, *options):
    answer = cli.json("deps", "check", lock, env, *options, exit_code=1)
    assert not answer["passed"]
    return [(d["kind"], d["name"]) for d in answer["differences"]]


def test_a_lock_of_an_environment_passes_and_says_what_is_installed(cli, env, locked, index, tmp_path):
    lock = tomllib.loads(locked.read_text())
    assert lock["lock-version"] == "1.0"
    assert [(p["name"], p["version"]) for p in lock["packages"]] == [("leaf", "1.0"), ("middle", "1.0")]
    for package in lock["packages"]:
        file = index / package["wheels"][0]["name"]
        assert package["wheels"][0]["hashes"]["sha256"] == hashlib.sha256(file.read_bytes()).hexdigest()
    answer = cli.json("deps", "check", locked, env)
    assert answer == {"lock": str(locked), "environment": str(env), "passed": True, "packages": 2, "contents": 2,
                      "differences": []}
    assert cli.json("deps", "check", tmp_path / "locked.txt", env)["contents"] == 0
    assert cli.json("deps", "check", tmp_path / "locked.txt", env, "--wheels", index)["contents"] == 2
    assert {e["type"] for e in cli.events("--type", "deps.locked")} == {"deps.locked"}


def test_pip_installs_what_was_locked_by_its_hashes(locked, tmp_path, tool_env):
    command = [VENV / "bin/python", "-m", "pip", "install", "--dry-run", "--ignore-installed", "--require-hashes",
               "-r", tmp_path / "locked.txt", "-q"]
    subprocess.run(command, check=True, env=tool_env)
    text = (tmp_path / "locked.txt").read_text()
    digit = text.index("sha256:") + 7
    (tmp_path / "locked.txt").write_text(text[:digit] + ("0" if text[digit] != "0" else "1") + text[digit + 1:])
    assert subprocess.run(command, env=tool_env, capture_output=True).returncode == 1


def test_uv_installs_from_the_pylock(locked, tmp_path, tool_env):
    folder = tmp_path / "again"
    subprocess.run([VENV / "bin/uv", "venv", "-q", "--python", sys.executable, folder], check=True, env=tool_env)
    subprocess.run([VENV / "bin/uv", "pip", "sync", "-q", "--python", folder / "bin/python", locked], check=True,
                   env=tool_env)
    assert (site(folder) / "middle-1.0.dist-info").is_dir()


def test_a_lock_of_a_project_is_resolved_by_pip_or_uv(cli, tmp_path, tool_env):
    project = tmp_path / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "0"\ndependencies = ["middle"]\n')
    for resolver in ("pip", "uv"):
        lock = tmp_path / f"pylock.{resolver}.toml"
        cli.ok("deps", "lock", project, "-o", lock, "--resolver", resolver, "--python", VENV / "bin/python",
               env=tool_env)
        packages = {(p["name"], p["version"]) for p in tomllib.loads(lock.read_text())["packages"]}
        assert packages == {("leaf", "2.0"), ("middle", "1.0")}, resolver


def test_a_lock_says_for_whom_it_is_and_is_refused_by_others(cli, env, locked, tmp_path):
    lock = tomllib.loads(locked.read_text())
    minor = f"{sys.version_info.major}.{sys.version_info.minor}"
    assert lock["requires-python"] == f"=={minor}.*"
    assert lock["environments"] == [f"sys_platform == 'linux' and platform_machine == '{os.uname().machine}'"]
    text = locked.read_text()
    locked.write_text(text.replace(f"=={minor}.*", "==3.99.*"))
    assert differences(cli, locked, env) == [("not-for", "")]
    locked.write_text(text.replace("'linux'", "'darwin'"))
    assert differences(cli, locked, env) == [("not-for", "")]
    assert "the lock is for other environments" in cli.run("deps", "check", locked, env).stdout


@pytest.fixture
def project(tmp_path, index):
    wheel(index, "elsewhere", "1.0")
    wheel(index, "tool", "1.0")
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(
        '[project]\nname = "app"\nversion = "0"\ndependencies = ["middle", "elsewhere; sys_platform == \'darwin\'"]\n'
        '[project.optional-dependencies]\nfast = ["leaf<2"]\n'
        '[dependency-groups]\ndev = [{ include-group = "test" }]\ntest = ["tool"]\n')
    return folder


def test_a_lock_for_several_platforms_with_extras_and_groups(cli, project, tmp_path, tool_env):
    out = tmp_path / "pylock.toml"
    command = ("deps", "lock", project, "-o", out, "--python", VENV / "bin/python")
    cli.ok(*command, "--resolver", "uv", "--platform", "linux-x86_64", "--platform", "macos-arm64", "--extra", "Fast",
           "--group", "dev", env=tool_env)
    lock = tomllib.loads(out.read_text())
    assert len(lock["environments"]) == 2 and lock["extras"] == ["fast"] and lock["dependency-groups"] == ["dev"]
    packages = {p["name"]: (p["version"], p.get("marker", "")) for p in lock["packages"]}
    darwin = "sys_platform == 'darwin' and platform_machine == 'arm64'"
    assert packages == {"middle": ("1.0", ""), "leaf": ("1.0", ""), "tool": ("1.0", ""), "elsewhere": ("1.0", darwin)}
    assert cli.json(*command, "--platform", "linux-x86_64", exit_code=2, env=tool_env)["error"]["code"] == "usage"
    for bad in (("--platform", "amiga"), ("--extra", "none"), ("--group", "none")):
        error = cli.json(*command, "--resolver", "uv", *bad, exit_code=2, env=tool_env)["error"]
        assert error["code"] == "usage" and bad[1] in error["message"]


def test_a_project_whose_needs_are_not_all_told_is_not_locked(cli, tmp_path, tool_env):
    file = tmp_path / "pyproject.toml"
    command = ("deps", "lock", file, "-o", tmp_path / "pylock.toml", "--python", VENV / "bin/python")
    for text in ('[project]\nname = "x"\nversion = "0"\ndynamic = ["dependencies"]\n',
                 '[tool.poetry.dependencies]\nleaf = "^1.0"\n'):
        file.write_text(text)
        assert cli.json(*command, exit_code=1, env=tool_env)["error"]["code"] == "deps.lock"
        assert not (tmp_path / "pylock.toml").exists()


UV = """version = 1
[[package]]
name = "app"
version = "0"
source = { virtual = "." }
dependencies = [{ name = "sphinx" }]
[[package]]
name = "sphinx"
version = "7.2"
source = { registry = "https://host/simple" }
dependencies = [{ name = "sphinxcontrib-devhelp" }]
[[package]]
name = "sphinxcontrib-devhelp"
version = "1.0"
source = { registry = "https://host/simple" }
dependencies = [{ name = "sphinx" }]
"""
PYLOCK = """lock-version = "1.0"
created-by = "test"
[[packages]]
name = "sphinx"
version = "7.2"
dependencies = [{ name = "sphinxcontrib-devhelp" }]
wheels = [{ url = "https://host/a.whl", hashes = { sha256 = "HASH" } }]
[[packages]]
name = "sphinxcontrib-devhelp"
version = "1.0"
dependencies = [{ name = "sphinx" }]
wheels = [{ url = "https://host/b.whl", hashes = { sha256 = "HASH" } }]
""".replace("HASH", "a" * 64)
POETRY = """[[package]]
name = "sphinx"
version = "7.2"
[package.dependencies]
sphinxcontrib-devhelp = "*"
[[package]]
name = "sphinxcontrib-devhelp"
version = "1.0"
[package.dependencies]
sphinx = ">=5"
[metadata]
lock-version = "2.0"
"""


@pytest.mark.parametrize("name, text", [("uv.lock", UV), ("pylock.toml", PYLOCK), ("poetry.lock", POETRY)])
def test_packages_that_need_each_other_are_missed_in_an_empty_environment(cli, tmp_path, name, text):
    (tmp_path / name).write_text(text)
    environment(tmp_path / "empty", [])
    assert differences(cli, tmp_path / name, tmp_path / "empty") == [
        ("missing", "sphinx"), ("missing", "sphinxcontrib-devhelp")]
    assert "sphinx: locked, and not installed" in cli.run("deps", "check", tmp_path / name, tmp_path / "empty").stdout


def test_each_difference_is_told(cli, env, locked):
    folder = site(env)
    install(folder, "extra", "1.0")
    assert differences(cli, locked, env) == [("extra", "extra")]
    assert cli.json("deps", "check", locked, env, "--allow", "Extra")["passed"]
    (folder / "leaf/__init__.py").write_text("import os\n")
    assert ("file", "leaf") in differences(cli, locked, env, "--allow", "extra")
    done = cli.run("deps", "check", locked, env)
    assert done.returncode == 1 and "[deps.lock]" in done.stderr
    assert "leaf/__init__.py" in done.stdout


def test_a_file_changed_together_with_its_record(cli, env, locked, index, tmp_path):
    """RECORD alone would pass; the lock's content digest, or the locked wheel, does not."""
    for path in sorted(site(env).glob("leaf*")):
        subprocess.run(["rm", "-r", path], check=True)
    install(site(env), "leaf", "1.0", files={"leaf/__init__.py": "import os\n"})
    assert differences(cli, locked, env) == [("content", "leaf")]
    assert cli.json("deps", "check", tmp_path / "locked.txt", env)["passed"]
    assert differences(cli, tmp_path / "locked.txt", env, "--wheels", index) == [("content", "leaf")]


def test_another_version_a_missing_package_and_a_stray_file(cli, env, locked):
    for path in sorted(site(env).glob("leaf*")):
        subprocess.run(["rm", "-r", path], check=True)
    assert ("missing", "leaf") in differences(cli, locked, env)
    install(site(env), "leaf", "2.0")
    (site(env) / "stray.py").write_text("x = 1\n")
    found = differences(cli, locked, env)
    assert ("version", "leaf") in found and ("file", "") in found


def test_byte_code_is_told_where_it_is_not_wanted(cli, env, locked):
    """A changed .pyc runs instead of its source, and no RECORD has a hash of it."""
    subprocess.run(["find", site(env), "-name", "*.pyc", "-delete"], check=True)
    assert cli.json("deps", "check", locked, env, "--no-bytecode")["passed"]
    cached = site(env) / "leaf/__pycache__/__init__.cpython-311.pyc"
    cached.parent.mkdir(exist_ok=True)
    cached.write_bytes(b"x")
    assert cli.json("deps", "check", locked, env)["passed"]
    assert differences(cli, locked, env, "--no-bytecode") == [("file", "")]


def test_a_lock_without_hashes_is_no_proof(cli, env, tmp_path):
    lock = tmp_path / "bare.txt"
    lock.write_text("leaf==1.0\nmiddle==1.0\n")
    assert differences(cli, lock, env) == [("hash", "leaf"), ("hash", "middle")]
    assert cli.json("deps", "check", lock, env, "--no-hashes")["passed"]


def test_an_environment_that_differs_from_its_records_is_not_locked(cli, env, tmp_path, tool_env):
    (site(env) / "leaf/__init__.py").write_text("x = 1\n")
    out = tmp_path / "never.toml"
    answer = cli.json("deps", "lock", env, "-o", out, exit_code=1, env=tool_env)
    assert answer["error"]["code"] == "deps.record" and not out.exists()


def test_what_no_index_has_is_not_locked(cli, env, tmp_path, tool_env):
    install(site(env), "private", "1.0")
    out = tmp_path / "never.toml"
    out.write_text("before")
    answer = cli.json("deps", "lock", env, "-o", out, "--python", VENV / "bin/python", exit_code=3, env=tool_env)
    assert answer["error"]["code"] == "deps.resolver" and out.read_text() == "before"
    cli.ok("deps", "lock", env, "-o", out, "--skip", "private", "--python", VENV / "bin/python", env=tool_env)
    info = site(env) / "leaf-1.0.dist-info"
    (info / "direct_url.json").write_text(json.dumps({"url": "file:///x", "dir_info": {"editable": True}}))
    answer = cli.json("deps", "lock", env, "-o", out, "--python", VENV / "bin/python", exit_code=1, env=tool_env)
    assert answer["error"]["code"] in ("deps.lock", "deps.record")


def test_a_lock_is_no_environment_and_an_environment_no_lock(cli, env, locked):
    assert cli.json("deps", "check", env, env, exit_code=3)["error"]["code"] == "deps.file"
    assert cli.json("deps", "check", locked, locked, exit_code=3)["error"]["code"] == "deps.environment"
