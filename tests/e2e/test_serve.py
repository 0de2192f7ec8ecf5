# SPDX-License-Identifier: Apache-2.0
"""`mlxguard serve` as its users start it: what it prints, what it refuses, how it stops."""
import json
import os
import re
import ssl
import stat
import subprocess
import time

import httpx
import pytest

from conftest import BIN, PASSPHRASE, ServerDidNotStart


def embed(server, text="hello", **kwargs):
    return httpx.post(f"{server.url}/v1/embeddings", headers=server.headers, timeout=30,
                      json={"model": "minilm", "input": text}, **kwargs)


def test_ready_line_names_url_models_and_isolation(server):
    assert server.ready["status"] == "ready"
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+", server.url)
    assert {"minilm", "mlp"} <= {model["name"] for model in server.ready["models"]}
    assert server.ready["isolation"] in ("full", "no-cgroup", "container")


def test_each_model_has_a_worker_of_its_own(server):
    pids = list(server.workers().values())
    assert len(set(pids)) == len(pids)
    for pid in pids:
        assert "mlxguard-worker" in open(f"/proc/{pid}/cmdline").read()


def test_three_binaries(server):
    assert embed(server).status_code == 200
    parents = subprocess.run(["ps", "-o", "args=", "--ppid", str(server.ready["pid"])], capture_output=True, text=True)
    names = {line.split()[0].split("/")[-1] for line in parents.stdout.splitlines()}
    assert names == {"mlxguard-gateway", "mlxguard-worker"}


@pytest.mark.parametrize("program", ["mlxguard-gateway", "mlxguard-supervisor", "mlxguard"])
def test_only_the_worker_links_mlx(program):
    libraries = subprocess.run(["ldd", str(BIN / program)], capture_output=True, text=True, check=True).stdout
    assert "libmlx" not in libraries


def test_api_key_is_made_once_and_stored_as_a_hash(cli, signed_models, session_cli, start_server, tmp_path):
    trust = ["--public-key", session_cli.state / "keys/signer.pub"]
    first = start_server(cli, {"mlp": signed_models / "mlp"}, *trust)
    key = first.ready["api_key"]
    file = cli.state / "api-keys"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert key not in file.read_text()
    assert first.stop() == 0
    second = start_server(cli, {"mlp": signed_models / "mlp"}, *trust)
    assert "api_key" not in second.ready
    good = httpx.get(f"{second.url}/v1/models", headers={"Authorization": f"Bearer {key}"})
    assert good.status_code == 200


def test_wrong_or_missing_key_is_401_and_an_event(server):
    for headers in ({}, {"Authorization": "Bearer mg_wrong"}, {"Authorization": "Basic abc"}):
        answer = httpx.get(f"{server.url}/v1/models", headers=headers)
        assert answer.status_code == 401
        assert "WWW-Authenticate" in answer.headers
    assert server.cli.events("--type", "auth.failed")[0]["code"] in ("auth.missing", "auth.invalid")


def test_api_key_file_of_plain_keys(cli, signed_models, session_cli, start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("# two clients\nalice 0123456789abcdef0123\nfedcba9876543210fedc\n")
    keys.chmod(0o600)
    server = start_server(cli, {"mlp": signed_models / "mlp"}, "--api-key-file", keys,
                          "--public-key", session_cli.state / "keys/signer.pub")
    for key, status in (("0123456789abcdef0123", 200), ("fedcba9876543210fedc", 200), ("alice", 401)):
        answer = httpx.get(f"{server.url}/v1/models", headers={"Authorization": f"Bearer {key}"})
        assert answer.status_code == status


def test_readable_key_file_is_refused(cli, signed_models, session_cli, start_server, tmp_path):
    keys = tmp_path / "keys"
    keys.write_text("0123456789abcdef0123\n")
    keys.chmod(0o644)
    with pytest.raises(ServerDidNotStart) as failed:
        start_server(cli, {"mlp": signed_models / "mlp"}, "--api-key-file", keys,
                     "--public-key", session_cli.state / "keys/signer.pub")
    assert "[io.unsafe_permissions]" in failed.value.stderr


@pytest.mark.parametrize("arguments", [
    ["--listen", "0.0.0.0:0"],
    ["--listen", "[::]:0"],
    ["--listen", "0.0.0.0:0", "--allow-anonymous"],
])
def test_no_listening_beyond_loopback_without_tls_and_keys(session_cli, signed_models, start_server, arguments):
    with pytest.raises(ServerDidNotStart) as failed:
        start_server(session_cli, {"mlp": signed_models / "mlp"}, *arguments)
    assert failed.value.exit_code == 2
    assert "[config.listen_unsafe]" in failed.value.stderr


def test_tls(cli, signed_models, session_cli, start_server, tmp_path):
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes",
                    "-keyout", tmp_path / "k.pem", "-out", tmp_path / "c.pem", "-days", "2", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    server = start_server(cli, {"mlp": signed_models / "mlp"}, "--listen", "0.0.0.0:0",
                          "--tls-certificate", tmp_path / "c.pem", "--tls-private-key", tmp_path / "k.pem",
                          "--public-key", session_cli.state / "keys/signer.pub")
    assert server.url.startswith("https://")
    url = server.url.replace("0.0.0.0", "127.0.0.1")
    context = ssl.create_default_context(cafile=str(tmp_path / "c.pem"))
    answer = httpx.get(f"{url}/v1/models", headers=server.headers, verify=context)
    assert answer.status_code == 200
    with pytest.raises(httpx.HTTPError):
        httpx.get(url.replace("https", "http") + "/v1/models", headers=server.headers)


def test_an_unsigned_model_is_not_served(session_cli, functions, start_server):
    with pytest.raises(ServerDidNotStart) as failed:
        start_server(session_cli, {"unsigned": functions / "mlp"})
    assert failed.value.exit_code == 1
    assert "[signature.missing]" in failed.value.stderr
    assert session_cli.events("--type", "model.refused", "--model", "unsigned")[0]["code"] == "signature.missing"


def test_without_any_trusted_key_nothing_starts(cli, signed_models, start_server):
    for file in (cli.state / "keys").glob("signer.*"):
        file.unlink()
    with pytest.raises(ServerDidNotStart) as failed:
        start_server(cli, {"mlp": signed_models / "mlp"})
    assert "[signature.no_trusted_keys]" in failed.value.stderr
    assert failed.value.exit_code == 2


def test_unknown_configuration_key_is_an_error(session_cli, start_server, tmp_path):
    config = tmp_path / "mlxguard.toml"
    config.write_text("[limits]\nqueue = 3\n")
    with pytest.raises(ServerDidNotStart) as failed:
        start_server(session_cli, {}, "-c", config)
    assert failed.value.exit_code == 2
    assert "[config.unknown_key]" in failed.value.stderr
    assert "limits.queue" in failed.value.stderr


def test_configuration_file_serves(cli, session_cli, signed_models, start_server, tmp_path):
    config = tmp_path / "mlxguard.toml"
    config.write_text(f'[models]\nsmall = "{signed_models / "mlp"}"\n'
                      f'[trust]\npublic_keys = ["{session_cli.state / "keys/signer.pub"}"]\n'
                      '[limits]\nbody_bytes_max = 2048\n')
    server = start_server(cli, {}, "-c", config)
    assert [model["name"] for model in server.ready["models"]] == ["small"]
    big = httpx.post(f"{server.url}/v2/models/small/infer", headers=server.headers, content=b" " * 4096,
                     timeout=10)
    assert big.status_code == 413


def test_port_in_use_is_a_clear_error(server, session_cli, signed_models, start_server):
    address = server.url.removeprefix("http://")
    with pytest.raises(ServerDidNotStart) as failed:
        start_server(session_cli, {"mlp": signed_models / "mlp"}, "--listen", address)
    assert failed.value.exit_code == 3
    assert "[config.listen]" in failed.value.stderr


def test_stops_in_order_and_says_so_in_the_log(cli, session_cli, signed_models, start_server):
    server = start_server(cli, {"mlp": signed_models / "mlp"}, "--public-key", session_cli.state / "keys/signer.pub")
    workers = server.workers()
    assert server.stop() == 0
    kinds = [event["type"] for event in cli.events("--limit", "200", "--oldest-first")]
    for kind in ("isolation.probed", "model.opened", "model.snapshot", "model.verified", "model.passed",
                 "model.loaded", "worker.started", "server.started", "server.stopped"):
        assert kind in kinds, kind
    assert kinds.index("model.verified") < kinds.index("model.passed") < kinds.index("model.loaded")
    for pid in workers.values():
        assert not os.path.exists(f"/proc/{pid}")
    assert cli.json("log", "verify")["status"] == "verified"


def test_nothing_survives_a_killed_supervisor(cli, session_cli, signed_models, start_server):
    server = start_server(cli, {"mlp": signed_models / "mlp"}, "--public-key", session_cli.state / "keys/signer.pub")
    pids = [*server.workers().values(), server.ready["gateway_pid"]]
    server.kill()
    deadline = time.monotonic() + 5
    while any(alive(pid) for pid in pids) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not any(alive(pid) for pid in pids)
    assert cli.json("log", "verify")["status"] == "verified"


def alive(pid):
    try:
        return open(f"/proc/{pid}/stat").read().split(")")[1].split()[0] != "Z"
    except FileNotFoundError:
        return False
