"""What callers see while models load, fail, or change."""

import asyncio
from typing import Any

import pytest

from backends.fleet.traffic import Public

from .conftest import Enter, fleet

ASK = {"model": "slow", "messages": [{"role": "user", "content": "!words 1"}]}
CHAT = "/v1/chat/completions"
SLOW = {"options": {"load_s": 60}}


async def test_loading(enter: Enter) -> None:
    client = await enter(fleet(slow={**SLOW, "aliases": ["s"]}, quick={}))
    await asyncio.sleep(0.05)
    answer = await client.post(CHAT, json=ASK)
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")
    assert int(answer.headers["retry-after"]) >= 1
    assert (await client.post(CHAT, json={**ASK, "model": "quick"})).status_code == 200
    ready = await client.get("/ready")
    assert ready.status_code == 503
    states = {name: model["state"] for name, model in ready.json()["models"].items()}
    assert states == {"slow": "loading", "quick": "ready"}
    assert (await client.get("/quick/ready")).status_code == 200
    assert (await client.get("/s/ready")).status_code == 503
    models = {model["id"]: model["state"] for model in (await client.get("/v1/models")).json()["data"]}
    assert models == states
    assert (await client.get("/health")).status_code == 200


async def test_the_shape_is_checked_before_the_state(enter: Enter) -> None:
    client = await enter(fleet(slow=SLOW))
    assert (await client.post(CHAT, json={**ASK, "messages": []})).status_code == 400


async def test_another_fleet_while_it_serves(enter: Enter) -> None:
    client = await enter(fleet(one={}))
    await asyncio.sleep(0.05)
    client.app.state.catalogue.update(Public(fleet=fleet(one={"aliases": ["llm"]}, two={})))  # type: ignore[attr-defined]
    assert (await client.post("/llm" + CHAT, json=without_model())).json()["model"] == "llm"
    waiting = await client.post(CHAT, json={**ASK, "model": "two"})
    assert (waiting.status_code, waiting.json()["error"]["code"]) == (503, "model_loading")


async def test_no_keys_no_questions(enter: Enter) -> None:
    client = await enter(fleet(one={}))
    for headers in ({}, {"authorization": "Bearer anything"}):
        assert (await client.get("/v1/models", headers=headers)).status_code == 200


async def test_a_small_limit(enter: Enter) -> None:
    client = await enter(fleet(one={}), max_body_mb=0.001)
    await asyncio.sleep(0.05)
    body = {"model": "one", "messages": [{"role": "user", "content": "!words 1"}]}
    assert (await client.post(CHAT, json=body)).status_code == 200
    large = await client.post(CHAT, json={**body, "user": "x" * 1000})
    assert (large.status_code, large.json()["error"]["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("kind", ["application/json", "multipart/form-data; boundary=x"])
async def test_a_client_that_leaves_while_it_sends(enter: Enter, kind: str) -> None:
    """Neither an answer nor a failure of ours: 499 in logs and metrics."""
    client = await enter(fleet(one={}))
    path = CHAT if kind == "application/json" else "/v1/audio/transcriptions"
    coming = [{"type": "http.request", "body": b"--x", "more_body": True}, {"type": "http.disconnect"}]
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return coming.pop(0)

    async def send(message: dict[str, Any]) -> None:
        sent.append(message)

    headers = [(b"content-type", kind.encode()), (b"content-length", b"1000")]
    scope = {"type": "http", "method": "POST", "path": path, "query_string": b"", "headers": headers}
    await client.app(scope, receive, send)  # type: ignore[attr-defined]
    assert sent[0]["status"] == 499


def without_model() -> dict[str, Any]:
    return {name: value for name, value in ASK.items() if name != "model"}
