# SPDX-License-Identifier: Apache-2.0
"""Settings of mlxguard.toml in the running server: each is set, and its effect is seen."""
import http.client
import json
import shutil
import subprocess
import urllib.parse

import pytest

from conftest import BIN, ROOT


def post(server, body, headers=None):
    address = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("POST", "/v1/embeddings", json.dumps(body),
                       {"Content-Type": "application/json", **server.headers, **(headers or {})})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


def get(server, path, headers=None):
    address = urllib.parse.urlsplit(server.url)
    connection = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    connection.request("GET", path, headers=headers or {})
    answer = connection.getresponse()
    return answer.status, dict(answer.getheaders()), answer.read()


@pytest.fixture
def model(cli, tmp_path, minilm_source):
    folder = tmp_path / "minilm"
    shutil.copytree(minilm_source, folder)
    cli.sign(folder)
    return folder


@pytest.fixture
def start(cli, model, tmp_path, start_server):
    def started(text):
        file = tmp_path / "mlxguard.toml"
        file.write_text(text + f'\n[models.minilm]\npath = "{model}"\n')
        return start_server(cli, {}, "-c", file)

    return started


def test_the_example_runs_as_it_is(cli, model, start_server):
    server = start_server(cli, {"minilm": model}, "-c", ROOT / "mlxguard.toml.example")
    assert post(server, {"model": "minilm", "input": "a"})[0] == 200


def test_the_example_is_what_the_program_prints():
    printed = subprocess.run([BIN / "mlxguard", "serve", "--example-config"], capture_output=True,
                             text=True, timeout=60)
    assert printed.returncode == 0
    assert printed.stdout == (ROOT / "mlxguard.toml.example").read_text()


def test_requests_per_second_of_one_key(start):
    server = start("[limits]\nrequests_per_second_max = 3\n")
    answers = [get(server, "/v1/models", server.headers) for _ in range(8)]
    statuses = [status for status, _, _ in answers]
    assert statuses[:3] == [200, 200, 200], "a second's worth may come at once"
    assert 429 in statuses
    refused = next(headers for status, headers, _ in answers if status == 429)
    assert int(refused["Retry-After"]) >= 1
    assert {get(server, "/healthz")[0] for _ in range(8)} == {200}, "health counts for nobody"


def test_requests_at_once_of_one_key(start):
    server = start("[limits]\nrequests_concurrent_max = 1\n")
    address = urllib.parse.urlsplit(server.url)
    held = http.client.HTTPConnection(address.hostname, address.port, timeout=60)
    body = json.dumps({"model": "minilm", "input": "a"}).encode()
    held.putrequest("POST", "/v1/embeddings")
    for name, value in {"Content-Type": "application/json", "Content-Length": str(len(body)),
                        "Expect": "100-continue", **server.headers}.items():
        held.putheader(name, value)
    held.endheaders()
    # The server asks for the body once the request counts among those of its key.
    assert held.sock.recv(100).startswith(b"HTTP/1.1 100 ")
    status, headers, _ = get(server, "/v1/models", server.headers)
    assert status == 429 and int(headers["Retry-After"]) >= 1
    assert get(server, "/healthz")[0] == 200
    held.send(body)
    assert held.getresponse().status == 200
    assert get(server, "/v1/models", server.headers)[0] == 200


def test_sizes_of_a_request(start):
    server = start("[limits]\nbody_bytes_max = 2000\nheader_bytes_max = 1024\ntexts_max = 2\n"
                   "text_bytes_max = 100\n")
    ok = {"model": "minilm", "input": ["a", "b"]}
    assert post(server, ok)[0] == 200
    assert post(server, {**ok, "input": ["a", "b", "c"]})[0] == 413
    assert post(server, {**ok, "input": "a" * 101})[0] == 413
    assert post(server, {**ok, "user": "u" * 2000})[0] == 413
    assert post(server, ok, {"X-Long": "x" * 1024})[0] == 431


def test_one_model_may_be_a_table_and_unknown_keys_are_named(cli, tmp_path):
    file = tmp_path / "mlxguard.toml"
    file.write_text('[models.minilm]\npath = "x"\nfolder = "y"\n')
    done = cli.run("serve", "-c", file)
    assert done.returncode == 2
    assert "models.minilm.folder" in done.stderr and "[config.unknown_key]" in done.stderr
