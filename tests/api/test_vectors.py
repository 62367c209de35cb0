"""Embeddings and reranking, in every shape that is spoken here."""

import base64
import struct
from typing import Any

import httpx2
import openai
import pytest
from openai.types import CreateEmbeddingResponse

from app.wire.rerank import Ranked, RankedV2, Scores

from .doors import Door

# "hello world", as OpenAI's tokenizer has it.
HELLO = [15339, 1917]


def embeddings(http: httpx2.Client, given: Any, **fields: Any) -> dict[str, Any]:
    answer = http.post("/v1/embeddings", json={"model": "fake-embed", "input": given, **fields})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


def rows(http: httpx2.Client, given: Any, **fields: Any) -> list[Any]:
    return [item["embedding"] for item in embeddings(http, given, **fields)["data"]]


def test_the_sdk_reads_vectors(sdk: openai.OpenAI) -> None:
    """The SDK asks for base64 on its own, and decodes it."""
    answer = sdk.embeddings.create(model="fake-embed", input=["one", "two", "one"])
    assert [item.index for item in answer.data] == [0, 1, 2]
    assert answer.data[0].embedding == answer.data[2].embedding != answer.data[1].embedding
    assert sum(x * x for x in answer.data[0].embedding) == pytest.approx(1, abs=1e-5)
    assert answer.usage.prompt_tokens == answer.usage.total_tokens == 3
    assert answer.model == "fake-embed"


@pytest.mark.parametrize("model", ["fake-embed", "all-minilm-l6-v2"])
def test_numbers_and_base64_are_the_same_to_the_bit(http: httpx2.Client, model: str) -> None:
    texts = ["some words", "others"]
    for text, number in zip(
        rows(http, texts, model=model, encoding_format="base64"),
        rows(http, texts, model=model, encoding_format="float"),
        strict=True,
    ):
        assert base64.b64decode(text) == struct.pack(f"<{len(number)}f", *number)


def test_a_string_is_one_input_and_float_the_default(http: httpx2.Client) -> None:
    found = embeddings(http, "alone")
    CreateEmbeddingResponse.model_validate(found, strict=True)
    (vector,) = (item["embedding"] for item in found["data"])
    assert isinstance(vector[0], float)


def test_dimensions(sdk: openai.OpenAI) -> None:
    answer = sdk.embeddings.create(model="fake-embed", input="x", dimensions=3)
    assert len(answer.data[0].embedding) == 3


def test_more_dimensions_than_a_model_makes_are_refused(http: httpx2.Client) -> None:
    """Found by `make fuzz`: 26,552,556,231 of them took all memory that there was."""
    asked = {"model": "fake-embed", "input": "x", "dimensions": 26552556231}
    answer = http.post("/v1/embeddings", json=asked)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "dimensions")


def test_what_the_texts_are_reaches_the_model(http: httpx2.Client) -> None:
    """The fake reads it before the text."""
    assert rows(http, "a cat", input_type="query") == rows(http, "query: a cat")
    assert rows(http, "a cat", input_type="document") == rows(http, "document: a cat")
    assert rows(http, "a cat", input_type=None) == rows(http, "a cat")


@pytest.mark.parametrize("model", ["fake-embed", "all-minilm-l6-v2"])
@pytest.mark.parametrize(
    ("ids", "texts"),
    [(HELLO, "hello world"), ([HELLO, HELLO[:1], HELLO], ["hello world", "hello", "hello world"])],
    ids=["one", "several"],
)
def test_openais_token_ids_are_the_text_they_stand_for(
    http: httpx2.Client, model: str, ids: Any, texts: Any
) -> None:
    """Read as the model's own they would be other words."""
    got, wanted = (embeddings(http, given, model=model) for given in (ids, texts))
    assert got["usage"] == wanted["usage"]
    assert [item["index"] for item in got["data"]] == [item["index"] for item in wanted["data"]]
    for one, other in zip(got["data"], wanted["data"], strict=True):
        assert one["embedding"] == pytest.approx(other["embedding"], abs=1e-6)


def test_the_sdk_sends_token_ids(sdk: openai.OpenAI) -> None:
    for given, count in ((HELLO, 1), ([HELLO, HELLO], 2)):
        assert len(sdk.embeddings.create(model="fake-embed", input=given).data) == count
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.embeddings.create(model="fake-embed", input=[HELLO, [100_300]])
    assert refused.value.param == "input[1]"
    assert "cl100k_base" in str(refused.value)


@pytest.mark.parametrize(("form", "width"), [("float", 384), ("base64", 1024)])
def test_2048_vectors(http: httpx2.Client, form: str, width: int) -> None:
    texts = [f"text number {n}" for n in range(2048)]
    data = embeddings(http, texts, dimensions=width, encoding_format=form)["data"]
    assert [item["index"] for item in data] == list(range(2048))
    vectors = [item["embedding"] for item in data]
    assert {len(row) if form == "float" else len(base64.b64decode(row)) // 4 for row in vectors} == {width}
    assert vectors[-1:] == rows(http, texts[-1], dimensions=width, encoding_format=form)


def test_teis_embed(http: httpx2.Client) -> None:
    one, other = rows(http, ["one", "other"])
    for path, model in (("/embed", {"model": "fake-embed"}), ("/embeddings/embed", {})):
        answer = http.post(path, json={**model, "inputs": ["one", "other"], "truncate": True})
        assert answer.json() == [one, other]
        assert http.post(path, json={**model, "inputs": "one"}).json() == [one]


def ranked(http: httpx2.Client, path: str = "/v1/rerank", **body: Any) -> dict[str, Any]:
    answer = http.post(path, json={"model": "fake-rerank", **body})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    (RankedV2 if path == "/v2/rerank" else Ranked).model_validate(found, extra="forbid")
    return found


DOCUMENTS = ["a red apple", "nothing of it", "a green apple", "red red wine"]
ASKED: dict[str, Any] = {"query": "red apple", "documents": DOCUMENTS}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_the_best_first_and_equals_in_order(http: httpx2.Client, path: str) -> None:
    body = ranked(http, path, **ASKED)
    assert [result["index"] for result in body["results"]] == [0, 2, 3, 1]
    assert [result["relevance_score"] for result in body["results"]] == [1.0, 0.5, 0.5, 0.0]
    assert body["meta"]["tokens"]["input_tokens"] == 12


def test_v1_is_jinas_and_coheres(http: httpx2.Client) -> None:
    body = ranked(http, **ASKED)
    assert body["results"][0]["document"] == {"text": "a red apple"}
    assert (body["object"], body["model"]) == ("list", "fake-rerank")
    assert body["usage"] == {"prompt_tokens": 12, "total_tokens": 12}
    assert body["id"]
    assert body["meta"]["api_version"]["version"] == "1"


def test_v2_is_coheres_alone(http: httpx2.Client) -> None:
    answer = http.post("/v2/rerank", json={"model": "fake-rerank", **ASKED})
    body = answer.json()
    assert sorted(body) == ["id", "meta", "results"]
    assert body["id"] == answer.headers["x-request-id"]
    assert [sorted(result) for result in body["results"]] == [["index", "relevance_score"]] * 4
    assert body["meta"]["billed_units"] == {"search_units": 1}


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_top_n_and_documents_or_none(http: httpx2.Client, path: str) -> None:
    bare = ranked(http, path, **ASKED, top_n=2, return_documents=False)
    assert [sorted(result) for result in bare["results"]] == [["index", "relevance_score"]] * 2
    full = ranked(http, path, **ASKED, top_n=9, return_documents=True)
    assert [result["document"]["text"] for result in full["results"]] == [
        DOCUMENTS[at] for at in (0, 2, 3, 1)
    ]


def test_documents_as_objects(http: httpx2.Client) -> None:
    documents = [{"text": "blue"}, "red apple", {"text": "apple", "id": 7}]
    results = ranked(http, query="red apple", documents=documents)["results"]
    assert [result["document"] for result in results] == [
        {"text": "red apple"},
        {"text": "apple", "id": 7},
        {"text": "blue"},
    ]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_fields_of_documents(http: httpx2.Client, path: str) -> None:
    documents = [{"title": "red", "body": "wine"}, {"title": "green", "body": "red apple"}, {"body": "wine"}]
    for fields, order in ((["title", "body"], [1, 0, 2]), (["body"], [1, 0, 2]), (["body", "x"], [1, 0, 2])):
        body = ranked(http, path, query="red apple", documents=documents, rank_fields=fields)
        assert [result["index"] for result in body["results"]] == order
        assert not any("document" in result for result in body["results"])
    titles = ranked(http, path, query="red", documents=documents[:2], rank_fields=["title"])
    assert [result["index"] for result in titles["results"]] == [0, 1]


@pytest.mark.parametrize("path", ["/v1/rerank", "/v2/rerank"])
def test_so_many_tokens_of_a_document(http: httpx2.Client, path: str) -> None:
    body = ranked(http, path, **ASKED, max_tokens_per_doc=2)
    scores = {result["index"]: result["relevance_score"] for result in body["results"]}
    assert scores == {0: 0.5, 1: 0.0, 2: 0.0, 3: 0.5}


@pytest.mark.parametrize(
    ("path", "model"),
    [("/rerank", {"model": "fake-rerank"}), ("/reranker/rerank", {})],
)
def test_teis_rerank(http: httpx2.Client, path: str, model: dict[str, str]) -> None:
    body = {**model, "query": "red apple", "texts": DOCUMENTS, "raw_scores": False, "truncate": True}
    answer = http.post(path, json=body)
    assert answer.json() == [
        {"index": 0, "score": 1.0},
        {"index": 2, "score": 0.5},
        {"index": 3, "score": 0.5},
        {"index": 1, "score": 0.0},
    ]
    assert http.post(path, json={**body, "return_text": True}).json()[1]["text"] == "a green apple"


@pytest.mark.parametrize("path", ["/score", "/v1/score"])
def test_vllms_score(http: httpx2.Client, path: str) -> None:
    def scores(one: Any, other: Any) -> tuple[list[float], int]:
        answer = http.post(path, json={"model": "fake-rerank", "text_1": one, "text_2": other})
        assert answer.status_code == 200, answer.text
        told = answer.json()
        Scores.model_validate(told, extra="forbid")
        assert [item["index"] for item in told["data"]] == list(range(len(told["data"])))
        return [item["score"] for item in told["data"]], told["usage"]["total_tokens"]

    assert scores("red apple", "a green apple") == ([0.5], 3)
    assert scores("red apple", DOCUMENTS) == scores(["red apple"], DOCUMENTS) == ([1.0, 0.0, 0.5, 0.5], 12)
    assert scores(["red apple", "wine"], ["an apple", "wine"]) == ([0.5, 1.0], 3)


def test_by_the_alias_in_the_path(http: httpx2.Client) -> None:
    for path in ("/v1/rerank", "/v2/rerank"):
        assert http.post(f"/reranker{path}", json=ASKED).json()["results"][0]["index"] == 0
    pair = {"text_1": "a", "text_2": "a"}
    for path in ("/score", "/v1/score"):
        assert http.post(f"/reranker{path}", json=pair).json()["data"][0]["score"] == 1.0


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/v1/rerank", {**ASKED, "documents": [{"title": "d"}]}, "documents[0]"),
    ("/v1/rerank", {**ASKED, "rank_fields": []}, "rank_fields"),
    ("/v1/rerank", {**ASKED, "max_chunks_per_doc": 0}, "max_chunks_per_doc"),
    ("/v1/rerank", {**ASKED, "max_tokens_per_doc": 0}, "max_tokens_per_doc"),
    ("/v1/rerank", {**ASKED, "return_documents": "yes"}, "return_documents"),
    ("/v1/rerank", {**ASKED, "return_embeddings": True}, "return_embeddings"),
    ("/v2/rerank", {**ASKED, "max_chunks_per_doc": 1}, "max_chunks_per_doc"),
    ("/v2/rerank", {**ASKED, "top_n": 0}, "top_n"),
    ("/v2/rerank", {"documents": DOCUMENTS}, "query"),
    ("/v2/rerank", {"query": "q", "documents": []}, "documents"),
    ("/v2/rerank", {"query": "q", "documents": ["d", 1]}, "documents[1]"),
    ("/rerank", {"query": "q"}, "texts"),
    ("/rerank", ASKED, "documents"),
    ("/rerank", {"query": "q", "texts": []}, "texts"),
    ("/rerank", {"query": "q", "texts": ["a", 1]}, "texts[1]"),
    ("/rerank", {"query": "q", "texts": ["a"], "raw_scores": True}, "raw_scores"),
    ("/rerank", {"query": "q", "texts": ["a"], "truncate": False}, "truncate"),
    ("/rerank", {"query": "q", "texts": ["a"], "truncation_direction": "left"}, "truncation_direction"),
    ("/rerank", {"query": "q", "texts": ["a"], "top_n": 1}, "top_n"),
    ("/score", {"text_1": "a"}, "text_2"),
    ("/score", {"text_1": "a", "text_2": []}, "text_2"),
    ("/score", {"text_1": ["a", "b"], "text_2": "a"}, "text_1"),
    ("/score", {"text_1": "a", "text_2": ["a", 1]}, "text_2[1]"),
    ("/v1/score", {"text_1": "a", "text_2": "b", "truncate_prompt_tokens": 3}, "truncate_prompt_tokens"),
    # What only the engine can tell is said of the field it came in.
    ("/rerank", {"model": "minilm-reranker", "query": "q", "texts": ["a", " "]}, "texts"),
    ("/score", {"model": "minilm-reranker", "text_1": " ", "text_2": "a"}, "text_1"),
    ("/score", {"model": "minilm-reranker", "text_1": "a", "text_2": " "}, "text_2"),
]


@pytest.mark.parametrize(
    ("path", "body", "param"),
    WRONG,
    ids=[f"{path[1:]}-{param}-{n}" for n, (path, _, param) in enumerate(WRONG)],
)
def test_what_is_wrong_is_named(http: httpx2.Client, path: str, body: dict[str, Any], param: str) -> None:
    answer = http.post(path, json={"model": "fake-rerank", **body})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("body", "param"),
    [
        ({}, "inputs"),
        ({"inputs": []}, "inputs"),
        ({"inputs": ""}, "inputs"),
        ({"inputs": ["a", ""]}, "inputs[1]"),
        ({"inputs": [[101, 102]]}, "inputs"),
        ({"inputs": "a", "normalize": False}, "normalize"),
        ({"inputs": "a", "prompt_name": "query"}, "prompt_name"),
        ({"inputs": "long " * 600, "truncate": True}, "inputs"),
    ],
)
def test_what_is_wrong_with_teis_embed(http: httpx2.Client, body: dict[str, Any], param: str) -> None:
    answer = http.post("/embed", json={"model": "all-minilm-l6-v2", **body})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/embed", {"inputs": "a"}),
        ("/rerank", {"query": "q", "texts": ["a"]}),
        ("/v2/rerank", ASKED),
        ("/score", {"text_1": "a", "text_2": "b"}),
        ("/v1/score", {"text_1": "a", "text_2": "b"}),
    ],
)
def test_the_model_and_the_key(http: httpx2.Client, door: Door, path: str, body: dict[str, Any]) -> None:
    wrong = http.post(path, json={**body, "model": "fake-chat"}).json()["error"]
    assert (wrong["code"], wrong["param"]) == ("task_unsupported", "model")
    assert http.post(path, json=body).json()["error"]["param"] == "model"
    assert http.post(f"/llm{path}", json=body).json()["error"]["code"] == "task_unsupported"
    assert httpx2.post(f"{door.base_url}{path}", json=body).status_code == 401


def test_rerankers_for_jina_read_why_they_failed(http: httpx2.Client) -> None:
    """LangChain's and LlamaIndex's know of `detail` alone; everybody else of `error`."""
    for fields in ({"model": "nobody"}, {"query": ""}, {"documents": [1]}, {"query": "!bug"}):
        answer = http.post("/v1/rerank", json={"model": "fake-rerank", **ASKED, **fields})
        assert answer.json()["detail"] == answer.json()["error"]["message"]
    assert "detail" not in http.post("/v2/rerank", json={"model": "nobody", **ASKED}).json()
