# SPDX-License-Identifier: Apache-2.0
"""The gateway between a supervisor and workers that stall, die, lie or speak nonsense: each request gets one
answer, in time, with the right code; nothing hangs and nothing is lost."""
import base64
import concurrent.futures
import json
import pathlib
import socket
import ssl
import struct
import subprocess
import sys
import time

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from gateway_harness import Harness  # noqa: E402
from raw_http import Connection, request  # noqa: E402

TENSOR = {"inputs": [{"name": "x", "shape": [1, 16], "datatype": "FP32", "data": [0.5] * 16}]}


def infer(server, timeout=20.0):
    return httpx.post(f"{server.url}/v2/models/mlp/infer", headers=server.headers, json=TENSOR, timeout=timeout)


def infer_bytes(server):
    return request("POST", "/v2/models/mlp/infer", server.api_key, json.dumps(TENSOR).encode())


def embed(server, timeout=20.0):
    return httpx.post(f"{server.url}/v1/embeddings", headers=server.headers, timeout=timeout,
                      json={"model": "minilm", "input": "hello"})


def code(answer):
    return answer.headers["x-mlxguard-code"]


@pytest.fixture
def pool():
    with concurrent.futures.ThreadPoolExecutor(32) as made:
        yield made


# ---- workers that die ----------------------------------------------------------------------------

def test_what_a_dead_worker_held_is_answered_at_once_and_what_waited_goes_to_the_next():
    with Harness("in_flight_max=2") as server:
        server.tell("slow mlp 60000")
        asked = [Connection(server.url).send(infer_bytes(server)) for _ in range(6)]
        assert embed(server).status_code == 200  # by then the requests are with the worker, or wait
        server.tell("die mlp worker.memory 2500")
        held = [connection.answer() for connection in asked[:2]]
        assert [answer.status for answer in held] == [503] * 2
        assert list(map(code, held)) == ["worker.died"] * 2
        assert {answer.headers["retry-after"] for answer in held} == {"3"}
        assert all("worker.memory" in answer.json()["error"] for answer in held)
        assert server.event("inference.failed", error="worker.died", status=503)["subject"] == "worker.memory"
        # While it is down nothing new is taken, and other models are as before.
        down = infer(server)
        assert (down.status_code, code(down), down.headers["retry-after"]) == (503, "worker.unavailable", "3")
        assert httpx.get(f"{server.url}/v2/models/mlp/ready", headers=server.headers).status_code == 503
        assert embed(server).status_code == 200
        # What had not begun is answered by the next worker.
        server.tell("slow mlp 0")
        server.tell("up mlp")
        assert [connection.answer().status for connection in asked[2:]] == [200] * 4
        assert infer(server).status_code == 200
        assert infer(server).headers.get("retry-after") is None


def test_what_cannot_reach_the_next_worker_in_its_time_is_answered_at_once():
    with Harness("in_flight_max=1", "request_timeout_ms=5000") as server:
        server.tell("slow mlp 60000")
        asked = [Connection(server.url).send(infer_bytes(server)) for _ in range(3)]
        assert embed(server).status_code == 200  # by then the requests are with the worker, or wait
        server.tell("die mlp worker.memory 30000")
        answers = [connection.answer() for connection in asked]
        assert list(map(code, answers)) == ["worker.died", "worker.unavailable", "worker.unavailable"]
        assert {answer.headers["retry-after"] for answer in answers} == {"30"}


def test_a_client_that_leaves_takes_its_waiting_request_with_it():
    with Harness("in_flight_max=1") as server:
        server.tell("slow mlp 3000")
        first = Connection(server.url).send(infer_bytes(server))
        assert embed(server).status_code == 200  # by then the first request is with the worker
        second = Connection(server.url).send(infer_bytes(server))
        assert embed(server).status_code == 200
        second.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        second.socket.close()
        server.event("inference.failed", error="client.gone", bytes_out=0, model="mlp")
        assert first.answer().status == 200
        assert len([e for e in server.events if e["kind"] == "inference.completed" and e["model"] == "mlp"]) == 1


def test_a_channel_that_closes_without_a_word_waits_for_the_reason_but_not_for_long(pool):
    with Harness() as server:
        server.tell("slow mlp 60000")
        asked = pool.submit(infer, server)
        time.sleep(0.3)
        server.tell("vanish mlp")
        early = infer(server)
        assert (early.status_code, code(early)) == (503, "worker.unavailable")
        answer = asked.result(timeout=60)
        assert (answer.status_code, code(answer)) == (503, "worker.died")


def test_a_model_down_of_an_older_worker_changes_nothing():
    with Harness() as server:
        server.tell("die mlp worker.crash 1000")
        server.tell("up mlp")
        assert infer(server).status_code == 200
        assert embed(server).status_code == 200


# ---- workers that are slow, or hang --------------------------------------------------------------

def test_a_request_past_its_deadline_is_answered_and_its_worker_reported(pool):
    with Harness("request_timeout_ms=1000") as server:
        server.tell("slow mlp 60000")
        answer = infer(server)
        assert (answer.status_code, code(answer)) == (504, "deadline.exceeded")
        server.wait_for(lambda: server.overdue, "a report of the worker")
        assert server.overdue == [{"overdue": "mlp", "generation": 1}]
        server.event("inference.failed", error="deadline.exceeded", status=504)


def test_a_worker_that_is_busy_but_answers_is_not_reported(pool):
    # Each takes 400 ms, four at once through one place: the last ones miss their deadline, the worker lives.
    with Harness("request_timeout_ms=1000", "in_flight_max=1") as server:
        server.tell("slow mlp 400")
        answers = [future.result() for future in [pool.submit(infer, server) for _ in range(6)]]
        statuses = sorted(answer.status_code for answer in answers)
        assert statuses[0] == 200 and statuses[-1] == 504
        time.sleep(1.5)
        assert server.overdue == []
        server.tell("slow mlp 0")
        assert infer(server).status_code == 200


def test_a_late_answer_goes_to_nobody(pool):
    with Harness("request_timeout_ms=1000") as server:
        server.tell("slow mlp 1500")
        assert infer(server).status_code == 504
        server.tell("slow mlp 0")
        time.sleep(1)
        assert infer(server).json()["outputs"][0]["data"] == [1.0] * 16


def test_a_full_queue_sheds():
    with Harness("queue_max=3", "in_flight_max=1") as server:
        server.tell("slow mlp 1000")
        asked = [Connection(server.url).send(infer_bytes(server)) for _ in range(4)]
        time.sleep(0.2)
        shed = infer(server)
        assert (shed.status_code, code(shed), shed.headers["retry-after"]) == (503, "overload.queue_full", "1")
        server.event("request.shed", error="overload.queue_full", model="mlp")
        # The queue is this model's own.
        assert embed(server).status_code == 200
        assert [connection.answer().status for connection in asked] == [200] * 4


# ---- workers that lie ----------------------------------------------------------------------------

@pytest.mark.parametrize("how, status, expected", [
    ("nan", 500, "engine.output_invalid"), ("shape", 500, "engine.output_invalid"), ("count", 500, "engine.output_invalid"),
    ("dtype", 500, "worker.protocol"), ("kind", 500, "worker.protocol"), ("nothing", 500, "worker.protocol"),
    ("fail:engine.run", 500, "engine.run"), ("fail:request.range", 400, "request.range"),
    ("fail:deadline.exceeded", 504, "deadline.exceeded"), ("fail:auth.invalid", 500, "worker.protocol"),
    ("fail:request.model_unknown", 500, "worker.protocol"), ("fail:overload.queue_full", 500, "worker.protocol"),
    ("fail:worker.died", 500, "worker.protocol"), ("fail:worker.unavailable", 500, "worker.protocol"),
])
def test_what_a_worker_answers_is_checked(how, status, expected):
    with Harness() as server:
        server.tell(f"evil mlp {how}")
        answer = infer(server)
        assert (answer.status_code, code(answer)) == (status, expected)
        assert "SECRET-PATH" not in answer.text
        server.event("inference.failed", model="mlp")
        assert server.overdue == []
        server.tell("evil mlp none")
        assert infer(server).status_code == 200


@pytest.mark.parametrize("how, expected", [("nan", "engine.output_invalid"), ("dimension", "engine.output_invalid"),
                                           ("count", "engine.output_invalid"), ("kind", "worker.protocol")])
def test_embeddings_are_checked(how, expected):
    with Harness() as server:
        server.tell(f"evil minilm {how}")
        answer = embed(server)
        assert (answer.status_code, code(answer)) == (500, expected)


@pytest.mark.parametrize("how", ["id", "garbage", "type", "fail:no.such.code"])
@pytest.mark.parametrize("ask, model", [(infer, "mlp"), (embed, "minilm")])
def test_a_worker_that_breaks_the_protocol_is_cut_off_and_reported(how, ask, model):
    with Harness() as server:
        server.tell(f"evil {model} {how}")
        answer = ask(server)
        assert (answer.status_code, code(answer)) == (503, "worker.died")
        server.wait_for(lambda: server.overdue, "a report of the worker")
        assert server.overdue[0]["overdue"] == model
        assert ask(server).status_code == 503
        server.tell(f"evil {model} none")
        server.tell(f"up {model}")
        assert ask(server).status_code == 200


def test_a_worker_that_answers_twice_is_cut_off():
    with Harness() as server:
        server.tell("evil mlp twice")
        assert infer(server).status_code == 200
        server.wait_for(lambda: server.overdue, "a report of the worker")
        assert infer(server).status_code == 503


def test_a_worker_with_a_nonsense_schema_is_reported_and_not_used():
    with Harness() as server:
        server.tell("die mlp worker.crash 1000")
        server.tell("evil mlp schema")
        server.tell("up mlp")
        server.wait_for(lambda: server.overdue, "a report of the worker")
        assert infer(server).status_code == 503


# ---- events --------------------------------------------------------------------------------------

def test_an_answer_waits_until_its_event_is_durable(pool):
    with Harness() as server:
        server.tell("stall")
        asked = pool.submit(infer, server)
        refused = pool.submit(httpx.get, f"{server.url}/v1/models")
        server.event("inference.completed")
        server.event("auth.failed")
        time.sleep(0.5)
        assert not asked.done() and not refused.done()
        server.tell("resume")
        assert asked.result(60).status_code == 200
        assert refused.result(60).status_code == 401


def test_an_answer_need_not_wait_when_told_so():
    with Harness("answer_after_event_durable=0") as server:
        server.tell("stall")
        assert infer(server).status_code == 200
        server.event("inference.completed")


def test_an_event_that_never_becomes_durable_is_an_error_not_an_answer():
    with Harness("request_timeout_ms=1000") as server:
        server.tell("stall")
        answer = infer(server)
        assert (answer.status_code, code(answer), answer.headers["retry-after"]) == (503, "log.write", "1")


def test_when_events_pile_up_requests_are_shed_and_no_event_is_lost():
    with Harness("answer_after_event_durable=0") as server:
        server.tell("stall")
        one = request("GET", "/nope", server.api_key)
        with Connection(server.url) as connection:
            codes = []
            for _ in range(50):
                connection.send(one * 100)
                codes += [connection.answer().code() for _ in range(100)]
        assert set(codes) == {"request.route_unknown", "log.write"}
        assert codes.count("request.route_unknown") == 4096
        assert httpx.get(f"{server.url}/healthz").status_code == 200
        server.tell("resume")
        assert httpx.get(f"{server.url}/nope", headers=server.headers).status_code == 404
        server.event("request.shed", error="log.write", count=5000 - 4096)
        sequences = [event["sequence"] for event in server.events]
        assert sequences == list(range(1, len(sequences) + 1))


# ---- the supervisor ------------------------------------------------------------------------------

def test_drain_finishes_what_is_held_and_takes_nothing_new():
    with Harness() as server:
        server.tell("slow mlp 3000")
        asked = Connection(server.url).send(infer_bytes(server))
        idle = Connection(server.url)
        assert embed(server).status_code == 200  # by then the request is with the worker
        server.tell("drain 5000")
        time.sleep(0.1)
        with pytest.raises((ConnectionError, httpx.HTTPError)):
            httpx.get(f"{server.url}/healthz", timeout=2)
        assert idle.closed()
        answer = asked.answer()
        assert answer.status == 200
        assert answer.headers["connection"] == "close"
        server.wait_for(lambda: server.exit_status is not None, "the gateway's end")
        assert server.exit_status == 0


def test_drain_does_not_wait_for_ever(pool):
    with Harness() as server:
        server.tell("slow mlp 60000")
        asked = pool.submit(infer, server)
        time.sleep(0.3)
        server.tell("drain 700")
        server.wait_for(lambda: server.exit_status is not None, "the gateway's end")
        assert server.exit_status == 0
        with pytest.raises(httpx.HTTPError):
            asked.result(60)


def test_the_gateway_ends_with_its_supervisor():
    server = Harness()
    server.process.kill()
    server.process.wait()
    gateway = pathlib.Path(f"/proc/{server.gateway_pid}/stat")
    end = time.monotonic() + 60
    while gateway.exists() and gateway.read_text().split()[2] != "Z":
        assert time.monotonic() < end, "the gateway outlives its supervisor"
        time.sleep(0.05)


# ---- TLS -----------------------------------------------------------------------------------------

@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
                    "-keyout", folder / "key.pem", "-out", folder / "cert.pem", "-subj", "/CN=localhost",
                    "-addext", "subjectAltName=IP:127.0.0.1"], check=True, capture_output=True)
    return folder / "cert.pem", folder / "key.pem"


@pytest.fixture
def encrypted(certificate):
    with Harness(f"tls={certificate[0]},{certificate[1]}", "header_timeout_ms=1000", "connections_max=20", scheme="https") as made:
        yield made


def test_tls(encrypted, certificate):
    with httpx.Client(verify=ssl.create_default_context(cafile=str(certificate[0]))) as client:
        for _ in range(3):
            answer = client.post(f"{encrypted.url}/v2/models/mlp/infer", headers=encrypted.headers, json=TENSOR)
            assert answer.status_code == 200
        big = client.post(f"{encrypted.url}/v1/embeddings", headers=encrypted.headers, content=b" " * 9_000_000)
        assert big.status_code == 413
        texts = client.post(f"{encrypted.url}/v1/embeddings", headers=encrypted.headers,
                            json={"model": "minilm", "input": ["x" * 1000] * 2000, "encoding_format": "base64"})
        first = struct.unpack("<8f", base64.b64decode(texts.json()["data"][0]["embedding"]))
        assert len(texts.json()["data"]) == 2000 and all(0 <= value <= 1 for value in first)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1])
def test_old_tls_is_refused(encrypted, version):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    context.minimum_version = version
    context.maximum_version = version
    with Connection(encrypted.url) as connection, pytest.raises((ssl.SSLError, ConnectionError)):
        context.wrap_socket(connection.socket).recv(1)


def test_plain_http_and_silence_on_a_tls_port_end(encrypted, certificate):
    with Connection(encrypted.url) as connection:
        connection.send(b"GET /healthz HTTP/1.1\r\nHost: h\r\n\r\n")
        assert b"200" not in connection.socket.recv(1000)
    with Connection(encrypted.url) as connection:
        assert connection.closed()
    idle = [Connection(encrypted.url) for _ in range(19)]
    verify = ssl.create_default_context(cafile=str(certificate[0]))
    assert httpx.get(f"{encrypted.url}/healthz", verify=verify).status_code == 200
    for connection in idle:
        connection.socket.close()


def test_a_certificate_that_is_not_the_keys_stops_the_start(certificate, tmp_path):
    other = tmp_path / "other.pem"
    subprocess.run(["openssl", "genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:P-256", "-out", other],
                   check=True, capture_output=True)
    with pytest.raises(AssertionError, match="before it was ready"):
        Harness(f"tls={certificate[0]},{other}")
