"""Keys at the door: a key in a file, what it opens and what it does not."""

import io
import json
import logging
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

from app.guard import keyfile
from app.telemetry.logs import JsonLines
from tests.unit.app.conftest import Client, Enter, fleet

PEPPER = "0123456789abcdef"
CHAT = "/v1/chat/completions"
MODELS = {"one": {"aliases": ["uno"]}, "two": {}, "vectors": {"task": "embed"}, "voice": {"task": "speak"}}


def ask(model: str) -> dict[str, object]:
    return {"model": model, "messages": [{"role": "user", "content": "!words 1"}]}


def bearer(key: str) -> dict[str, str]:
    return {"authorization": f"Bearer {key}"}


@pytest.fixture
def add(file: Path) -> Callable[..., str]:
    def made(*scopes: str) -> str:
        with keyfile.changing(file) as held:
            key, plain = keyfile.created("ann", scopes, PEPPER.encode(), datetime.now(UTC), None)
            held.append(held[0].with_one(key))
        return plain

    return made


@pytest.fixture
def door(enter: Enter, file: Path) -> Callable[..., object]:
    async def entered(**models: dict[str, object]) -> Client:
        return await enter(fleet(**(models or MODELS)), keys_file=str(file), keys_pepper=PEPPER)

    return entered


async def test_a_key_opens_what_it_names(door: Callable[..., object], add: Callable[..., str]) -> None:
    key = bearer(add("chat:one"))
    client = await door()  # type: ignore[misc]
    assert (await client.post(CHAT, json=ask("one"), headers=key)).status_code == 200
    assert (await client.post(CHAT, json=ask("uno"), headers=key)).status_code == 200
    assert (await client.post(f"/uno{CHAT}", json=ask("one"), headers=key)).status_code == 200
    for path, body in (
        (CHAT, ask("two")),
        (f"/two{CHAT}", ask("two")),
        ("/v1/embeddings", {"model": "vectors", "input": "x"}),
        ("/v1/audio/speech", {"model": "voice", "input": "x", "voice": "a"}),
    ):
        answer = await client.post(path, json=body, headers=key)
        told = answer.json()["error"]
        assert (answer.status_code, told["type"], told["param"], told["code"]) == (
            403, "permission_error", "model", "model_not_allowed",
        )  # fmt: skip
    unknown = await client.post(CHAT, json=ask("three"), headers=key)
    assert (unknown.status_code, unknown.json()["error"]["code"]) == (404, "model_not_found")


async def test_a_key_is_shown_what_it_may_use(door: Callable[..., object], add: Callable[..., str]) -> None:
    client = None
    for scopes, seen in (
        (("chat:*",), ["one", "two"]),
        (("*:vec*", "chat:two"), ["two", "vectors"]),
        (("embed:one",), []),
        (("observer",), ["one", "two", "vectors", "voice"]),
    ):
        key = bearer(add(*scopes))
        client = client or await door()  # type: ignore[misc]
        client.app.state.keyring.refresh()
        listed = (await client.get("/v1/models", headers=key)).json()["data"]
        assert [model["id"] for model in listed] == seen
        assert list((await client.get("/ready", headers=key)).json()["models"]) == seen
        for name in MODELS:
            status = (await client.get(f"/v1/models/{name}", headers=key)).status_code
            assert status == (200 if name in seen else 403)
        voices = await client.get("/v1/audio/voices", headers=key)
        assert bool(voices.json()["voices"]) == ("voice" in seen)
        one = await client.get("/v1/audio/voices?model=voice", headers=key)
        assert one.status_code == (200 if "voice" in seen else 403)


async def test_a_stranger_hears_yes_or_no(door: Callable[..., object]) -> None:
    client = await door()  # type: ignore[misc]
    for headers in ({}, bearer("sk-wrong"), {"authorization": "Basic eA=="}):
        assert (await client.get("/ready", headers=headers)).json() == {"status": "ready"}
        assert (await client.get("/health", headers=headers)).json() == {"status": "ok"}
        # Nor whether there is a model of a name.
        for path in ("/uno/ready", "/nothing/ready"):
            assert (await client.get(path, headers=headers)).status_code == 401


async def test_offices(door: Callable[..., object], add: Callable[..., str]) -> None:
    user, observer, operator = bearer(add("*:*")), bearer(add("observer")), bearer(add("operator"))
    client = await door(one={"options": {"load_s": 0}, "scale": {"replicas": [0, 1]}})  # type: ignore[misc]
    for path in ("/metrics", "/v1/fleet"):
        refused = await client.get(path, headers=user)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "scope_missing")
        assert (await client.get(path, headers=observer)).status_code == 200
        assert (await client.get(path, headers=operator)).status_code == 200
    for path in ("/v1/models/one/load", "/v1/models/one/unload"):
        for headers in (user, observer):
            assert (await client.post(path, headers=headers)).status_code == 403
        assert (await client.post(path, headers=operator)).status_code in (200, 202)
    # Who may look after models may not use them for that.
    assert (await client.post(CHAT, json=ask("one"), headers=operator)).status_code == 403


async def test_a_fallback_is_no_way_round(door: Callable[..., object], add: Callable[..., str]) -> None:
    only, both = bearer(add("chat:one")), bearer(add("chat:one", "chat:two"))
    client = await door(one={"fallback": ["two"], "options": {"load_s": 60}}, two={})  # type: ignore[misc]
    answer = await client.post(CHAT, json=ask("one"), headers=both)
    assert (answer.status_code, answer.headers.get("x-motley-fallback")) == (200, "two")
    refused = await client.post(CHAT, json=ask("one"), headers=only)
    assert (refused.status_code, refused.json()["error"]["code"]) == (503, "model_loading")


async def test_a_refusal_comes_before_the_body(door: Callable[..., object], add: Callable[..., str]) -> None:
    client = await door()  # type: ignore[misc]
    sent = []

    async def receive() -> dict[str, object]:
        raise AssertionError("the body was read")

    async def send(message: dict[str, object]) -> None:
        sent.append(message)

    scope = {"type": "http", "method": "POST", "path": CHAT, "query_string": b"", "headers": []}
    await client.app(scope, receive, send)
    assert sent[0]["status"] == 401


async def test_logs_know_the_id_alone(
    door: Callable[..., object], add: Callable[..., str], file: Path
) -> None:
    plain = add("*:*")
    client = await door()  # type: ignore[misc]
    written = io.StringIO()
    handler = logging.StreamHandler(written)
    handler.setFormatter(JsonLines())
    logger = logging.getLogger("motley.access")
    before = logger.level
    logger.addHandler(handler)
    logger.setLevel("INFO")
    try:
        await client.post(CHAT, json=ask("one"), headers=bearer(plain))
        answer = await client.post(CHAT, json=ask("one"), headers=bearer(plain[:-1] + "_"))
    finally:
        logger.removeHandler(handler)
        logger.setLevel(before)
    known, unknown = [json.loads(line) for line in written.getvalue().splitlines()]
    assert known["key"] == keyfile.read(file).keys[0].id
    assert (unknown["status"], unknown["code"]) == (401, "invalid_api_key")
    assert "key" not in unknown
    assert plain[3:-1] not in written.getvalue() + answer.text


async def test_pages_of_others(enter: Enter) -> None:
    """The Ray LLM ingress sends `*` together with credentials. Defence: pages are let in by name, and no
    answer ever allows credentials."""
    page = {"origin": "https://chat.example.com"}
    asked = {
        **page,
        "access-control-request-method": "POST",
        "access-control-request-headers": "authorization",
    }
    client = await enter(fleet(one={}), api_keys="sk-a", cors_origins="https://chat.example.com")
    leave = await client.options(CHAT, headers=asked)
    assert leave.status_code == 200
    assert leave.headers["access-control-allow-origin"] == page["origin"]
    answered = await client.post(CHAT, json=ask("one"), headers={**page, **bearer("sk-a"), "cookie": "a=b"})
    refused = await client.post(CHAT, json=ask("one"), headers=page)
    assert (answered.status_code, refused.status_code) == (200, 401)
    for answer in (leave, answered, refused):
        assert answer.headers["access-control-allow-origin"] == page["origin"]
        assert "access-control-allow-credentials" not in answer.headers
    other = {**asked, "origin": "https://evil.example"}
    assert "access-control-allow-origin" not in (await client.options(CHAT, headers=other)).headers
    every = await enter(fleet(one={}), api_keys="sk-a", cors_origins="*")
    leave = await every.options(CHAT, headers=other)
    assert leave.headers["access-control-allow-origin"] in ("*", other["origin"])
    assert "access-control-allow-credentials" not in leave.headers
    none = await enter(fleet(one={}), api_keys="sk-a")
    assert "access-control-allow-origin" not in (await none.get("/health", headers=page)).headers


async def test_a_strangers_page_cannot_unload_a_model(enter: Enter) -> None:
    """A post without a body needs no leave of the server's: its answer is hidden, its work is done."""
    client = await enter(fleet(one={"scale": {"replicas": [0, 1]}}))
    page = {"origin": "https://evil.example"}
    refused = await client.post("/v1/models/one/unload", headers=page)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "origin_not_allowed")
    rebound = await client.get("/v1/models", headers={"host": "evil.example"})
    assert (rebound.status_code, rebound.json()["error"]["code"]) == (403, "host_not_allowed")
    assert (await client.get("/health", headers={"host": "motley.example.com"})).status_code == 200
    assert (await client.get("/ready", headers={"host": "motley.example.com"})).json() == {"status": "ready"}
    everyone = await enter(fleet(one={}), open_to_all=True)
    assert (await everyone.get("/v1/models", headers={"host": "motley.example.com"})).status_code == 200


async def test_a_door_starts_with_its_keys_or_not_at_all(enter: Enter, tmp_path: Path) -> None:
    with pytest.raises(keyfile.KeysError):
        await enter(fleet(one={}), keys_file=str(tmp_path / "none.json"), keys_pepper=PEPPER)


async def test_limits(door: Callable[..., object], file: Path) -> None:
    with keyfile.changing(file) as held:
        amounts = {"requests/minute": 2, "tokens/day": 1000, "characters/day": 5}
        key, plain = keyfile.created("ann", ["*:*"], PEPPER.encode(), datetime.now(UTC), None, amounts)
        held.append(held[0].with_one(key))
    client = await door()  # type: ignore[misc]
    for _ in range(5):  # what asks no model is free
        listed = await client.get("/v1/models", headers=bearer(plain))
        assert "x-ratelimit-limit-requests" not in listed.headers
    first = await client.post(CHAT, json=ask("one"), headers=bearer(plain))
    second = await client.post(
        "/v1/embeddings", json={"model": "vectors", "input": "a b"}, headers=bearer(plain)
    )
    assert (first.status_code, second.status_code) == (200, 200)
    assert [one.headers["x-ratelimit-remaining-requests"] for one in (first, second)] == ["1", "0"]
    used = first.json()["usage"]["total_tokens"]
    assert second.headers["x-ratelimit-remaining-tokens"] == str(1000 - used)
    refused = await client.post(CHAT, json=ask("one"), headers=bearer(plain))
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "rate_limit_exceeded")
    assert refused.json()["error"]["type"] == "rate_limit_error"
    assert 0 < int(refused.headers["retry-after"]) <= 60
    assert refused.headers["x-ratelimit-remaining-requests"] == "0"


async def test_characters_and_sound(door: Callable[..., object], file: Path) -> None:
    with keyfile.changing(file) as held:
        amounts = {"characters/day": 5, "audio_seconds/day": 1000}
        key, plain = keyfile.created("ann", ["*:*"], PEPPER.encode(), datetime.now(UTC), None, amounts)
        held.append(held[0].with_one(key))
    client = await door(voice={"task": "speak"}, ear={"task": "transcribe"})  # type: ignore[misc]
    say = {"model": "voice", "voice": "fake", "input": "four", "response_format": "wav"}
    spoken = await client.post("/v1/audio/speech", json=say, headers=bearer(plain))
    assert spoken.status_code == 200
    mistaken = await client.post("/v1/audio/speech", json={**say, "voice": "nobody"}, headers=bearer(plain))
    assert mistaken.status_code == 400
    upload = {"file": ("a.wav", spoken.content, "audio/wav")}
    for path in ("/v1/audio/transcriptions", "/v1/audio/translations"):
        heard = await client.post(path, data={"model": "ear"}, files=upload, headers=bearer(plain))
        assert (heard.status_code, heard.headers["x-ratelimit-remaining-characters"]) == (200, "1"), (
            heard.text
        )
    again = await client.post("/v1/audio/speech", json=say, headers=bearer(plain))
    assert again.status_code == 200
    assert int(again.headers["x-ratelimit-remaining-audio-seconds"]) < 1000
    refused = await client.post("/v1/audio/speech", json=say, headers=bearer(plain))
    assert refused.status_code == 429
    assert "5 characters per day" in refused.json()["error"]["message"]
