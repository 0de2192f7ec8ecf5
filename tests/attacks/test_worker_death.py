# SPDX-License-Identifier: Apache-2.0
"""A worker that dies, however it dies: its requests are answered 503, the log has its verdict, and it is back."""
import concurrent.futures
import os
import signal
import time

import httpx
import pytest

BACK_SECONDS = 60


@pytest.fixture
def victim(cli, session_cli, signed_models, start_server):
    models = {name: signed_models / name for name in ("mlp", "hog")}
    return start_server(cli, models, "--public-key", session_cli.state / "keys/signer.pub")


def infer(server, model="mlp", data=None, shape=None, timeout=30):
    body = server.infer_body(model, data, shape)
    return httpx.post(f"{server.url}/v2/models/{model}/infer", headers=server.headers, json=body, timeout=timeout)


def worker_pid(server, model):
    for event in server.cli.events("--type", "model.passed", "--model", model, "--limit", "1"):
        return event["record"]["unmapped"]["pid"]
    return server.workers()[model]


def wait_ready(server, model, seconds=BACK_SECONDS):
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if httpx.get(f"{server.url}/v2/models/{model}/ready", headers=server.headers).status_code == 200:
            return
        time.sleep(0.01)
    raise AssertionError(f"{model} was not back within {seconds} s")


@pytest.mark.parametrize("number, code", [
    (signal.SIGKILL, "worker.killed"),
    (signal.SIGSEGV, "worker.crash"),
    (signal.SIGABRT, "worker.crash"),
])
def test_killed_worker_is_judged_logged_and_back(victim, number, code):
    assert infer(victim).status_code == 200
    os.kill(worker_pid(victim, "mlp"), number)
    time.sleep(0.02)
    wait_ready(victim, "mlp")
    assert infer(victim).status_code == 200
    died = victim.cli.events("--type", "worker.died", "--model", "mlp")[0]
    assert died["code"] == code
    assert victim.cli.events("--type", "worker.restarted", "--model", "mlp")


def test_memory_limit_kills_answers_and_restarts(victim):
    answer = infer(victim, "hog", shape=[32768])
    assert answer.status_code == 503
    assert "Retry-After" in answer.headers
    wait_ready(victim, "hog")
    died = victim.cli.events("--type", "worker.died", "--model", "hog")[0]
    expected = "worker.memory" if victim.ready["isolation"] == "full" else "worker.crash"
    assert died["code"] == expected
    assert infer(victim, "mlp").status_code == 200


def test_requests_held_by_a_dying_worker_are_answered_503(victim):
    statuses = []
    with concurrent.futures.ThreadPoolExecutor(8) as pool:
        stop = time.monotonic() + 3

        def client():
            while time.monotonic() < stop:
                statuses.append(infer(victim).status_code)

        clients = [pool.submit(client) for _ in range(8)]
        for _ in range(4):
            time.sleep(0.6)
            try:
                os.kill(worker_pid(victim, "mlp"), signal.SIGKILL)
            except ProcessLookupError:
                pass
        for running in clients:
            running.result()
    assert set(statuses) == {200, 503}
    wait_ready(victim, "mlp")
    assert infer(victim).status_code == 200


def test_every_answered_request_has_its_event_after_a_supervisor_kill(cli, session_cli, signed_models, start_server):
    for _ in range(3):
        before = len(cli.events("--type", "inference.completed", "--limit", "100000"))
        server = start_server(cli, {"mlp": signed_models / "mlp"}, "--listen", "127.0.0.1:0",
                              "--allow-anonymous", "--public-key", session_cli.state / "keys/signer.pub")
        answered = 0
        with httpx.Client() as client:
            spec = client.get(f"{server.url}/v2/models/mlp").json()["inputs"][0]
            body = {"inputs": [{"name": spec["name"], "shape": spec["shape"], "datatype": spec["datatype"],
                                "data": [0.5] * (spec["shape"][0] * spec["shape"][1])}]}
            stop = time.monotonic() + 0.7
            with concurrent.futures.ThreadPoolExecutor(1) as killer:
                killer.submit(lambda: (time.sleep(0.5), server.process.kill()))
                while time.monotonic() < stop:
                    try:
                        answered += client.post(f"{server.url}/v2/models/mlp/infer", json=body).status_code == 200
                    except httpx.HTTPError:
                        break
        after = len(cli.events("--type", "inference.completed", "--limit", "100000"))
        assert answered > 0
        assert after - before >= answered
        assert cli.json("log", "verify")["status"] == "verified"
