"""Path aliases, request ids and the headers that tell who answered."""

import re

import httpx2
import openai
import pytest

from .doors import Door

CHAT = "/v1/chat/completions"
ASK = {"messages": [{"role": "user", "content": "!words 1"}]}


@pytest.mark.parametrize("alias", ["llm", "fake-chat"])
def test_an_alias_in_the_path_is_the_model(http: httpx2.Client, alias: str) -> None:
    answer = http.post(f"/{alias}{CHAT}", json=ASK)
    assert answer.json()["model"] == alias
    assert answer.headers["x-motley-variant"] == "main"


def test_a_named_model_wins_over_the_path(http: httpx2.Client) -> None:
    assert http.post(f"/llm{CHAT}", json={**ASK, "model": "fake-narrow"}).json()["model"] == "fake-narrow"


def test_every_verb_through_its_alias(http: httpx2.Client) -> None:
    spoken = http.post("/tts/v1/audio/speech", json={"input": "hi", "voice": "fake"})
    assert spoken.headers["content-type"] == "audio/mpeg"
    heard = http.post("/whisper/v1/audio/transcriptions", files={"file": ("a.wav", b"RIFF")})
    assert heard.json()["text"]
    assert http.post("/embeddings/v1/embeddings", json={"input": "hi"}).json()["model"] == "embeddings"
    ranked = http.post("/reranker/v1/rerank", json={"query": "a", "documents": ["a"]})
    assert ranked.json()["model"] == "reranker"


def test_the_same_routes_under_an_alias(door: Door, http: httpx2.Client) -> None:
    assert http.get("/llm/v1/models").json() == http.get("/v1/models").json()
    with openai.OpenAI(base_url=f"{door.base_url}/llm/v1", api_key=door.key, max_retries=0) as sdk:
        assert sdk.models.retrieve("org/fake-chat").id == "org/fake-chat"
        assert sdk.chat.completions.create(model="llm", **ASK).choices[0].message.content == "w0 "  # type: ignore[call-overload]


@pytest.mark.parametrize("given", ["abc-123", "x" * 128, "a b/c"])
def test_a_request_id_comes_back(http: httpx2.Client, given: str) -> None:
    for path in ("/health", "/v1/nothing"):
        assert http.get(path, headers={"x-request-id": given}).headers["x-request-id"] == given


@pytest.mark.parametrize("given", ["", "x" * 129, "tab\there", "caf\xe9"])
def test_an_unfit_request_id_is_replaced(http: httpx2.Client, given: str) -> None:
    answer = http.get("/health", headers=[(b"x-request-id", given.encode("latin-1"))])
    # Ours begins with `req_`; under Serve it is Serve's.
    assert re.fullmatch(r"(req_)?[0-9a-f-]{32,36}", answer.headers["x-request-id"])


def test_request_ids_differ_and_the_sdk_reads_them(sdk: openai.OpenAI) -> None:
    made = {sdk.chat.completions.create(model="llm", **ASK)._request_id for _ in range(3)}  # type: ignore[call-overload]
    assert len(made) == 3
    assert None not in made


@pytest.mark.parametrize("stream", [False, True])
def test_who_answered(http: httpx2.Client, stream: bool) -> None:
    headers = http.post(CHAT, json={**ASK, "model": "llm", "stream": stream}).headers
    assert (headers["x-motley-variant"], headers["x-motley-engine"]) == ("main", "fake")
    assert headers["x-motley-node"]
    assert int(headers["openai-processing-ms"]) >= 0


def test_a_refusal_by_the_engine_says_who(http: httpx2.Client) -> None:
    body = {"model": "llm", "messages": [{"role": "user", "content": "!overloaded"}]}
    assert http.post(CHAT, json=body).headers["x-motley-engine"] == "fake"
