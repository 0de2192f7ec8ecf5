# SPDX-License-Identifier: Apache-2.0
"""One session with the real programs and one state folder, in which every kind of event occurs."""
import contextlib
import http.client
import json
import os
import pathlib
import resource
import shutil
import signal
import socket
import subprocess
import time
from urllib.parse import urlsplit

import conftest
from mirror_process import Mirror, advisory, osv
from package_index import Upstream
from wheel_maker import environment, wheel

HASH = "a" * 64


class Session:
    """What the tests compare the records with."""

    def __init__(self, folder: pathlib.Path, functions: pathlib.Path):
        self.folder, self.functions = folder, functions
        passphrase = folder / "passphrase"
        passphrase.write_text(conftest.PASSPHRASE + "\n")
        passphrase.chmod(0o600)
        self.cli = conftest.Cli(folder / "state", passphrase)
        self.secret = ("--passphrase-file", passphrase)
        self.wrong_keys = ["mg_wrong_key_number_one", "mg_wrong_key_number_two"]
        self.root_digest = self.client_port = self.gateway_pid = self.worker_pid = None
        self.records: list[dict] = []


def wait_for(condition, what, seconds=60.0):
    end = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < end, f"{what}: not within {seconds} s"
        time.sleep(0.05)
    return found


def keys(session: Session):
    cli = session.cli
    cli.new_key()
    cli.ok("key", "new", "old", *session.secret)
    cli.ok("key", "rotate", "old", "next", *session.secret)
    cli.ok("key", "revoke", "old", "--reason", "laptop lost", "--signed-by", "next", *session.secret)
    wrong = session.folder / "wrong"
    wrong.write_text("not the passphrase\n")
    wrong.chmod(0o600)
    model = copied(session, "mlp", "refused-key")
    assert cli.run("sign", model, "--key", "signer", "--passphrase-file", wrong).returncode != 0


def copied(session: Session, function: str, name: str) -> pathlib.Path:
    target = session.folder / "models" / name
    target.parent.mkdir(exist_ok=True)
    shutil.copytree(session.functions / function, target)
    return target


def models(session: Session):
    cli = session.cli
    for name in ("mlp", "hog"):
        cli.sign(copied(session, name, name))
    mlp = session.folder / "models/mlp"
    session.root_digest = cli.json("verify", mlp)["root_digest"]
    cli.run("inspect", mlp)
    changed = copied(session, "mlp", "changed")
    cli.sign(changed)
    next(file for file in changed.iterdir() if file.name.endswith(".mlxfn")).write_bytes(b"another model")
    assert cli.run("verify", changed).returncode == 1
    # Signed, and nothing that mlx could load.
    broken = session.folder / "models/broken"
    broken.mkdir()
    (broken / "weights.safetensors").write_bytes(b"\x02\0\0\0\0\0\0\0{}")
    cli.sign(broken)
    (session.folder / "body").write_text("{}")
    assert cli.run("run", broken, "--input", session.folder / "body").returncode != 0
    cli.ok("model", "add", mlp)
    cli.ok("model", "remove", "mlp")


def trust(session: Session):
    cli, mlp = session.cli, session.folder / "models/mlp"
    cli.ok("trust", "add", "ours", "--path", session.folder / "models", "--signer", "signer")
    cli.ok("trust", "check", mlp)
    policy = cli.state / "trust.toml"
    good = policy.read_text()
    assert 'mode = "enforce"' in good
    policy.write_text(good.replace('mode = "enforce"', 'mode = "warn"').replace("threshold = 1", 'formats = ["gguf"]'))
    cli.ok("verify", mlp)
    policy.write_text("version = \n")
    assert cli.run("verify", mlp).returncode == 2
    policy.write_text(good)


def request(server, path, body=None, key=None):
    """Status of the answer, and the port that it was asked from."""
    address = urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    with contextlib.closing(connection):
        connection.connect()
        port = connection.sock.getsockname()[1]
        headers = {"Content-Type": "application/json", **({"Authorization": f"Bearer {key}"} if key else {})}
        connection.request("POST" if body is not None else "GET", path, body, headers)
        answer = connection.getresponse()
        answer.read()
        return answer.status, port


def child(pid, program):
    """The newest child of a process that runs this program."""
    for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
        for one in reversed((task / "children").read_text().split()):
            with contextlib.suppress(OSError):
                if pathlib.Path(f"/proc/{one}/comm").read_text().startswith(program[:15]):
                    return int(one)
    return None


def serving(session: Session):
    cli = session.cli
    config = session.folder / "mlxguard.toml"
    config.write_text("[limits]\nconnections_max = 4\n")
    served = {name: session.folder / "models" / name for name in ("mlp", "hog")}
    with conftest.Server(cli, served, "-c", config) as server:
        body = json.dumps(server.infer_body("mlp"))
        path = "/v2/models/mlp/infer"
        status, session.client_port = request(server, path, body, server.api_key)
        assert status == 200
        for key in (None, session.wrong_keys[0], session.wrong_keys[0], session.wrong_keys[1]):
            assert request(server, path, body, key)[0] == 401
        assert request(server, path, "{", server.api_key)[0] == 400
        too_many_connections(server)
        # The worker passes its memory limit while it answers.
        session.worker_pid = server.workers()["hog"]
        assert request(server, "/v2/models/hog/infer", json.dumps(server.infer_body("hog", shape=[32768])), server.api_key)[0] == 503
        wait_for(lambda: cli.events("--type", "worker.restarted"), "the worker's restart")
        session.gateway_pid = child(server.process.pid, "mlxguard-gateway")
        os.kill(session.gateway_pid, signal.SIGKILL)
        wait_for(lambda: child(server.process.pid, "mlxguard-gateway") not in (None, session.gateway_pid), "a new gateway")
        no_room_for_a_sandbox(session, server)
        assert server.stop() == 0


def too_many_connections(server):
    address = urlsplit(server.url)
    held = [socket.create_connection((address.hostname, address.port)) for _ in range(8)]
    for one in held:
        one.settimeout(5)
    wait_for(lambda: any(b"503" in answer(one) for one in held), "a connection that is turned away")
    for one in held:
        one.close()


def answer(connection):
    try:
        return connection.recv(1000, socket.MSG_DONTWAIT)
    except OSError:
        return b""


def no_room_for_a_sandbox(session: Session, server):
    """A supervisor that may open nothing more cannot lock a new worker in."""
    pid = server.process.pid
    worker = child(pid, "mlxguard-worker")
    soft, hard = resource.prlimit(pid, resource.RLIMIT_NOFILE)
    highest = max(map(int, os.listdir(f"/proc/{pid}/fd")))
    resource.prlimit(pid, resource.RLIMIT_NOFILE, (highest + 1, hard))
    try:
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: session.cli.events("--type", "sandbox.refused"), "a refused sandbox")
    finally:
        resource.prlimit(pid, resource.RLIMIT_NOFILE, (soft, hard))


def dependencies(session: Session):
    cli, folder = session.cli, session.folder
    records = osv(folder / "records", advisory("alpha", {"introduced": "0"}, {"fixed": "2.0"}))
    cli.json("deps", "db", "update", "--from", records)
    (folder / "requirements.txt").write_text("alpha==1.0\nstranger==1.0\n")
    assert cli.run("deps", "scan", folder / "requirements.txt").returncode == 1
    env = environment(folder / "env", [("a", "1.0", ())])
    cli.run("deps", "inventory", env)
    (folder / "lock.txt").write_text(f"a==1.0 --hash=sha256:{HASH}\n")
    cli.run("deps", "check", folder / "lock.txt", env)
    wheels = folder / "wheels"
    wheels.mkdir()
    wheel(wheels, "leaf", "1.0")
    project = folder / "project"
    project.mkdir()
    (project / "pyproject.toml").write_text('[project]\nname = "app"\nversion = "0"\ndependencies = ["leaf"]\n')
    keep = {k: v for k, v in os.environ.items() if not k.startswith(("PIP_", "UV_"))}
    venv = conftest.ROOT / ".venv/bin"
    cli.ok("deps", "lock", project, "-o", folder / "pylock.toml", "--resolver", "pip", "--python", venv / "python",
           env={**keep, "PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(wheels), "PATH": f"{venv}:{os.environ['PATH']}"})


def mirroring(session: Session):
    cli, upstream = session.cli, Upstream()
    file, _ = upstream.add("beta", "1.0")
    upstream.add("beta", "2.0", uploaded=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - 3600)))
    mirror = Mirror(cli, upstream, "--cooldown", "7d")
    try:
        assert mirror.file("beta", file)[0] == 200
        cli.ok("deps", "mirror", "quarantine", "beta==1.0", "--reason", "reported to us")
        assert mirror.file("beta", file)[0] == 403
    finally:
        mirror.stop()
        upstream.stop()


def unclean_stop(session: Session):
    target = conftest.BIN / "tests/log_target"
    process = subprocess.Popen([str(target), "append", str(session.cli.state), "victim", "1000000"],
                               stdout=subprocess.PIPE, text=True)
    for _ in range(3):
        process.stdout.readline()
    process.kill()
    process.wait()
    process.stdout.close()
    session.cli.run("inspect", session.folder / "models/mlp")  # the next that opens the log recovers it


def run(folder: pathlib.Path, functions: pathlib.Path) -> Session:
    session = Session(folder, functions)
    keys(session)
    models(session)
    trust(session)
    serving(session)
    dependencies(session)
    mirroring(session)
    unclean_stop(session)
    events = session.cli.events("--limit", "1000000", "--oldest-first")
    session.records = [event["record"] for event in events if event["record"]["unmapped"].get("request") != "victim"]
    return session
