"""Embeddings and reranking."""

import base64
import struct

import httpx2
import openai
import pytest


def test_the_sdk_reads_vectors(sdk: openai.OpenAI) -> None:
    """The SDK asks for base64 on its own, and decodes it."""
    answer = sdk.embeddings.create(model="fake-embed", input=["one", "two", "one"])
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.data[0].embedding == answer.data[2].embedding != answer.data[1].embedding
    assert sum(x * x for x in answer.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3
    assert answer.model == "fake-embed"


def test_numbers_and_base64_are_the_same_vectors(http: httpx2.Client) -> None:
    def ask(form: str) -> list:
        body = {"model": "embeddings", "input": "some words", "encoding_format": form}
        return http.post("/v1/embeddings", json=body).json()["data"][0]["embedding"]

    raw = base64.b64decode(ask("base64"))
    assert list(struct.unpack(f"<{len(raw) // 4}f", raw)) == pytest.approx(ask("float"), abs=1e-7)


def test_a_string_is_one_input_and_float_the_default(http: httpx2.Client) -> None:
    data = http.post("/v1/embeddings", json={"model": "fake-embed", "input": "alone"}).json()["data"]
    assert len(data) == 1
    assert isinstance(data[0]["embedding"][0], float)


def test_dimensions(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="fake-embed", input="x", dimensions=3)
    assert len(answer.data[0].embedding) == 3


@pytest.mark.parametrize("form", ["float", "base64"])
def test_2048_vectors_of_384(http: httpx2.Client, form: str) -> None:
    texts = [f"text number {n}" for n in range(2048)]
    body = {"model": "fake-embed", "input": texts, "dimensions": 384, "encoding_format": form}
    answer = http.post("/v1/embeddings", json=body)
    assert answer.status_code == 200
    data = answer.json()["data"]
    assert [item["index"] for item in data] == list(range(2048))
    last = data[-1]["embedding"]
    assert len(last) == 384 if form == "float" else len(base64.b64decode(last)) == 384 * 4


def rerank(http: httpx2.Client, **body: object) -> dict:
    answer = http.post("/v1/rerank", json={"model": "fake-rerank", **body})
    assert answer.status_code == 200, answer.text
    return answer.json()


DOCUMENTS = ["a red apple", "nothing of it", "a green apple", "red red wine"]


def test_the_best_first_and_equals_in_order(http: httpx2.Client) -> None:
    body = rerank(http, query="red apple", documents=DOCUMENTS)
    assert [result["index"] for result in body["results"]] == [0, 2, 3, 1]
    assert [result["relevance_score"] for result in body["results"]] == [1.0, 0.5, 0.5, 0.0]
    assert body["results"][0]["document"] == {"text": "a red apple"}
    assert body["model"] == "fake-rerank"
    assert body["usage"]["total_tokens"] > 0


def test_top_n_and_no_documents(http: httpx2.Client) -> None:
    body = rerank(http, query="red apple", documents=DOCUMENTS, top_n=2, return_documents=False)
    assert [sorted(result) for result in body["results"]] == [["index", "relevance_score"]] * 2


def test_documents_as_objects(http: httpx2.Client) -> None:
    documents = [{"text": "blue"}, "red apple", {"text": "apple", "id": 7}]
    body = rerank(http, query="red apple", documents=documents, top_n=9)
    assert [result["document"]["text"] for result in body["results"]] == ["red apple", "apple", "blue"]
