"""What the door says of its models, and of itself."""

from functools import partial

import httpx2
import openai
import pytest

from .wire import counted, until

VERBS = {"chat", "transcribe", "speak", "embed", "rerank"}


def test_the_list(sdk: openai.OpenAI) -> None:
    models = {model.id: model for model in sdk.models.list()}
    assert {"fake-chat", "fake-transcribe", "fake-speak", "fake-embed", "fake-rerank"} <= set(models)
    assert "llm" not in models
    assert {model.task for model in models.values()} == VERBS  # type: ignore[attr-defined]
    chat = models["fake-chat"]
    assert (chat.object, chat.owned_by) == ("model", "motley")
    extra = chat.model_extra or {}
    assert (extra["engine"], extra["state"], extra["context_length"]) == ("fake", "ready", 1024)
    assert extra["aliases"] == ["llm", "org/fake-chat"]


@pytest.mark.parametrize("name", ["fake-chat", "llm", "org/fake-chat"])
def test_one_by_name_or_alias(sdk: openai.OpenAI, name: str) -> None:
    """The SDK writes the slash as %2F."""
    model = sdk.models.retrieve(name)
    assert model.id == name
    assert (model.model_extra or {})["task"] == "chat"


def test_one_with_a_bare_slash(http: httpx2.Client) -> None:
    assert http.get("/v1/models/org/fake-chat").json()["id"] == "org/fake-chat"


def test_an_unknown_one(sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        sdk.models.retrieve("nobody/knows")
    assert caught.value.code == "model_not_found"


def test_voices(http: httpx2.Client) -> None:
    voices = http.get("/v1/audio/voices", params={"model": "tts"}).json()["voices"]
    assert {"id": "fake", "name": "fake", "model": "fake-speak"} in voices
    assert {voice["model"] for voice in http.get("/v1/audio/voices").json()["voices"]} >= {"fake-speak"}
    wrong = http.get("/v1/audio/voices", params={"model": "llm"})
    assert (wrong.status_code, wrong.json()["error"]["param"]) == (400, "model")


def test_the_fleet(http: httpx2.Client) -> None:
    models = http.get("/v1/fleet").json()["models"]
    weights = {name: variant["weight"] for name, variant in models["fake-ab"]["variants"].items()}
    assert weights == {"stable": 90, "canary": 10}
    variant = models["fake-chat"]["variants"]["main"]
    assert (variant["engine"], variant["state"], variant["share"]) == ("fake", "ready", 0)
    assert variant["replicas"][0]["pid"] > 0
    assert {"node", "ongoing", "queued", "busy"} <= set(variant["replicas"][0])


def test_health(http: httpx2.Client) -> None:
    assert http.get("/health").json() == {"status": "ok"}
    assert http.get("/-/healthz").text == "success"
    ready = http.get("/ready")
    assert ready.status_code == 200
    assert ready.json()["models"]["fake-chat"]["state"] == "ready"
    assert list(http.get("/llm/ready").json()["models"]) == ["fake-chat"]


def test_head_is_get_without_a_body(http: httpx2.Client) -> None:
    answer = http.head("/health")
    assert (answer.status_code, answer.content) == (200, b"")
    assert int(answer.headers["content-length"]) > 0


def test_the_documentation(http: httpx2.Client) -> None:
    assert "/v1/chat/completions" in http.get("/openapi.json").json()["paths"]
    assert http.get("/docs").status_code == 200


def test_metrics(http: httpx2.Client) -> None:
    body = {"model": "llm", "messages": [{"role": "user", "content": "one two !words 3"}]}
    http.post("/v1/chat/completions", json=body)
    found, where = partial(counted, http), {"verb": "chat", "model": "fake-chat", "variant": "main"}
    until(lambda: found("motley_requests_total", **where, status="200") > 0)
    assert found("motley_http_requests_total", route="/v1/chat/completions", method="POST", status="200")
    assert found("motley_request_seconds_count", **where)
    assert found("motley_tokens_total", **where, kind="completion")
    assert found("motley_variant_ready", app="fake-chat--main") == 1
    until(lambda: found("motley_queue_seconds_count", app="fake-chat--main") > 0)  # its host's own count
