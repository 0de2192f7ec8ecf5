# SPDX-License-Identifier: Apache-2.0
"""The real `tritonclient` over HTTP: the Open Inference Protocol v2."""
import numpy
import pytest
import tritonclient.http as triton
from tritonclient.utils import InferenceServerException


@pytest.fixture(scope="module")
def client(server):
    made = triton.InferenceServerClient(server.url.split("://")[1], concurrency=4)
    yield made
    made.close()


@pytest.fixture
def headers(server):
    return {"Authorization": f"Bearer {server.api_key}"}


@pytest.fixture(scope="module")
def spec(client, server):
    return client.get_model_metadata(server.function_model, headers={"x-api-key": server.api_key})


def shape_of(spec, rows=1):
    return [rows if extent < 0 else extent for extent in spec["inputs"][0]["shape"]]


def input_of(spec, values, *, datatype=None, name=None, binary=False):
    made = triton.InferInput(name or spec["inputs"][0]["name"], list(values.shape), datatype or spec["inputs"][0]["datatype"])
    made.set_data_from_numpy(values, binary_data=binary)
    return made


def ones(spec, rows=1):
    return numpy.full(shape_of(spec, rows), 0.5, dtype=numpy.float32)


def outputs_of(spec, **options):
    return [triton.InferRequestedOutput(output["name"], **({"binary_data": False} | options)) for output in spec["outputs"]]


def test_health_needs_no_key(client, server):
    assert client.is_server_live()
    assert isinstance(client.is_server_ready(), bool)


def test_model_ready(client, server, headers):
    assert client.is_model_ready(server.function_model, headers=headers)
    assert client.is_model_ready(server.function_model, "1", headers=headers)
    assert client.is_model_ready(server.embedding_model, headers=headers)
    assert not client.is_model_ready("no-such-model", headers=headers)
    assert not client.is_model_ready(server.function_model, "2", headers=headers)
    assert not client.is_model_ready(server.function_model)  # without a key


def test_server_metadata(client, headers):
    metadata = client.get_server_metadata(headers=headers)
    assert metadata["name"] == "mlxguard"
    assert metadata["extensions"] == []
    assert metadata["version"]


def test_model_metadata(client, server, headers, spec):
    assert spec["name"] == server.function_model
    assert spec["versions"] == ["1"]
    assert spec["inputs"][0]["datatype"] == "FP32"
    assert spec == client.get_model_metadata(server.function_model, "1", headers=headers)
    text = client.get_model_metadata(server.embedding_model, headers=headers)
    assert text["inputs"] == [{"name": "text", "datatype": "BYTES", "shape": [-1]}]
    assert text["outputs"][0]["shape"][0] == -1


def test_infer(client, server, headers, spec):
    result = client.infer(server.function_model, [input_of(spec, ones(spec))], outputs=outputs_of(spec),
                          request_id="my-id", headers=headers)
    answer = result.get_response()
    assert answer["id"] == "my-id"
    assert answer["model_name"] == server.function_model
    assert answer["model_version"] == "1"
    output = spec["outputs"][0]
    values = result.as_numpy(output["name"])
    assert values.dtype == numpy.float32
    assert list(values.shape)[1:] == output["shape"][1:]
    assert numpy.isfinite(values).all()


def test_infer_gives_the_same_however_it_is_asked(client, server, headers, spec):
    name = spec["outputs"][0]["name"]
    plain = client.infer(server.function_model, [input_of(spec, ones(spec, 3))], outputs=outputs_of(spec), headers=headers)
    version = client.infer(server.function_model, [input_of(spec, ones(spec, 3))], outputs=outputs_of(spec),
                           model_version="1", headers=headers)
    # Without outputs, or with the client's default, it asks for binary outputs and takes JSON all the same.
    quiet = client.infer(server.function_model, [input_of(spec, ones(spec, 3))], headers=headers)
    default = client.infer(server.function_model, [input_of(spec, ones(spec, 3))],
                           outputs=outputs_of(spec, binary_data=True), headers=headers)
    for other in (version, quiet, default):
        assert numpy.array_equal(plain.as_numpy(name), other.as_numpy(name))


def test_async_infer(client, server, headers, spec):
    asked = [client.async_infer(server.function_model, [input_of(spec, ones(spec))], outputs=outputs_of(spec), headers=headers)
             for _ in range(8)]
    assert all(request.get_result().as_numpy(spec["outputs"][0]["name"]) is not None for request in asked)


def test_texts_to_an_embedding_model(client, server, headers):
    texts = numpy.array(["hello", "wörld"], dtype=numpy.object_)
    given = triton.InferInput("text", [2], "BYTES")
    given.set_data_from_numpy(texts, binary_data=False)
    result = client.infer(server.embedding_model, [given], headers=headers)
    assert result.as_numpy("embedding").shape[0] == 2


def refusal(client, server, headers, inputs, **options):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(server.function_model, inputs, headers=headers, **options)
    return caught.value.message()


def test_wrong_shape(client, server, headers, spec):
    wrong = numpy.zeros(shape_of(spec)[:-1] + [shape_of(spec)[-1] + 1], dtype=numpy.float32)
    message = refusal(client, server, headers, [input_of(spec, wrong)])
    assert message.endswith("[request.shape]")
    assert message.startswith(spec["inputs"][0]["name"] + ": expected a shape of [")


def test_wrong_rank(client, server, headers, spec):
    assert refusal(client, server, headers, [input_of(spec, ones(spec)[None])]).endswith("[request.shape]")


def test_wrong_type(client, server, headers, spec):
    wrong = input_of(spec, ones(spec).astype(numpy.float64), datatype="FP64")
    message = refusal(client, server, headers, [wrong])
    assert "expected datatype FP32" in message
    assert message.endswith("[request.type]")


def test_wrong_name(client, server, headers, spec):
    message = refusal(client, server, headers, [input_of(spec, ones(spec), name="no_such_input")])
    assert message.endswith("[request.unknown]")
    assert "no_such_input" not in message


def test_wrong_output(client, server, headers, spec):
    message = refusal(client, server, headers, [input_of(spec, ones(spec))],
                      outputs=[triton.InferRequestedOutput("no_such_output", binary_data=False)])
    assert message.endswith("[request.unknown]")


def test_not_a_number(client, server, headers, spec):
    wrong = ones(spec)
    wrong.flat[0] = numpy.nan
    assert "[" in refusal(client, server, headers, [input_of(spec, wrong)])


def test_binary_tensors_are_refused_with_a_word_of_help(client, server, headers, spec):
    message = refusal(client, server, headers, [input_of(spec, ones(spec), binary=True)])
    assert "binary_data=False" in message


def test_an_unknown_model(client, server, headers, spec):
    with pytest.raises(InferenceServerException) as caught:
        client.infer("no-such-model", [input_of(spec, ones(spec))], headers=headers)
    assert caught.value.status() == "404"
    assert "[request.model_unknown]" in caught.value.message()


def test_without_a_key(client, server, spec):
    with pytest.raises(InferenceServerException) as caught:
        client.infer(server.function_model, [input_of(spec, ones(spec))])
    assert caught.value.status() == "401"
    assert "[auth.missing]" in caught.value.message()
