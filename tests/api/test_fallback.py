"""Another model answers where the one that was asked cannot. Over a socket, on the local door: what
a fallback does is the door's alone."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet

from .doors import Served
from .wire import Caller, counted, until

CHAT, EMBED, RERANK = "/v1/chat/completions", "/v1/embeddings", "/v1/rerank"
SPEAK, HEAR = "/v1/audio/speech", "/v1/audio/transcriptions"


def fake(task: str = "chat", **more: Any) -> dict[str, Any]:
    return {"task": task, "engine": "fake", "source": "builtin://fake", "place": {"node": "here"}, **more}


def remote(base_url: str) -> dict[str, Any]:
    options = {"base_url": base_url, "connect_retries": 0}
    return fake(engine="openai", source="builtin://openai", options=options, fallback=["backup"])


async def broken(scope: Any, receive: Any, send: Any) -> None:
    """An application that can do nothing but fail."""
    if scope["type"] == "http":
        await send({"type": "http.response.start", "status": 500, "headers": []})
        await send({"type": "http.response.body", "body": b"a secret"})


MODELS = {
    # `deaf-…` stay in loading, `…-backup` answer; those between do what a script tells them.
    "deaf": fake(options={"load_s": 600}, fallback=["backup"], aliases=["llm"]),
    "deaf-alone": fake(options={"load_s": 600}),
    "deaf-twice": fake(options={"load_s": 600}, fallback=["deaf"]),
    "scripted": fake(fallback=["narrow", "backup"]),
    "narrow": fake(options={"context": 2}),
    "hasty": fake(timeout_s=0.3, fallback=["patient"]),
    "patient": fake(timeout_s=20, options={"words": 2}),
    "full": fake(scale={"max_ongoing": 1, "max_queued": 0}, fallback=["backup"]),
    "unreachable": remote("http://127.0.0.1:9/v1"),
    "broken": remote("http://BROKEN/v1"),
    "backup": fake(options={"words": 2}),
    "lost": fake(options={"load_s": 600}, fallback=["narrow", "deaf-alone"]),
    **{
        name: stanza
        for task in ("transcribe", "speak", "embed", "rerank")
        for name, stanza in {
            f"{task}-deaf": fake(task, options={"load_s": 600}, fallback=[f"{task}-backup"]),
            f"{task}-scripted": fake(task, fallback=[f"{task}-backup"]),
            f"{task}-backup": fake(task),
        }.items()
    },
}


@dataclass
class LocalDoor:
    base_url: str
    upstream: LocalUpstream
    key: str = "any"


@pytest.fixture(scope="module")
def door() -> Iterator[LocalDoor]:
    other = Served(broken)
    MODELS["broken"]["options"]["base_url"] = other.base_url
    fleet = Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": MODELS})
    upstream = LocalUpstream.from_fleet(fleet)
    served = Served(create_app(Settings(_env_file=None), fleet, upstream))
    until(lambda: all(state.ready for app, state in upstream.states().items() if not waits(app)))
    yield LocalDoor(served.base_url, upstream)
    served.close()
    other.close()


def waits(app: str) -> bool:
    return "deaf" in app or app.startswith("lost")


@pytest.fixture
def http(door: LocalDoor) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=door.base_url, timeout=60) as client:
        yield client


def chat(model: str, script: str = "hello", *, stream: bool = False) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": script}], "stream": stream}


def who(answer: httpx2.Response) -> tuple[int, str | None]:
    return answer.status_code, answer.headers.get("x-motley-fallback")


def fallen(http: httpx2.Client, model: str, fallback: str, reason: str) -> float:
    return counted(http, "motley_fallbacks_total", model=model, fallback=fallback, reason=reason)


def test_without_a_reason_there_is_no_fallback(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=chat("scripted"))
    assert who(answer) == (200, None)
    assert answer.json()["model"] == "scripted"


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("asked", ["deaf", "llm"])
def test_one_that_loads(http: httpx2.Client, stream: bool, asked: str) -> None:
    """Headers, metrics and the answer itself name who answered."""
    before = fallen(http, "deaf", "backup", "model_loading")
    answer = http.post(CHAT, json=chat(asked, stream=stream))
    assert who(answer) == (200, "backup")
    assert (answer.headers["x-motley-variant"], answer.headers["x-motley-engine"]) == ("main", "fake")
    assert answer.headers["x-motley-node"]
    events = [json.loads(part[6:]) for part in answer.text.split("\n\n") if part[6:].startswith("{")]
    assert {one["model"] for one in (events if stream else [answer.json()])} == {"backup"}
    assert answer.text.endswith("data: [DONE]\n\n") == stream
    until(lambda: fallen(http, "deaf", "backup", "model_loading") == before + 1)


def test_through_the_path_of_an_alias(http: httpx2.Client) -> None:
    body = chat("x")
    del body["model"]
    assert who(http.post("/llm" + CHAT, json=body)) == (200, "backup")


def test_without_fallback_loading_is_said(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=chat("deaf-alone"))
    assert who(answer) == (503, None)
    assert (answer.json()["error"]["code"], int(answer.headers["retry-after"]) >= 1) == (
        "model_loading",
        True,
    )


def test_a_fallback_is_followed_by_its_own(http: httpx2.Client) -> None:
    before = fallen(http, "deaf-twice", "backup", "model_loading")
    assert who(http.post(CHAT, json=chat("deaf-twice"))) == (200, "backup")
    until(lambda: fallen(http, "deaf-twice", "backup", "model_loading") == before + 1)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("model", "code"), [("unreachable", "model_down"), ("broken", "engine_failed")])
def test_one_that_is_down_or_broken(http: httpx2.Client, model: str, code: str, stream: bool) -> None:
    before = fallen(http, model, "backup", code)
    answer = http.post(CHAT, json=chat(model, stream=stream))
    assert who(answer) == (200, "backup")
    assert answer.headers["x-motley-engine"] == "fake"
    assert "w1 " in answer.text
    until(lambda: fallen(http, model, "backup", code) == before + 1)


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_is_full(door: LocalDoor, http: httpx2.Client, stream: bool) -> None:
    host = door.upstream.hosts["full--main"]
    with Caller(door, CHAT, json=chat("full", "!slow 20")):  # type: ignore[arg-type]
        until(lambda: host.engine.busy > 0)
        assert who(http.post(CHAT, json=chat("full", stream=stream))) == (200, "backup")
    until(lambda: not host.engine.busy)
    assert who(http.post(CHAT, json=chat("full", stream=stream))) == (200, None)


SCRIPTS = {
    "overloaded": ("!overloaded", (503, None), "overloaded"),
    "broken": ("!bug", (502, None), "engine_failed"),
}


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(("script", "status", "code"), SCRIPTS.values(), ids=SCRIPTS)
def test_when_nobody_can_the_first_one_speaks(
    http: httpx2.Client, stream: bool, script: str, status: tuple[int, str | None], code: str
) -> None:
    """All fakes obey the script, so each fallback fails in turn; `narrow` refuses the prompt."""
    answer = http.post(CHAT, json=chat("scripted", f"{script} and some more", stream=stream))
    assert who(answer) == status
    assert answer.json()["error"]["code"] == code
    assert "secret" not in answer.text
    lost = http.post(CHAT, json=chat("lost", "one two three", stream=stream))
    assert (who(lost), lost.json()["error"]["code"]) == ((503, None), "model_loading")
    assert "`lost`" in lost.json()["error"]["message"]


def test_the_callers_own_mistakes_are_not_passed_on(http: httpx2.Client) -> None:
    too_long = http.post(CHAT, json=chat("scripted", "word " * 2000))
    assert (who(too_long), too_long.json()["error"]["code"]) == ((400, None), "context_length_exceeded")
    voice = {"model": "speak-scripted", "input": "hi", "voice": "nobody"}
    assert who(http.post(SPEAK, json=voice)) == (400, None)
    unknown = http.post(CHAT, json=chat("scripte"))
    assert who(unknown) == (404, None)
    assert who(http.post(EMBED, json={"model": "deaf", "input": "x"})) == (400, None)
    assert who(http.post(CHAT, json=chat("deaf") | {"messages": []})) == (400, None)


@pytest.mark.parametrize("stream", [False, True])
def test_no_field_of_the_body_asks_for_one(http: httpx2.Client, stream: bool) -> None:
    body = chat("deaf-alone", stream=stream)
    assert who(http.post(CHAT, json=body | {"fallback": ["backup"]})) == (503, None)
    refused = http.post(CHAT, json=body | {"fallbacks": ["backup"]})  # LiteLLM's, which would obey it
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "fallbacks")


@pytest.mark.parametrize("stream", [False, True])
def test_one_that_takes_too_long(http: httpx2.Client, stream: bool) -> None:
    """`hasty` has no time for two steps; the fallback has its own time, not what is left."""
    before = fallen(http, "hasty", "patient", "upstream_timeout")
    answer = http.post(CHAT, json=chat("hasty", "!slow 0.7", stream=stream))
    assert who(answer) == (200, "patient")
    assert "w0 " in answer.text
    assert "error" not in answer.text
    until(lambda: fallen(http, "hasty", "patient", "upstream_timeout") == before + 1)


def test_once_begun_an_answer_is_not_begun_again(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=chat("scripted", "!slow 0.02 !words 5 !break 2", stream=True))
    assert who(answer) == (200, None)
    assert answer.text.count("w0 ") == 1
    assert "engine_failed" in answer.text
    assert "[DONE]" not in answer.text


def request(verb: str, script: str) -> tuple[str, dict[str, Any]]:
    match verb:
        case "speak":
            return SPEAK, {"json": {"model": f"speak-{script}", "input": "hi", "voice": "fake"}}
        case "transcribe":
            return HEAR, {"data": {"model": f"transcribe-{script}"}, "files": {"file": ("a.wav", b"RIFF")}}
        case "embed":
            return EMBED, {"json": {"model": f"embed-{script}", "input": "hi"}}
        case _:
            return RERANK, {"json": {"model": f"rerank-{script}", "query": "a", "documents": ["a", "b"]}}


@pytest.mark.parametrize("verb", ["transcribe", "speak", "embed", "rerank"])
def test_every_verb(http: httpx2.Client, verb: str) -> None:
    path, body = request(verb, "deaf")
    answer = http.post(path, **body)
    assert who(answer) == (200, f"{verb}-backup")
    assert len(answer.content) > 20
    if verb in ("embed", "rerank"):
        assert answer.json()["model"] == f"{verb}-backup"
    path, body = request(verb, "scripted")
    own = http.post(path, **body)
    assert who(own) == (200, None)
    if verb in ("embed", "rerank"):
        assert own.json()["model"] == f"{verb}-scripted"


def test_who_leaves_while_a_fallback_works_ends_its_work(door: LocalDoor) -> None:
    host = door.upstream.hosts["backup--main"]
    with Caller(door, CHAT, json=chat("deaf", "!slow 20")):  # type: ignore[arg-type]
        until(lambda: host.engine.busy > 0)
    until(lambda: not host.engine.busy)


def test_the_fleet_shows_it(http: httpx2.Client) -> None:
    assert http.get("/v1/fleet").json()["models"]["scripted"]["fallback"] == ["narrow", "backup"]


@pytest.mark.parametrize(
    ("path", "fields"), [("/tokenize", {"prompt": "a"}), ("/detokenize", {"tokens": [1]})]
)
def test_tokens_of_another_model_are_no_answer(http: httpx2.Client, path: str, fields: Any) -> None:
    answer = http.post(path, json={"model": "deaf", **fields})
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")


def test_a_response_is_the_fallbacks_own(http: httpx2.Client) -> None:
    answer = http.post("/v1/responses", json={"model": "deaf", "input": "hi"})
    assert (answer.json()["model"], answer.headers["x-motley-fallback"]) == ("backup", "backup")


def test_pairs_are_scored_by_one_model(http: httpx2.Client) -> None:
    """A fallback answers for one query, never for some of several: scores of two cannot be compared."""
    body = {"model": "rerank-deaf", "text_1": "a", "text_2": ["a", "b"]}
    assert who(http.post("/score", json=body)) == (200, "rerank-backup")
    assert who(http.post("/score", json={**body, "text_1": ["a", "b"]})) == (503, None)
