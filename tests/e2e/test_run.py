# SPDX-License-Identifier: Apache-2.0
"""`mlxguard run`: one inference without a server, in the same cage."""
import base64
import json
import struct

import pytest


@pytest.fixture
def body(tmp_path):
    def write(value):
        file = tmp_path / "body.json"
        file.write_text(value if isinstance(value, str) else json.dumps(value))
        return file
    return write


def test_embedding_of_one_text(session_cli, signed_models, body):
    done = session_cli.ok("run", signed_models / "minilm", "--input", body({"input": "hello world"}))
    answer = json.loads(done.stdout)
    vector = answer["data"][0]["embedding"]
    assert len(vector) == 384
    assert sum(x * x for x in vector) == pytest.approx(1, abs=1e-4)


def test_answers_are_the_servers_in_each_of_its_forms(session_cli, signed_models, body):
    """`run` and the server share one table of tasks: whatever form a body has, the answer has it too."""
    def run(request):
        return json.loads(session_cli.ok("run", signed_models / "minilm", "--input", body(request)).stdout)

    plain = run({"input": ["hello", "world"]})
    assert set(plain) == {"object", "data", "model", "usage"} and plain["usage"]["prompt_tokens"] == 6
    packed = run({"input": ["hello", "world"], "encoding_format": "base64", "dimensions": 384})
    first = struct.unpack("<384f", base64.b64decode(packed["data"][0]["embedding"]))
    assert first == pytest.approx(plain["data"][0]["embedding"], abs=1e-6)
    inferred = run({"id": "7", "inputs": [{"name": "text", "shape": [2], "datatype": "BYTES", "data": ["hello", "world"]}]})
    assert (inferred["id"], inferred["model_name"], inferred["model_version"]) == ("7", "minilm", "1")
    assert inferred["outputs"][0]["shape"] == [2, 384]
    assert inferred["outputs"][0]["data"][:384] == pytest.approx(plain["data"][0]["embedding"], abs=1e-6)


def test_function_from_standard_input(session_cli, signed_models):
    manifest = json.loads((signed_models / "mlp/mlxguard.json").read_text())
    spec = manifest["inputs"][0]
    shape = [extent if isinstance(extent, int) else extent["min"] for extent in spec["shape"]]
    count = shape[0] * shape[1]
    request = {"inputs": [{"name": spec["name"], "shape": shape, "datatype": spec["datatype"], "data": [0.25] * count}]}
    done = session_cli.ok("run", signed_models / "mlp", "--input", "-", input=json.dumps(request))
    output = json.loads(done.stdout)["outputs"][0]
    assert output["datatype"] == "FP32"
    assert len(output["data"]) == output["shape"][0] * output["shape"][1]


@pytest.mark.parametrize("request_body, code, exit_code", [
    ("{", "json.syntax", 1),
    ({"inputs": []}, "request.missing", 1),
    ({"inputs": [{"name": "nonsense", "shape": [1], "datatype": "FP32", "data": [1]}]}, "request.unknown", 1),
])
def test_invalid_input_is_refused_with_its_code(session_cli, signed_models, body, request_body, code, exit_code):
    done = session_cli.run("run", signed_models / "mlp", "--input", body(request_body))
    assert done.returncode == exit_code
    assert f"[{code}]" in done.stderr


def test_missing_input_file(session_cli, signed_models, tmp_path):
    done = session_cli.run("run", signed_models / "mlp", "--input", tmp_path / "nothing")
    assert done.returncode == 3
    assert "[io.not_found]" in done.stderr


def test_unsigned_model_does_not_run(session_cli, functions, body):
    done = session_cli.run("run", functions / "mlp", "--input", body({"inputs": []}))
    assert done.returncode == 1
    assert "[signature.missing]" in done.stderr


def test_memory_hog_is_stopped_and_judged(session_cli, signed_models, body):
    manifest = json.loads((signed_models / "hog/mlxguard.json").read_text())
    spec = manifest["inputs"][0]
    shape = [extent if isinstance(extent, int) else extent["max"] for extent in spec["shape"]]
    count = 1
    for extent in shape:
        count *= extent
    request = {"inputs": [{"name": spec["name"], "shape": shape, "datatype": spec["datatype"], "data": [0.5] * count}]}
    done = session_cli.run("run", signed_models / "hog", "--input", body(request))
    assert done.returncode == 3
    assert "[worker.memory]" in done.stderr or "[worker.crash]" in done.stderr
