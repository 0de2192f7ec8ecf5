# SPDX-License-Identifier: Apache-2.0
"""`[dependencies] require`: the server does not start unless its environment is as the lock says."""
import json
import shutil
import subprocess

import pytest

import conftest
from wheel_maker import environment

HASH = "a" * 64


@pytest.fixture
def place(cli, tmp_path):
    env = environment(tmp_path / "env", [("a", "1.0", ())])
    (tmp_path / "lock.txt").write_text(f"a==1.0 --hash=sha256:{HASH}\n")
    return tmp_path


def serve(cli, place, text):
    config = place / "mlxguard.toml"
    config.write_text("[server]\nlisten = \"127.0.0.1:0\"\n"
                      "[models]\nabsent = \"absent\"\n" + text)
    return subprocess.run([conftest.BIN / "mlxguard", "serve", "-c", config, "--state", cli.state, "--json"],
                          capture_output=True, text=True, timeout=60)


def error_of(done):
    return json.loads(done.stdout)["error"]["code"]


def test_a_lock_needs_an_environment(cli, place):
    done = serve(cli, place, '[dependencies]\nrequire = "lock.txt"\n')
    assert done.returncode == 2 and error_of(done) == "config.invalid"


def test_another_environment_than_the_lock_says(cli, place):
    (place / "env/lib/python3.11/site-packages/a/__init__.py").write_text("import os\n")
    done = serve(cli, place, '[dependencies]\nrequire = "lock.txt"\nenvironment = "env"\n')
    assert done.returncode == 1 and error_of(done) == "deps.lock"
    assert "a/__init__.py" in done.stderr
    newest = cli.events("--type", "deps.checked")[0]
    assert newest["code"] == "deps.lock"
    assert not cli.events("--type", "server.started")


def test_the_check_is_one_program_beside_the_server(cli, place):
    """Neither a shell nor `mlxguard` is between the server and the program that compares."""
    programs = place / "programs"
    programs.mkdir()
    for name in ("mlxguard-supervisor", "mlxguard-deps"):
        shutil.copy(conftest.BIN / name, programs / name)
    (place / "env/lib/python3.11/site-packages/a/__init__.py").write_text("import os\n")
    config = place / "mlxguard.toml"
    config.write_text('[server]\nlisten = "127.0.0.1:0"\n[models]\nabsent = "absent"\n'
                      '[dependencies]\nrequire = "lock.txt"\nenvironment = "env"\n')
    done = subprocess.run([programs / "mlxguard-supervisor", "-c", config, "--state", cli.state, "--json"],
                          capture_output=True, text=True, timeout=60)
    assert done.returncode == 1 and error_of(done) == "deps.lock"
    assert "a/__init__.py" in done.stderr


def test_an_environment_that_lacks_packages_that_need_each_other(cli, place):
    environment(place / "empty", [])
    wheels = f'wheels = [{{ url = "https://host/x.whl", hashes = {{ sha256 = "{HASH}" }} }}]\n'
    (place / "pylock.toml").write_text('lock-version = "1.0"\ncreated-by = "test"\n' + "".join(
        f'[[packages]]\nname = "{name}"\nversion = "1"\ndependencies = [{{ name = "{other}" }}]\n{wheels}'
        for name, other in (("a", "b"), ("b", "a"))))
    done = serve(cli, place, '[dependencies]\nrequire = "pylock.toml"\nenvironment = "empty"\n')
    assert done.returncode == 1 and error_of(done) == "deps.lock"
    assert "a: locked, and not installed" in done.stderr


@pytest.mark.parametrize("text", ['require = "absent.txt"\nenvironment = "env"\n',
                                  'require = "lock.txt"\nenvironment = "absent"\n',
                                  'require = "mlxguard.toml"\nenvironment = "env"\n'])
def test_what_could_not_be_compared_is_refused(cli, place, text):
    done = serve(cli, place, "[dependencies]\n" + text)
    assert done.returncode == 1 and error_of(done) == "deps.lock"


def test_an_environment_as_locked_starts(start_server, session_cli, signed_models, place):
    config = place / "mlxguard.toml"
    config.write_text('[dependencies]\nrequire = "lock.txt"\nenvironment = "env"\n')
    with start_server(session_cli, {"minilm": signed_models / "minilm"}, "-c", config) as server:
        assert server.workers()["minilm"] > 0
    assert session_cli.events("--type", "deps.checked")[0]["record"]["unmapped"]["differences"] == 0
