# SPDX-License-Identifier: Apache-2.0
"""A streamed answer through the real, locked gateway to real HTTP clients: tokens while the worker still runs, a
cancel when the client leaves, a client that does not read. The task is the counting one of src/task/test_counting.h."""
import json
import pathlib
import socket
import struct
import sys
import time

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from gateway_harness import Harness  # noqa: E402
from raw_http import Connection, request  # noqa: E402

PATH = "/v1/test/counting"


@pytest.fixture
def server():
    with Harness(gateway="tests/streaming_gateway") as made:
        yield made


def body(count, **more):
    return {"model": "counter", "count": count, **more}


def stream(server, count, **more):
    return httpx.stream("POST", f"{server.url}{PATH}", headers=server.headers, json=body(count, **more), timeout=20)


def counting_bytes(server, count, **more):
    return request("POST", PATH, server.api_key, json.dumps(body(count, **more)).encode())


def run_on(server, settled=0.3):
    """Waits until the worker takes no more steps; how many it has taken."""
    before, end = -1, time.monotonic() + 20
    while (steps := server.runs()[0]) != before:
        assert time.monotonic() < end, "the worker does not stop"
        before = steps
        time.sleep(settled)
    return steps


def test_tokens_arrive_while_the_worker_still_runs(server):
    server.tell("slow counter 20")
    with stream(server, 30) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"] == "text/event-stream"
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == "data: 1"
        steps, alive = server.runs()
        assert alive == 1 and steps < 30
        assert list(lines) == [f"data: {n}" for n in range(2, 31)] + ["data: [DONE]"]
    assert server.runs() == (30, 0)
    done = server.event("inference.completed", model="counter", tokens=30, status=200)
    started = server.event("inference.started", model="counter")
    assert started["request"] == done["request"] == answer.headers["x-request-id"]
    assert started["sequence"] < done["sequence"]
    assert done["bytes_out"] == len("".join(f"data: {n}\n\n" for n in [*range(1, 31), "[DONE]"]))


@pytest.mark.parametrize("how", ["reset", "close"])
def test_a_client_that_leaves_stops_the_worker(server, how):
    server.tell("slow counter 20")
    connection = Connection(server.url)
    connection.send(counting_bytes(server, 100_000))
    received = b""
    while b"data: 1" not in received:
        more = connection.socket.recv(1000)
        assert more
        received += more
    if how == "reset":
        connection.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    connection.socket.close()
    gone = server.event("inference.failed", error="client.gone", model="counter")
    assert gone["bytes_out"] > 0
    steps, alive = server.runs()
    assert alive == 0
    assert run_on(server) == steps


def test_a_client_that_does_not_read_stops_its_own_call_and_no_other(server):
    connection = Connection(server.url)
    connection.send(counting_bytes(server, 100_000, part_bytes=60_000))
    assert b"200" in connection.socket.recv(100)
    stopped = run_on(server)
    assert stopped < 1000
    assert server.runs()[1] == 1
    with stream(server, 5) as other:
        assert other.read().endswith(b"data: 5\n\ndata: [DONE]\n\n")
    assert server.runs()[0] == stopped + 5
    # It reads again, and its call goes on.
    while server.runs()[0] <= stopped + 20:
        for _ in range(100):
            assert connection.socket.recv(1 << 20)
    connection.socket.close()


def test_a_stream_that_fails_ends_in_its_own_form_without_the_workers_words(server):
    with stream(server, 9, fail_at=4) as answer:
        text = answer.read().decode()
    assert text.startswith("data: 1\n\ndata: 2\n\ndata: 3\n\ndata: {")
    assert json.loads(text.split("data: ")[4])["error"]["code"] == "engine.run"
    assert "SECRET" not in text and "[DONE]" not in text
    assert "SECRET" in server.event("inference.failed", error="engine.run")["message"]


def test_a_worker_that_dies_in_a_stream_ends_it(server):
    server.tell("slow counter 20")
    with stream(server, 100_000) as answer:
        lines = (line for line in answer.iter_lines() if line)
        assert next(lines) == "data: 1"
        server.tell("die counter worker.memory 1000")
        assert json.loads(list(lines)[-1].removeprefix("data: "))["error"]["code"] == "worker.died"
    server.event("inference.failed", error="worker.died", model="counter")


def test_many_streams_at_once(server):
    connections = [Connection(server.url).send(counting_bytes(server, 20)) for _ in range(20)]
    for connection in connections:
        received = b""
        while b"[DONE]" not in received:
            more = connection.socket.recv(65536)
            assert more
            received += more
        assert b"data: 20\n\n" in received
    assert server.runs() == (400, 0)
