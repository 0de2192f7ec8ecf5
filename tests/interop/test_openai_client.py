# SPDX-License-Identifier: Apache-2.0
"""The real `openai` client, unchanged but for its address and key."""
import concurrent.futures
import math

import openai
import pytest
from gateway_harness import Harness


@pytest.fixture(scope="module")
def client(server):
    with openai.OpenAI(base_url=f"{server.url}/v1", api_key=server.api_key, max_retries=0) as made:
        yield made


def client_of(server, **options):
    options = {"api_key": server.api_key, "max_retries": 0} | options
    return openai.OpenAI(base_url=f"{server.url}/v1", **options)


def test_models_are_listed(client, server):
    names = {model.id for model in client.models.list()}
    assert {server.embedding_model, server.function_model} <= names


def test_one_model_is_retrieved(client, server):
    model = client.models.retrieve(server.embedding_model)
    assert model.id == server.embedding_model
    assert model.object == "model"
    assert model.created > 0
    assert model.owned_by


def test_one_text(client, server):
    answer = client.embeddings.create(model=server.embedding_model, input="hello world")
    assert answer.object == "list"
    assert answer.model == server.embedding_model
    assert len(answer.data) == 1
    assert answer.data[0].index == 0
    assert all(math.isfinite(value) for value in answer.data[0].embedding)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens > 0


def test_many_texts_keep_their_order(client, server):
    texts = [f"text number {i}" for i in range(20)]
    together = client.embeddings.create(model=server.embedding_model, input=texts)
    assert [item.index for item in together.data] == list(range(20))
    for at in (0, 7, 19):
        alone = client.embeddings.create(model=server.embedding_model, input=texts[at])
        assert together.data[at].embedding == pytest.approx(alone.data[0].embedding, abs=1e-5)


def test_base64_and_float_are_the_same_vectors(client, server):
    # Without encoding_format the client asks for base64 by itself.
    quiet = client.embeddings.create(model=server.embedding_model, input="the same")
    base64 = client.embeddings.with_raw_response.create(
        model=server.embedding_model, input="the same", encoding_format="base64")
    number = client.embeddings.create(model=server.embedding_model, input="the same", encoding_format="float")
    assert isinstance(base64.http_response.json()["data"][0]["embedding"], str)
    assert quiet.data[0].embedding == pytest.approx(number.data[0].embedding, abs=1e-7)


def test_dimensions_of_the_model_are_taken_and_others_refused(client, server):
    size = len(client.embeddings.create(model=server.embedding_model, input="a").data[0].embedding)
    client.embeddings.create(model=server.embedding_model, input="a", dimensions=size, user="someone")
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=server.embedding_model, input="a", dimensions=size - 1)
    assert caught.value.code == "request.range"
    assert caught.value.param == "dimensions"


def test_every_language_and_emoji(client, server):
    texts = ["Grüße", "你好，世界", "नमस्ते", "שלום", "مرحبا", "👩‍👩‍👧 family", "e\u0301 combining", "tab\tand\nline"]
    answer = client.embeddings.create(model=server.embedding_model, input=texts)
    assert len(answer.data) == len(texts)


def test_a_wrong_key_is_an_authentication_error(server):
    with pytest.raises(openai.AuthenticationError) as caught:
        client_of(server, api_key="wrong").models.list()
    assert caught.value.status_code == 401
    assert caught.value.code == "auth.invalid"


def test_an_unknown_model_is_not_found(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.embeddings.create(model="no-such-model", input="a")
    assert caught.value.code == "request.model_unknown"
    assert "no-such-model" not in caught.value.message
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("no-such-model")


def test_a_function_makes_no_embeddings(client, server):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=server.function_model, input="a")
    assert caught.value.code == "request.unknown"


@pytest.mark.parametrize("given, code", [
    ("", "request.text"),
    ([], "request.count"),
    (["fine", ""], "request.text"),
    ("nul\0", "request.text"),
    ("escape\x1b[2J", "request.text"),
    ([1, 2, 3], "request.type"),
    ([[1, 2], [3]], "request.type"),
])
def test_inputs_that_are_refused(client, server, given, code):
    with pytest.raises(openai.BadRequestError) as caught:
        client.embeddings.create(model=server.embedding_model, input=given)
    assert caught.value.code == code
    assert caught.value.param == "input"
    assert caught.value.type == "invalid_request_error"


def test_too_many_texts(client, server):
    with pytest.raises(openai.APIStatusError) as caught:
        client.embeddings.create(model=server.embedding_model, input=["a"] * 2049)
    assert caught.value.status_code == 413
    assert caught.value.code == "request.too_large"


def test_paths_the_client_knows_and_we_do_not(client):
    with pytest.raises(openai.NotFoundError) as caught:
        client.chat.completions.create(model="m", messages=[{"role": "user", "content": "hi"}])
    assert caught.value.code == "request.route_unknown"


def test_many_clients_at_once(server):
    def ask(i):
        with client_of(server) as mine:
            return mine.embeddings.create(model=server.embedding_model, input=f"client {i}").data[0].embedding
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(ask, range(48)))
    assert len({tuple(answer) for answer in answers}) == 48


def test_a_rate_limit_is_a_rate_limit_error_with_retry_after():
    with Harness("requests_per_second_max=3") as server:
        client = client_of(server)
        for _ in range(3):
            client.embeddings.create(model="minilm", input="a")
        with pytest.raises(openai.RateLimitError) as caught:
            client.embeddings.create(model="minilm", input="a")
        assert caught.value.code == "overload.rate"
        assert caught.value.response.headers["retry-after"] == "1"
        # The client's own retry waits for that long and succeeds.
        client_of(server, max_retries=3).embeddings.create(model="minilm", input="a")


def test_anonymous_access_takes_any_key():
    with Harness("anonymous") as server:
        assert client_of(server, api_key="unused").embeddings.create(model="minilm", input="a").data


def test_a_worker_that_died_is_an_internal_server_error_that_says_when_to_retry():
    with Harness() as server:
        server.tell("die minilm worker.memory 3000")
        with pytest.raises(openai.InternalServerError) as caught:
            client_of(server).embeddings.create(model="minilm", input="a")
        assert caught.value.status_code == 503
        assert caught.value.code == "worker.unavailable"
        assert caught.value.response.headers["retry-after"] == "3"
