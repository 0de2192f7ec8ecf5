# SPDX-License-Identifier: Apache-2.0
"""Odd, invalid and hostile requests. The bar: no 500, no wrong 200, every error in its protocol's form with
its exact code, nothing of the request repeated in it, and the server answers the next one."""
import json
import pathlib
import struct
import sys
import time

import httpx
import pytest

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "support"))

from gateway_harness import Harness  # noqa: E402
from raw_http import Connection, request  # noqa: E402

SECRET = "xSECRETx"


@pytest.fixture(scope="module")
def function(server):
    """The function model's one input: name, and a shape with one row."""
    metadata = httpx.get(f"{server.url}/v2/models/{server.function_model}", headers=server.headers).json()
    spec = metadata["inputs"][0]
    columns = spec["shape"][-1]
    assert spec["datatype"] == "FP32" and len(spec["shape"]) == 2 and spec["shape"][0] == -1
    return {"name": spec["name"], "columns": columns, "output": metadata["outputs"][0]["name"]}


def infer_path(server):
    return f"/v2/models/{server.function_model}/infer"


def ask(server, path, body: bytes, *extra, key=True):
    with Connection(server.url) as connection:
        return connection.send(request("POST", path, server.api_key if key else None, body, *extra)).answer()


def check_refused(answer, status, code):
    assert (answer.status, answer.code()) == (status, code), answer.body
    assert SECRET.encode() not in answer.body
    error = answer.json()
    if isinstance(error["error"], dict):
        assert set(error) == {"error"}
        assert set(error["error"]) == {"message", "type", "param", "code"}
    else:
        assert set(error) == {"error"}
    assert answer.headers["content-type"] == "application/json"


def still_serves(server):
    assert ask(server, "/v1/embeddings", embed_body(server)).status == 200


def embed_body(server, **members):
    return json.dumps({"model": server.embedding_model, "input": "hello"} | members).encode()


def infer_body(function, data="DEFAULT", shape=None, datatype="FP32", **more):
    columns = function["columns"]
    text = json.dumps({"inputs": [{"name": function["name"], "shape": [1, columns] if shape is None else shape, "datatype": datatype,
                                   "data": "DATA"} | more]})
    data = json.dumps([0.5] * columns) if data == "DEFAULT" else data
    return text.replace('"DATA"', data).encode()


# ---- what is not JSON, and JSON that is a trap ---------------------------------------------------

NOT_JSON = [
    ("empty", b"", 400, "json.syntax"),
    ("cut short", b'{"model": "m"', 400, "json.syntax"),
    ("two documents", b"{}{}", 400, "json.syntax"),
    ("trailing comma", b'{"model": "m",}', 400, "json.syntax"),
    ("single quotes", b"{'model': 'm'}", 400, "json.syntax"),
    ("comment", b'{"model": "m" /* x */}', 400, "json.syntax"),
    ("byte order mark", b"\xef\xbb\xbf{}", 400, "json.syntax"),
    ("UTF-16", '{"model": "m"}'.encode("utf-16"), 400, None),
    ("invalid UTF-8", b'{"model": "\xff"}', 400, "utf8.invalid"),
    ("overlong UTF-8", b'{"model": "\xc0\xaf"}', 400, "utf8.invalid"),
    ("lone surrogate", b'{"model": "\\ud800"}', 400, "json.syntax"),
    ("duplicate key", b'{"model": "a", "model": "xSECRETx"}', 400, "json.duplicate_key"),
    ("duplicate key by escape", b'{"model": "a", "\\u006dodel": "b"}', 400, "json.duplicate_key"),
    ("deep arrays", b'{"model": ' + b"[" * 500 + b"]" * 500 + b"}", 400, "json.depth"),
    ("very deep arrays", b'{"model": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400, "json.depth"),
    ("deep objects", b'{"a":' * 500 + b"1" + b"}" * 500, 400, "json.depth"),
    ("an array", b"[]", 400, "request.syntax"),
    ("a string", b'"xSECRETx"', 400, "request.syntax"),
    ("null", b"null", 400, "request.syntax"),
    ("NaN", b'{"model": NaN}', 400, "json.syntax"),
    ("Infinity", b'{"model": -Infinity}', 400, "json.syntax"),
    ("number beyond double", b'{"model": 1e999}', 400, "json.syntax"),
    ("thirty digits", b'{"model": 123456789012345678901234567890}', 400, "json.syntax"),
    ("hexadecimal", b'{"model": 0x10}', 400, "json.syntax"),
    ("nul byte", b'{"model": "a"}\0', 400, "json.syntax"),
    ("control character in a string", b'{"model": "a\nb"}', 400, "json.syntax"),
]


@pytest.mark.parametrize("name, body, status, code", NOT_JSON, ids=[case[0] for case in NOT_JSON])
def test_what_is_not_json(server, name, body, status, code):
    for path in ("/v1/embeddings", infer_path(server)):
        answer = ask(server, path, body)
        check_refused(answer, status, code or answer.code())
    still_serves(server)


# ---- embeddings ----------------------------------------------------------------------------------

EMBEDDINGS = [
    ("no model", {"input": "a"}, 400, "request.missing"),
    ("model is a number", {"model": 7, "input": "a"}, 400, "request.type"),
    ("model is null", {"model": None, "input": "a"}, 400, "request.type"),
    ("unknown model", {"model": SECRET, "input": "a"}, 404, "request.model_unknown"),
    ("model is a path", {"model": "../../etc/passwd", "input": "a"}, 404, "request.model_unknown"),
    ("endless model name", {"model": "m" * 100_000, "input": "a"}, 404, "request.model_unknown"),
    ("no input", {"model": "E"}, 400, "request.missing"),
    ("input is null", {"model": "E", "input": None}, 400, "request.type"),
    ("input is a number", {"model": "E", "input": 7}, 400, "request.type"),
    ("input is an object", {"model": "E", "input": {"text": SECRET}}, 400, "request.type"),
    ("input holds null", {"model": "E", "input": ["a", None]}, 400, "request.type"),
    ("tokens", {"model": "E", "input": [1, 2, 3]}, 400, "request.type"),
    ("token lists", {"model": "E", "input": [[1, 2], [3]]}, 400, "request.type"),
    ("huge token", {"model": "E", "input": [[2**31]]}, 400, "request.type"),
    ("no texts", {"model": "E", "input": []}, 400, "request.count"),
    ("empty text", {"model": "E", "input": ""}, 400, "request.text"),
    ("empty text among others", {"model": "E", "input": ["a", ""]}, 400, "request.text"),
    ("nul in a text", {"model": "E", "input": "a\0b"}, 400, "request.text"),
    ("terminal escape", {"model": "E", "input": "\x1b[31m" + SECRET}, 400, "request.text"),
    ("C1 control", {"model": "E", "input": "\x9b31m"}, 400, "request.text"),
    ("delete character", {"model": "E", "input": "\x7f"}, 400, "request.text"),
    ("too many texts", {"model": "E", "input": ["a"] * 2049}, 413, "request.too_large"),
    ("text too long", {"model": "E", "input": "a" * ((1 << 20) + 1)}, 413, "request.too_large"),
    ("unknown member", {"model": "E", "input": "a", SECRET: 1}, 400, "request.unknown"),
    ("prototype", {"model": "E", "input": "a", "__proto__": {}}, 400, "request.unknown"),
    ("unknown encoding", {"model": "E", "input": "a", "encoding_format": SECRET}, 400, "request.range"),
    ("wrong dimensions", {"model": "E", "input": "a", "dimensions": 7}, 400, "request.range"),
    ("negative dimensions", {"model": "E", "input": "a", "dimensions": -1}, 400, "request.range"),
    ("huge dimensions", {"model": "E", "input": "a", "dimensions": 2**63}, 400, "request.type"),
    ("fractional dimensions", {"model": "E", "input": "a", "dimensions": 384.5}, 400, "request.type"),
    ("user is a list", {"model": "E", "input": "a", "user": []}, 400, "request.type"),
    ("a function's name", {"model": "F", "input": "a"}, 400, "request.unknown"),
]


@pytest.mark.parametrize("name, body, status, code", EMBEDDINGS, ids=[case[0] for case in EMBEDDINGS])
def test_embeddings(server, name, body, status, code):
    names = {"E": server.embedding_model, "F": server.function_model}
    if body.get("model") in ("E", "F"):
        body = body | {"model": names[body["model"]]}
    check_refused(ask(server, "/v1/embeddings", json.dumps(body).encode()), status, code)
    still_serves(server)


# ---- tensors -------------------------------------------------------------------------------------

def ones(n):
    return json.dumps([0.5] * n)


TENSORS = [
    ("one element short", lambda c: dict(data=ones(c - 1)), 400, "request.count"),
    ("one element more", lambda c: dict(data=ones(c + 1)), 400, "request.count"),
    ("no elements", lambda c: dict(data="[]"), 400, "request.count"),
    ("shape and data agree, schema does not", lambda c: dict(shape=[1, c + 1], data=ones(c + 1)), 400, "request.shape"),
    ("another rank", lambda c: dict(shape=[c]), 400, "request.shape"),
    ("no rank", lambda c: dict(shape=[], data="[1]"), 400, "request.shape"),
    ("no rank, many elements", lambda c: dict(shape=[]), 400, "request.count"),
    ("rank nine", lambda c: dict(shape=[1] * 8 + [c]), 400, "request.shape"),
    ("negative", lambda c: dict(shape=[-1, c]), 400, "request.shape"),
    ("two negatives", lambda c: dict(shape=[-1, -c]), 400, "request.shape"),
    ("no rows", lambda c: dict(shape=[0, c], data="[]"), 400, "request.shape"),
    ("product wraps to zero", lambda c: dict(shape=[2**32, 2**32], data="[]"), 400, "request.shape"),
    ("product wraps to the count", lambda c: dict(shape=[2**31 - 1, 2**31 - 1, c]), 400, "request.shape"),
    ("extent beyond 64 bits", lambda c: dict(shape=[2**64 - 1, c]), 400, "request.shape"),
    ("claims terabytes", lambda c: dict(shape=[2**31 - 1, c]), 400, "request.count"),
    ("fractional extent", lambda c: dict(shape=[1.0, c]), 400, "request.type"),
    ("extent as text", lambda c: dict(shape=["1", c]), 400, "request.type"),
    ("shape is a number", lambda c: dict(shape=c), 400, "request.type"),
    ("another type", lambda c: dict(datatype="FP64"), 400, "request.type"),
    ("integer type", lambda c: dict(datatype="INT32"), 400, "request.type"),
    ("bytes", lambda c: dict(datatype="BYTES"), 400, "request.type"),
    ("unknown type", lambda c: dict(datatype=SECRET), 400, "request.type"),
    ("type is a number", lambda c: dict(datatype=32), 400, "request.type"),
    ("null in data", lambda c: dict(data=ones(c).replace("0.5", "null", 1)), 400, "request.type"),
    ("text in data", lambda c: dict(data=ones(c).replace("0.5", '"xSECRETx"', 1)), 400, "request.type"),
    ("boolean in data", lambda c: dict(data=ones(c).replace("0.5", "true", 1)), 400, "request.type"),
    ("object in data", lambda c: dict(data=ones(c).replace("0.5", "{}", 1)), 400, "request.type"),
    ("NaN in data", lambda c: dict(data=ones(c).replace("0.5", "NaN", 1)), 400, "json.syntax"),
    ("Infinity in data", lambda c: dict(data=ones(c).replace("0.5", "Infinity", 1)), 400, "json.syntax"),
    ("1e999 in data", lambda c: dict(data=ones(c).replace("0.5", "1e999", 1)), 400, "json.syntax"),
    ("beyond FP32", lambda c: dict(data=ones(c).replace("0.5", "1e39", 1)), 400, "request.range"),
    ("data is text", lambda c: dict(data='"0.5"'), 400, "request.type"),
    ("data is a number", lambda c: dict(data="0.5"), 400, "request.type"),
    ("ragged", lambda c: dict(data="[[" + ",".join(["1"] * (c - 1)) + "],[1]]"), 400, "request.count"),
    ("nested too deep", lambda c: dict(data="[[" + ones(c) + "]]"), 400, "request.count"),
    ("nested element", lambda c: dict(data=ones(c).replace("0.5", "[0.5]", 1)), 400, None),
    ("deep nesting", lambda c: dict(data="[" * 200 + "]" * 200), 400, "json.depth"),
    ("unknown member", lambda c: {SECRET: 1}, 400, "request.unknown"),
    ("binary tensor", lambda c: dict(parameters={"binary_data_size": 64}), 400, "request.unknown"),
    ("unknown parameter", lambda c: dict(parameters={SECRET: 1}), 400, "request.unknown"),
    ("shared memory", lambda c: dict(parameters={"shared_memory_region": "/dev/shm/x"}), 400, "request.unknown"),
    ("unknown name", lambda c: dict(name=SECRET), 400, "request.unknown"),
    ("name is null", lambda c: dict(name=None), 400, "request.type"),
]


@pytest.mark.parametrize("name, change, status, code", TENSORS, ids=[case[0] for case in TENSORS])
def test_tensors(server, function, name, change, status, code):
    answer = ask(server, infer_path(server), infer_body(function, **change(function["columns"])))
    check_refused(answer, status, code or answer.code())
    assert ask(server, infer_path(server), infer_body(function)).status == 200


def test_envelopes_of_tensors(server, function):
    name, columns = function["name"], function["columns"]
    tensor = {"name": name, "shape": [1, columns], "datatype": "FP32", "data": [0.5] * columns}
    for body, code in [
        ({}, "request.missing"),
        ({"inputs": None}, "request.type"),
        ({"inputs": []}, "request.missing"),
        ({"inputs": [7]}, "request.type"),
        ({"inputs": [tensor, tensor]}, "request.unknown"),
        ({"inputs": [tensor], "outputs": [{"name": SECRET}]}, "request.unknown"),
        ({"inputs": [tensor], "outputs": [{"name": function["output"]}] * 2}, "request.unknown"),
        ({"inputs": [tensor], "outputs": {}}, "request.type"),
        ({"inputs": [tensor], "id": 7}, "request.type"),
        ({"inputs": [tensor], "parameters": {"timeout": -1}}, "request.unknown"),
        ({"inputs": [tensor], "model_name": "other"}, "request.unknown"),
        ({"inputs": [{k: v for k, v in tensor.items() if k != "data"}]}, "request.missing"),
        ({"inputs": [{k: v for k, v in tensor.items() if k != "shape"}]}, "request.missing"),
    ]:
        check_refused(ask(server, infer_path(server), json.dumps(body).encode()), 400, code)
    check_refused(ask(server, infer_path(server), json.dumps({"inputs": [tensor], "id": "i" * 300}).encode()),
                  413, "request.too_large")
    echoed = ask(server, infer_path(server), json.dumps({"inputs": [tensor], "id": 'a"\\\n<b>'}).encode())
    assert echoed.json()["id"] == 'a"\\\n<b>'


def test_binary_tensor_header_is_refused(server, function):
    header = infer_body(function, parameters={"binary_data_size": 4})
    answer = ask(server, infer_path(server), header + struct.pack("<f", 1.0),
                 f"Inference-Header-Content-Length: {len(header)}", "Content-Type: application/octet-stream")
    check_refused(answer, 415, "request.media_type")


# ---- routes, methods, media types, keys ----------------------------------------------------------

@pytest.mark.parametrize("path", ["/", "//", "/v1", "/v1/embeddings/", "/v2/models", "/etc/passwd", "/v1/../v1/models",
                                  "/v1/models/%2e%2e%2f%00", "/v2/models/%ff/ready", "/%", "/v1/embeddings%00",
                                  "/v1/chat/completions", "/v2/repository/index", "/metrics", "/v2/models/" + "m" * 5000])
def test_unknown_paths(server, path):
    with Connection(server.url) as connection:
        answer = connection.send(request("GET", path, server.api_key)).answer()
    assert answer.status == 404
    check_refused(answer, 404, answer.code())
    assert answer.code() in ("request.route_unknown", "request.model_unknown")
    with Connection(server.url) as connection:
        check_refused(connection.send(request("GET", path, None)).answer(), 401, "auth.missing")


@pytest.mark.parametrize("target", ["http://other/v1/models", "*", "v1/models", "localhost:443"])
def test_targets_of_other_forms(server, target):
    with Connection(server.url) as connection:
        answer = connection.send(request("GET", target, server.api_key)).answer()
    assert (answer.status, answer.code()) in ((404, "request.route_unknown"), (400, "request.syntax"))


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "PUT", "DELETE", "PATCH", "TRACE", "CONNECT", "GETS", "get", "PROPFIND"])
def test_methods(server, method):
    with Connection(server.url) as connection:
        connection.send(request(method, "/v1/models", server.api_key))
        if method == "HEAD":
            while b"\r\n\r\n" not in connection.unread:
                assert connection._more()
            assert connection.unread.startswith(b"HTTP/1.1 405 ") and connection.unread.endswith(b"\r\n\r\n")
            assert b"Allow: GET\r\n" in connection.unread
            return
        answer = connection.answer()
    check_refused(answer, 405, "request.method")
    assert answer.headers["allow"] == "GET"


@pytest.mark.parametrize("media", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonx",
                                   "application/octet-stream", "text/json", "", "application/json-patch+json"])
def test_media_types(server, media):
    check_refused(ask(server, "/v1/embeddings", embed_body(server), f"Content-Type: {media}"), 415, "request.media_type")
    assert ask(server, "/v1/embeddings", embed_body(server), "Content-Type: Application/JSON; charset=utf-8").status == 200


def test_no_media_type_is_taken_from_inference_clients_but_not_from_browsers(server, function):
    body = infer_body(function)
    head = [f"POST {infer_path(server)} HTTP/1.1", "Host: h", f"Authorization: Bearer {server.api_key}",
            f"Content-Length: {len(body)}"]
    for extra, status in ([], 200), (["Origin: https://evil.example"], 415):
        with Connection(server.url) as connection:
            connection.send("\r\n".join(head + extra).encode() + b"\r\n\r\n" + body)
            assert connection.answer().status == status


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "identity", "gzip, gzip"])
def test_encoded_bodies(server, encoding):
    answer = ask(server, "/v1/embeddings", b"\x1f\x8b" + b"\0" * 100, f"Content-Encoding: {encoding}")
    check_refused(answer, 415, "request.media_type")


@pytest.mark.parametrize("header", [None, "Authorization: Bearer", "Authorization: Bearer xSECRETx", "Authorization: Basic QTpC",
                                    "x-api-key: xSECRETx", "Authorization: Bearer " + "k" * 8000])
def test_keys(server, header):
    lines = [header] if header else []
    for method, path in ("POST", "/v1/embeddings"), ("GET", "/v1/models"), ("GET", "/v2"), ("POST", infer_path(server)):
        body = embed_body(server) if method == "POST" else None
        with Connection(server.url) as connection:
            answer = connection.send(request(method, path, None, body, *lines)).answer()
        check_refused(answer, 401, "auth.missing" if header is None else "auth.invalid")
        assert answer.headers["www-authenticate"].startswith("Bearer")


# ---- HTTP itself ---------------------------------------------------------------------------------

def smuggled(server, extra: bytes, body: bytes):
    """Sends a request, then one more that must not be answered. Returns the answers."""
    with Connection(server.url, timeout=5) as connection:
        connection.send(b"POST /v1/embeddings HTTP/1.1\r\nHost: h\r\nContent-Type: application/json\r\nAuthorization: Bearer "
                        + server.api_key.encode() + b"\r\n" + extra + b"\r\n" + body
                        + request("GET", "/v1/models", server.api_key))
        answers = [connection.answer()]
        try:
            while True:
                answers.append(connection.answer())
        except (EOFError, ConnectionResetError):
            return answers


SMUGGLING = [
    ("both", b"Content-Length: 4\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ("both, other order", b"Transfer-Encoding: chunked\r\nContent-Length: 4\r\n", b"0\r\n\r\n"),
    ("two lengths", b"Content-Length: 0\r\nContent-Length: 5\r\n", b"hello"),
    ("equal lengths", b"Content-Length: 5\r\nContent-Length: 5\r\n", b"hello"),
    ("list of lengths", b"Content-Length: 5, 5\r\n", b"hello"),
    ("negative length", b"Content-Length: -5\r\n", b""),
    ("signed length", b"Content-Length: +5\r\n", b"hello"),
    ("hexadecimal length", b"Content-Length: 0x5\r\n", b"hello"),
    ("length beyond 64 bits", b"Content-Length: 18446744073709551616\r\n", b""),
    ("space before colon", b"Content-Length : 5\r\n", b"hello"),
    ("identity", b"Transfer-Encoding: identity\r\n", b""),
    ("gzip, chunked", b"Transfer-Encoding: gzip, chunked\r\n", b"0\r\n\r\n"),
    ("chunked twice", b"Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n", b"0\r\n\r\n"),
    ("xchunked", b"Transfer-Encoding: xchunked\r\n", b"0\r\n\r\n"),
    ("vertical tab", b"Transfer-Encoding:\x0bchunked\r\n", b"0\r\n\r\n"),
    ("nul in a value", b"X: a\0b\r\nContent-Length: 2\r\n", b"{}"),
    ("two hosts", b"Host: other\r\nContent-Length: 2\r\n", b"{}"),
    ("two keys", b"Authorization: Bearer other\r\nContent-Length: 2\r\n", b"{}"),
    ("chunk extension", b"Transfer-Encoding: chunked\r\n", b"2;a=b\r\n{}\r\n0\r\n\r\n"),
    ("trailers", b"Transfer-Encoding: chunked\r\n", b"2\r\n{}\r\n0\r\nContent-Length: 5\r\n\r\n"),
    ("negative chunk", b"Transfer-Encoding: chunked\r\n", b"-2\r\n{}\r\n0\r\n\r\n"),
    ("chunk longer than it says", b"Transfer-Encoding: chunked\r\n", b"2\r\n{}}}}}}\r\n0\r\n\r\n"),
    ("endless chunk size", b"Transfer-Encoding: chunked\r\n", b"0" * 1000),
    ("chunk size beyond 64 bits", b"Transfer-Encoding: chunked\r\n", b"fffffffffffffffff\r\n"),
]


@pytest.mark.parametrize("name, extra, body", SMUGGLING, ids=[case[0] for case in SMUGGLING])
def test_smuggling_is_one_refusal_and_the_end(server, name, extra, body):
    answers = smuggled(server, extra, body)
    assert len(answers) == 1
    check_refused(answers[0], 400, "request.syntax")
    assert answers[0].headers["connection"] == "close"
    still_serves(server)


@pytest.mark.parametrize("data", [b"\x16\x03\x01\x02\0\x01\0\x01\xfc\x03\x03" + b"\0" * 500 + b"\r\n\r\n", b"\0" * 100, b"GET\r\n\r\n",
                                  b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", b"GET / HTTP/3.0\r\n\r\n", b"SSH-2.0-x\r\n\r\n",
                                  b"GET /v1/models HTTP/1.1\r\n\r\n", b"GET /\xff HTTP/9\r\n\r\n"],
                         ids=lambda data: repr(data[:12]))
def test_what_is_not_http(server, data):
    with Connection(server.url) as connection:
        check_refused(connection.send(data).answer(), 400, "request.syntax")
        assert connection.closed()
    still_serves(server)


def test_a_body_without_length(server):
    with Connection(server.url) as connection:
        answer = connection.send(request("POST", "/v1/embeddings", server.api_key, None, "Content-Type: application/json")).answer()
    check_refused(answer, 411, "request.length_required")


def test_a_body_too_large_is_refused_before_it_is_sent(server):
    with Connection(server.url) as connection:
        answer = connection.send(request("POST", "/v1/embeddings", server.api_key, b"", "Content-Length: 99999999999")).answer()
    check_refused(answer, 413, "request.too_large")


def test_headers_too_large(server):
    for extra in ["X: " + "x" * 20_000], [f"X-{i}: y" for i in range(3000)]:
        with Connection(server.url) as connection:
            check_refused(connection.send(request("GET", "/v1/models", server.api_key, None, *extra)).answer(),
                          431, "request.headers_too_large")


def test_pipelined_requests_are_answered_in_order(server):
    with Connection(server.url) as connection:
        connection.send(request("GET", "/v1/models", server.api_key) + request("GET", "/nope", server.api_key)
                        + request("POST", "/v1/embeddings", server.api_key, embed_body(server))
                        + request("GET", "/healthz", None))
        assert [connection.answer().status for _ in range(4)] == [200, 404, 200, 200]


def test_chunked_bodies_are_taken(server):
    body = embed_body(server)
    half = len(body) // 2
    chunked = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in (body[:half], body[half:])) + b"0\r\n\r\n"
    with Connection(server.url) as connection:
        for _ in range(2):
            connection.send(request("POST", "/v1/embeddings", server.api_key, chunked, "Transfer-Encoding: chunked"))
            assert connection.answer().status == 200


def test_expect_continue(server):
    body = embed_body(server)
    with Connection(server.url) as connection:
        connection.send(request("POST", "/v1/embeddings", server.api_key, b"", f"Content-Length: {len(body)}", "Expect: 100-continue"))
        assert connection.socket.recv(1000) == b"HTTP/1.1 100 Continue\r\n\r\n"
        assert connection.send(body).answer().status == 200


def test_a_byte_at_a_time(server):
    data = request("POST", "/v1/embeddings", server.api_key, embed_body(server))
    with Connection(server.url) as connection:
        for at in range(len(data)):
            connection.send(data[at:at + 1])
        assert connection.answer().status == 200


def test_old_http_is_answered_and_closed(server):
    with Connection(server.url) as connection:
        connection.send(b"GET /healthz HTTP/1.0\r\n\r\n")
        assert connection.answer().status == 200
        assert connection.closed()


def test_half_closed_client_gets_its_answer(server):
    with Connection(server.url) as connection:
        connection.send(request("POST", "/v1/embeddings", server.api_key, embed_body(server)))
        connection.socket.shutdown(1)
        assert connection.answer().status == 200


def test_clients_that_vanish_leave_nothing_behind(server):
    for size in (0, 1, 20, 200):
        for _ in range(50):
            with Connection(server.url) as connection:
                connection.send(request("POST", "/v1/embeddings", server.api_key, embed_body(server))[:size])
    still_serves(server)


# ---- slowness and numbers: a gateway of its own, with short times --------------------------------

@pytest.fixture(scope="module")
def hasty():
    with Harness("header_timeout_ms=700", "idle_timeout_ms=700", "request_timeout_ms=3000", "connections_max=100",
                 "body_bytes_max=2000000") as running:
        yield running
        assert running.alive()


def test_a_slow_head_is_timed_out(hasty):
    data = request("GET", "/v1/models", hasty.api_key)
    with Connection(hasty.url) as connection:
        with pytest.raises((EOFError, ConnectionError, TimeoutError, AssertionError)):
            for byte in data:
                connection.send(bytes([byte]))
                time.sleep(0.1)
            raise AssertionError("never timed out")
    with Connection(hasty.url) as connection:
        answer = connection.send(data[:20]).answer()
        check_refused(answer, 408, "request.timeout")
        assert connection.closed()
    hasty.event("request.refused", error="request.timeout")


def test_a_silent_connection_is_closed_without_a_word(hasty):
    with Connection(hasty.url) as connection:
        assert connection.closed()
    with Connection(hasty.url) as connection:
        assert connection.send(request("GET", "/healthz", None)).answer().status == 200
        assert connection.closed()


def test_a_length_that_lies_is_timed_out(hasty):
    body = embed_body(hasty)
    with Connection(hasty.url) as connection:
        connection.send(request("POST", "/v1/embeddings", hasty.api_key, body, f"Content-Length: {len(body) + 10}"))
        check_refused(connection.answer(), 408, "request.timeout")


def test_a_body_that_trickles_is_timed_out_though_it_never_stops(hasty):
    with Connection(hasty.url) as connection:
        connection.send(request("POST", "/v1/embeddings", hasty.api_key, b"", "Content-Length: 100000"))
        connection.socket.settimeout(0.05)
        answered = False
        for _ in range(50_000):  # fewer than the length says
            connection.send(b" ")
            try:
                answered = connection._more()
                break
            except TimeoutError:
                pass
        assert answered
        check_refused(connection.answer(), 408, "request.timeout")


def test_a_body_over_its_bound_is_refused_while_it_comes(hasty):
    chunk = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    with Connection(hasty.url) as connection:
        connection.send(request("POST", "/v1/embeddings", hasty.api_key, b"", "Transfer-Encoding: chunked"))
        try:
            for _ in range(200):
                connection.send(chunk)
        except ConnectionError:
            pass
        check_refused(connection.answer(), 413, "request.too_large")
    still_serves(hasty)


def test_more_connections_than_allowed_are_told_so(hasty):
    idle = [Connection(hasty.url) for _ in range(100)]
    time.sleep(0.2)
    with Connection(hasty.url) as connection:
        answer = connection.answer()
        check_refused(answer, 503, "overload.connections_full")
        assert answer.headers["retry-after"] == "1"
        assert connection.closed()
    hasty.event("request.shed", error="overload.connections_full")
    for connection in idle:
        connection.socket.close()
    time.sleep(0.2)
    still_serves(hasty)


def test_a_thousand_idle_connections_do_not_hold_up_others():
    with Harness("connections_max=1100") as server:
        idle = []
        for i in range(1000):
            connection = Connection(server.url)
            connection.send(b"" if i % 2 else b"POST /v1/embeddings HTTP/1.1\r\nHost: h\r\nX: ")
            idle.append(connection)
        for _ in range(20):
            still_serves(server)
        for connection in idle:
            connection.socket.close()
        assert server.alive()


def test_bodies_of_all_connections_together_are_bounded():
    # Forty bodies of two megabytes, none complete: 80 MB asked for, 64 MB allowed.
    with Harness("body_bytes_max=2000000", "header_timeout_ms=8000") as server:
        part = b" " * 1_900_000
        held = []
        for _ in range(40):
            connection = Connection(server.url)
            connection.send(request("POST", "/v1/embeddings", server.api_key, b"", "Content-Length: 2000000") + part)
            held.append(connection)
        server.event("request.shed", error="overload.memory")
        answers = [event for event in server.events if event["error"] == "overload.memory"]
        assert 1 <= len(answers) <= 10
        for connection in held:
            connection.socket.close()
        still_serves(server)


def test_every_refusal_is_an_event_without_content():
    with Harness() as server:
        ask(server, "/v1/embeddings", embed_body(server, input=SECRET + "\0"))
        ask(server, "/v1/embeddings", embed_body(server), "Authorization: Bearer " + SECRET, key=False)
        ask(server, "/" + SECRET, b"{}")
        ask(server, "/v1/embeddings", json.dumps({"model": SECRET, "input": SECRET}).encode())
        ask(server, "/v1/embeddings", json.dumps({SECRET: SECRET}).encode())
        ask(server, "/v1/embeddings", b'{"xSECRETx": 1, "xSECRETx": 2}')
        with Connection(server.url) as connection:
            connection.send(SECRET.encode() + b" / HTTP/1.1\r\n" + SECRET.encode() + b"\r\n\r\n").answer()
        server.wait_for(lambda: len(server.events) >= 7, "seven events")
        codes = [event["error"] for event in server.events]
        assert codes == ["request.text", "auth.invalid", "request.route_unknown", "request.model_unknown", "request.unknown",
                         "json.duplicate_key", "request.syntax"]
        assert [event["kind"] for event in server.events] == ["request.refused", "auth.failed"] + ["request.refused"] * 5
        for event in server.events:
            assert SECRET not in json.dumps(event)
            assert event["client_ip"] == "127.0.0.1"
            assert event["duration_us"] >= 0
        assert [event["sequence"] for event in server.events] == list(range(1, 8))
