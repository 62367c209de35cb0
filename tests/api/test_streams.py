"""Streams over a socket: as they are made, kept alive, broken off, left."""

import json
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import httpx2
import openai
import pytest

from .doors import SETTINGS, Door
from .wire import SOON, Caller, counted, seconds_until_idle, until, wait_until_busy

CHAT, HEAR, SPEAK = "/v1/chat/completions", "/v1/audio/transcriptions", "/v1/audio/speech"


def chat(script: str, *, stream: bool = True, model: str = "fake-chat") -> dict[str, Any]:
    messages = [{"role": "user", "content": script}]
    return {"json": {"model": model, "messages": messages, "stream": stream}}


def hear(script: str) -> dict[str, Any]:
    return {
        "data": {"model": "fake-transcribe", "prompt": script},
        "files": {"file": ("a.wav", b"RIFF and more", "audio/wav")},
    }


def speak(script: str) -> dict[str, Any]:
    return {"json": {"model": "fake-speak", "input": script, "voice": "fake", "response_format": "pcm"}}


def embed(script: str) -> dict[str, Any]:
    return {"json": {"model": "fake-embed", "input": script}}


def rerank(script: str) -> dict[str, Any]:
    return {"json": {"model": "fake-rerank", "query": script, "documents": ["a", "b"]}}


def test_silence_is_filled_with_comments(door: Door) -> None:
    with Caller(door, CHAT, **chat("!slow 3 !words 2")) as caller:
        seen = caller.until(b"[DONE]").seen
    assert 2 <= seen.count(b": keep-alive\n\n") <= 6 / SETTINGS["keepalive_s"]
    assert seen.index(b"w0 ") < seen.index(b": keep-alive") < seen.index(b"w1 ")


def test_a_talkative_stream_has_no_comments(sdk: openai.OpenAI, http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=chat("!slow 0.05 !words 20")["json"])
    # None, but for the time that the machine itself stood still.
    lost = answer.elapsed.total_seconds() - 0.05 * 20
    assert answer.text.count("keep-alive") <= lost / SETTINGS["keepalive_s"]
    slow = sdk.chat.completions.create(
        model="fake-chat", messages=[{"role": "user", "content": "!slow 0.9 !words 2"}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in slow) == "w0 w1 "


def test_a_failure_on_the_way_is_one_event_and_the_end(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=chat("!slow 0.05 !words 5 !break 2")["json"])
    assert answer.status_code == 200
    events = [event for event in answer.text.split("\n\n") if event]
    assert all("choices" in json.loads(event.removeprefix("data: ")) for event in events[:-1])
    error = json.loads(events[-1].removeprefix("data: "))["error"]
    assert (error["code"], error["type"], error["param"]) == ("engine_failed", "server_error", None)
    assert "secret" not in answer.text
    assert "[DONE]" not in answer.text


def test_the_sdk_raises_on_a_failure_on_the_way(sdk: openai.OpenAI) -> None:
    stream = sdk.chat.completions.create(
        model="fake-chat", messages=[{"role": "user", "content": "!slow 0.05 !break 2 !words 5"}], stream=True
    )
    with pytest.raises(openai.APIError, match="engine failed"):
        list(stream)


def test_time_runs_out_on_the_way(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=chat("!slow 0.3 !words 50", model="fake-hasty")["json"])
    assert "w0 " in answer.text
    assert "upstream_timeout" in answer.text
    assert "[DONE]" not in answer.text


def cuts(http: httpx2.Client) -> float:
    return counted(http, "motley_streams_cut_total", model="fake-speak", reason="engine_failed")


def test_a_broken_binary_stream_is_cut_and_counted(door: Door, http: httpx2.Client) -> None:
    before = cuts(http)
    with pytest.raises(httpx2.RemoteProtocolError):
        http.post(SPEAK, **speak("!slow 0.1 !words 5 !break 2"))
    with Caller(door, SPEAK, **speak("!slow 0.1 !words 5 !break 2")) as caller:
        assert not caller.rest().endswith(b"0\r\n\r\n")
    until(lambda: cuts(http) == before + 2)


LONG = "!slow 0.3 !words 60"
BEFORE = {
    "chat streamed": ("fake-chat", CHAT, chat("!slow 9 !words 2")),
    "chat whole": ("fake-chat", CHAT, chat(LONG, stream=False)),
    "transcribe": ("fake-transcribe", HEAR, hear(LONG)),
    "speak": ("fake-speak", SPEAK, speak("!slow 9 !words 2")),
    "embed": ("fake-embed", "/v1/embeddings", embed(LONG)),
    "rerank": ("fake-rerank", "/v1/rerank", rerank(LONG)),
}
DURING = {
    "chat": ("fake-chat", CHAT, chat(LONG), b"w0 "),
    "chat, silent": ("fake-chat", CHAT, chat("!slow 8 !words 2"), b": keep-alive"),
    "speak": ("fake-speak", SPEAK, speak(LONG), b"\r\n\r\n"),
}


@pytest.mark.parametrize("case", BEFORE)
def test_who_leaves_before_an_answer_ends_the_work(door: Door, case: str) -> None:
    model, path, body = BEFORE[case]
    with Caller(door, path, **body):
        wait_until_busy(door, model)
    assert seconds_until_idle(door, model) < SOON


@pytest.mark.parametrize("case", DURING)
def test_who_leaves_during_an_answer_ends_the_work(door: Door, case: str) -> None:
    model, path, body, word = DURING[case]
    with Caller(door, path, **body) as caller:
        caller.until(word)
        assert door.busy(model), "pieces come as they are made"
    assert seconds_until_idle(door, model) < SOON


def test_who_leaves_despite_a_header_ends_the_work(door: Door) -> None:
    body = chat(LONG, stream=False)
    with Caller(door, CHAT, {"x-request-disconnect-disabled": "true"}, **body):
        wait_until_busy(door, "fake-chat")
    assert seconds_until_idle(door, "fake-chat") < SOON


def test_the_sdk_leaves_a_stream(door: Door, sdk: openai.OpenAI) -> None:
    messages: list[Any] = [{"role": "user", "content": LONG}]
    with sdk.chat.completions.create(model="fake-chat", messages=messages, stream=True) as stream:
        next(iter(stream))
        assert door.busy("fake-chat")
    assert seconds_until_idle(door, "fake-chat") < SOON


def test_more_than_it_can_take(http: httpx2.Client) -> None:
    """One runs, one waits, the others are told to come back; whoever waited is served."""
    body = chat("!slow 0.5 !words 6", stream=False, model="fake-narrow")["json"]
    with ThreadPoolExecutor(6) as pool:
        answers = list(pool.map(lambda _: http.post(CHAT, json=body), range(6)))
    refused = [answer for answer in answers if answer.status_code == 503]
    assert len(refused) == 4
    for answer in refused:
        assert answer.json()["error"]["code"] == "overloaded"
        assert int(answer.headers["retry-after"]) >= 1
    assert [a.status_code for a in answers].count(200) == 2


def test_one_who_leaves_gives_up_the_place(door: Door, http: httpx2.Client) -> None:
    quick = chat("!words 1", stream=False, model="fake-narrow")["json"]
    for stream in (True, False):
        with Caller(door, CHAT, **chat(LONG, stream=stream, model="fake-narrow")):
            wait_until_busy(door, "fake-narrow")
        seconds_until_idle(door, "fake-narrow")
        assert http.post(CHAT, json=quick).status_code == 200


def test_many_at_once_do_not_mix(http: httpx2.Client) -> None:
    def ask(words: int) -> int:
        answer = http.post(CHAT, json=chat(f"!slow 0.01 !words {words}")["json"])
        return answer.text.count('"content"')

    with ThreadPoolExecutor(8) as pool:
        assert list(pool.map(ask, range(1, 25))) == list(range(1, 25))
