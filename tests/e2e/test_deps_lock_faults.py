# SPDX-License-Identifier: Apache-2.0
"""`deps lock` with resolvers that hang, die, lie or would run code, and `deps check` with environments that hide something."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import pytest

import conftest
from wheel_maker import environment, install, wheel

VENV = conftest.ROOT / ".venv"
HASH = "a" * 64


@pytest.fixture
def env(tmp_path):
    return environment(tmp_path / "env", [("alpha", "1.0", ())])


@pytest.fixture
def tool(tmp_path):
    """Writes a program that stands in the place of Python, and notes how it was called."""
    def make(body):
        path = tmp_path / "tool"
        path.write_text(f"#!/bin/bash\necho $$ > {tmp_path}/pid\nprintf '%s\\n' \"$@\" > {tmp_path}/arguments\nenv > {tmp_path}/environment\n{body}\n")
        path.chmod(0o755)
        return path
    return make


def report(*packages):
    """What `pip --report` prints."""
    return json.dumps({"version": "1", "pip_version": "25", "install": [
        {"download_info": {"url": f"https://index.example/{name}-{version}-py3-none-any.whl", "archive_info": {"hashes": {"sha256": HASH}}},
         "metadata": {"name": name, "version": version}} for name, version in packages]})


def lock_with(cli, env, tool, tmp_path, *options, exit_code=3):
    out = tmp_path / "pylock.toml"
    out.write_text("before")
    answer = cli.json("deps", "lock", env, "-o", out, "--python", tool, *options, exit_code=exit_code)
    if exit_code:
        assert out.read_text() == "before" and sorted(p.name for p in tmp_path.glob("pylock*")) == ["pylock.toml"]
        return answer["error"]
    return out.read_text()


def test_what_the_resolver_answers_is_written(cli, env, tool, tmp_path):
    text = lock_with(cli, env, tool(f"echo '{report(('alpha', '1.0'))}'"), tmp_path, exit_code=0)
    assert HASH in text


@pytest.mark.parametrize("body", ["kill -9 $$", "exit 7", "echo rubbish", "echo '{}'", f"echo '{report(('alpha', '2.0'))}'",
                                  f"echo '{report(('alpha', '1.0'), ('beta', '1.0'))}'", f"echo '{report()}'",
                                  f"echo '{report(('alpha', '1.0'), ('alpha', '1.0'))}'",
                                  f"echo '{report(('alpha', '1.0'))}' | sed 's/{HASH}/abc/'",
                                  f"echo '{report(('alpha', '1.0'))}' | sed 's#https://index.example/#ftp://x/#'"])
def test_a_resolver_that_fails_or_answers_something_else_leaves_the_old_lock(cli, env, tool, tmp_path, body):
    error = lock_with(cli, env, tool(body), tmp_path)
    assert error["code"] == "deps.resolver", error


def test_a_resolver_that_is_missing(cli, env, tmp_path):
    error = lock_with(cli, env, tmp_path / "absent", tmp_path)
    assert error["code"] == "deps.resolver" and "--python" in error["hint"]


def test_a_child_of_the_resolver_that_keeps_its_output_open_is_not_waited_for(cli, env, tool, tmp_path):
    lock_with(cli, env, tool(f"sleep 600 & echo $! > {tmp_path}/child; echo '{report(('alpha', '1.0'))}'"), tmp_path, exit_code=0)
    child = int((tmp_path / "child").read_text())
    time.sleep(0.2)
    assert not pathlib.Path(f"/proc/{child}").exists() or " Z " in pathlib.Path(f"/proc/{child}/stat").read_text()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_lock_takes_its_resolver_along(cli, env, tool, tmp_path, number):
    path = tool("exec >&- 2>&-; sleep 600 & wait")
    process = subprocess.Popen([cli.binary, "deps", "lock", env, "-o", tmp_path / "pylock.toml", "--python", path, "--state", cli.state],
                               stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    while not (tmp_path / "environment").exists():
        time.sleep(0.05)
    time.sleep(0.3)
    process.send_signal(number)
    assert process.wait(20) == -number
    child = int((tmp_path / "pid").read_text())
    assert not pathlib.Path(f"/proc/{child}").exists()
    assert not list(tmp_path.glob("pylock*"))


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGHUP])
def test_a_signal_that_is_ignored_ends_no_lock(cli, env, tool, tmp_path, number):
    """As under nohup, or behind a script's `&`: who started it said that this one does not matter."""
    path = tool(f"while [ ! -e {tmp_path}/go ]; do sleep 0.05; done; echo done >&2; exit 1")
    process = subprocess.Popen([cli.binary, "deps", "lock", env, "-o", tmp_path / "pylock.toml", "--python", path, "--state", cli.state],
                               stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
                               preexec_fn=lambda: signal.signal(number, signal.SIG_IGN))
    while not (tmp_path / "environment").exists():
        time.sleep(0.05)
    process.send_signal(number)
    with pytest.raises(subprocess.TimeoutExpired):
        process.wait(1)
    (tmp_path / "go").touch()
    problems = process.communicate(timeout=20)[1]
    assert "interrupted" not in problems and "done" in problems


@pytest.mark.parametrize("resolver", ["pip", "uv"])
def test_a_password_in_the_index_is_on_no_command_line_and_in_no_message(cli, env, tool, tmp_path, resolver):
    url = "https://user:pass%40word@index.example/simple/"
    path = tool("echo \"error: cannot reach https://user:pass%40word@index.example/simple/alpha/\" >&2; exit 1")
    out, options, variables = tmp_path / "pylock.toml", ["--python", path], {}
    if resolver == "uv":
        path.rename(tmp_path / "uv")
        options, variables = ["--resolver", "uv"], {"env": {**os.environ, "PATH": f"{tmp_path}:{os.environ['PATH']}"}}
    done = cli.run("deps", "lock", env, "-o", out, "--index-url", url, *options, **variables)
    assert done.returncode == 3
    assert "pass%40word" not in (tmp_path / "arguments").read_text() and "pass%40word" in (tmp_path / "environment").read_text()
    assert "word" not in done.stdout + done.stderr and "index.example" in done.stderr


@pytest.mark.parametrize("text", ["--no-binary :all:\nalpha\n", "-e .\n", "./folder\n", "git+https://index.example/x@abc#egg=x\n",
                                  "alpha @ git+https://index.example/x@abc\n", "alpha @ https://index.example/alpha-1.0.tar.gz\n",
                                  "-r other.txt\n", "alpha --no-binary alpha\n"])
def test_a_requirements_file_that_would_be_built_is_not_handed_on(cli, tool, tmp_path, text):
    (tmp_path / "other.txt").write_text("--no-binary=alpha\nalpha\n")
    file = tmp_path / "requirements.txt"
    file.write_text(text)
    answer = cli.json("deps", "lock", file, "-o", tmp_path / "pylock.toml", "--python", tool("exit 1"), exit_code=1)
    assert answer["error"]["code"] in ("deps.lock", "deps.requirement"), answer
    assert not (tmp_path / "arguments").exists()


def test_a_project_that_asks_for_what_is_built_is_not_handed_on(cli, tool, tmp_path):
    (tmp_path / "project").mkdir()
    (tmp_path / "project/pyproject.toml").write_text('[project]\nname = "p"\nversion = "0"\ndependencies = ["alpha @ git+https://index.example/x"]\n')
    answer = cli.json("deps", "lock", tmp_path / "project", "-o", tmp_path / "pylock.toml", "--python", tool("exit 1"), exit_code=1)
    assert answer["error"]["code"] == "deps.lock"
    # The interpreter was asked for its version, and for nothing else.
    asked = (tmp_path / "arguments").read_text().splitlines()
    assert asked == ["-I", "-c", "import platform; print(platform.python_version())"]


def test_two_files_are_written_or_none(cli, env, tool, tmp_path):
    path = tool(f"echo '{report(('alpha', '1.0'))}'")
    error = lock_with(cli, env, path, tmp_path, "--requirements", tmp_path / "absent/locked.txt")
    assert error["code"] == "io.not_found"
    error = lock_with(cli, env, path, tmp_path, "--requirements", tmp_path / "pylock.toml", exit_code=2)
    assert error["code"] == "usage"


# --- check: what an environment may hide ------------------------------------------------------------------

@pytest.fixture
def lock(tmp_path):
    file = tmp_path / "locked.txt"
    file.write_text(f"alpha==1.0 --hash=sha256:{HASH}\n")
    return file


def site(env):
    return env / "lib/python3.11/site-packages"


def kinds(cli, lock, env, *options):
    answer = cli.json("deps", "check", lock, env, *options, exit_code=1)
    return {d["kind"] for d in answer["differences"]}


def test_an_environment_as_locked_passes(cli, env, lock):
    assert cli.json("deps", "check", lock, env)["passed"]


@pytest.mark.parametrize("line", ["include-system-site-packages = true\n", "INCLUDE-System-Site-Packages=True", ""])
def test_packages_of_the_system_are_not_passed_over(cli, env, lock, line):
    old = "include-system-site-packages = false\n"
    config = env / "pyvenv.cfg"
    config.write_text(config.read_text().replace(old, old + line if line else ""))
    assert kinds(cli, lock, env) == {"unreadable"}


def test_a_link_to_a_folder_is_not_passed_over(cli, env, lock, tmp_path):
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/__init__.py").write_text("import os\n")
    (site(env) / "evil").symlink_to(tmp_path / "elsewhere")
    assert kinds(cli, lock, env) == {"file"}
    (site(env) / "evil").unlink()
    (site(env) / "alpha/sub").symlink_to(tmp_path / "elsewhere")
    assert kinds(cli, lock, env) == {"file"}


HIDING = {
    "code at start": lambda site: (site / "x.pth").write_text("import os\n"),
    "a start module": lambda site: (site / "sitecustomize.py").write_text("x = 1\n"),
    "byte code alone": lambda site: (site / "evil.pyc").write_bytes(b"x"),
    "cached byte code alone": lambda site: ((site / "__pycache__").mkdir(), (site / "__pycache__/evil.cpython-311.pyc").write_bytes(b"x")),
    "a library": lambda site: (site / "alpha/native.so").write_bytes(b"\x7fELF"),
    "another one of its name": lambda site: install(site, "Alpha", "1.0"),
    "another version of its name": lambda site: install(site, "alpha", "0.9"),
    "a package without METADATA": lambda site: (site / "x-1.0.dist-info").mkdir(),
    "an emptied RECORD": lambda site: (site / "alpha-1.0.dist-info/RECORD").write_text(""),
    "no RECORD": lambda site: (site / "alpha-1.0.dist-info/RECORD").unlink(),
    "a RECORD without hashes": lambda site: (site / "alpha-1.0.dist-info/RECORD").write_text(
        "alpha/__init__.py,,\nalpha-1.0.dist-info/METADATA,,\nalpha-1.0.dist-info/WHEEL,,\nalpha-1.0.dist-info/RECORD,,\n"),
    "a RECORD that leads out": lambda site: (site / "alpha-1.0.dist-info/RECORD").open("a").write("../../../../../etc/passwd,,\n"),
    "a file that is a link": lambda site: ((site / "alpha/__init__.py").unlink(), (site / "alpha/__init__.py").symlink_to("/etc/passwd")),
    "a file that is a pipe": lambda site: ((site / "alpha/__init__.py").unlink(), os.mkfifo(site / "alpha/__init__.py")),
    "an editable one": lambda site: (site / "alpha-1.0.dist-info/direct_url.json").write_text('{"url": "file:///x", "dir_info": {"editable": true}}'),
    "a damaged origin": lambda site: (site / "alpha-1.0.dist-info/direct_url.json").write_text("{"),
    "a package of the old form": lambda site: (site / "old-1.0.egg-info").write_text("Metadata-Version: 1.0\nName: old\nVersion: 1.0\n"),
}


@pytest.mark.parametrize("way", HIDING)
def test_nothing_hides(cli, env, lock, way):
    HIDING[way](site(env))
    assert kinds(cli, lock, env)


@pytest.mark.parametrize("text", ["", "\0", "alpha", "alpha==1.0 --hash=md5:" + "a" * 32, f"alpha==1.0 --hash=sha256:{HASH}\nalpha==1.1 --hash=sha256:{HASH}\n",
                                  f"alpha==1.* --hash=sha256:{HASH}\n", f"alpha>=1.0 --hash=sha256:{HASH}\n", "-r ../../../etc/passwd\n", "-r locked.txt\n",
                                  "--unknown\n", f"../alpha==1.0 --hash=sha256:{HASH}\n", "alpha==1.0 \\\n", "\xff\xfe"])
def test_a_lock_that_does_not_say_exactly_what_there_is_passes_nothing(cli, env, lock, text):
    lock.write_text(text, encoding="latin-1")
    done = cli.run("deps", "check", lock, env, "--json")
    assert done.returncode in (1, 3), done.stdout
