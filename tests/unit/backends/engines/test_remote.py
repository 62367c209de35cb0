"""The engine that asks another server. respx stands for the server; a socket does where bytes matter."""

import array
import asyncio
import base64
import email
import json
import logging
import os
import tempfile
from collections.abc import AsyncGenerator, AsyncIterator, Callable
from contextlib import AsyncExitStack, aclosing
from typing import Any

import httpx
import pytest
import respx

from backends.contract.audio import Spooled
from backends.contract.engine import Chats, Embeds, GpuShare, ModelRef, Reranks, Speaks, Transcribes
from backends.contract.errors import (
    ContextExceeded,
    EngineFailed,
    GatewayError,
    InvalidRequest,
    MediaTooLong,
    MediaUnsupported,
    ModelDown,
    Overloaded,
    TooLarge,
    UpstreamTimeout,
)
from backends.contract.results import ChatChunk, Heard, Logprob, Pcm, Usage
from backends.contract.tasks import ChatTask, EmbedTask, RerankTask, SpeakTask, TranscribeTask, Vad
from backends.engines.remote import Remote
from backends.sources import locate

BASE = "http://there:8000/v1"
CHAT, HEAR, SPEAK = f"{BASE}/chat/completions", f"{BASE}/audio/transcriptions", f"{BASE}/audio/speech"
EMBED, RERANK = f"{BASE}/embeddings", f"{BASE}/rerank"
KEY = "sk-very-secret-key"
Make = Callable[..., Any]


@pytest.fixture
async def make() -> AsyncIterator[Make]:
    """`await make(option=…)`: a loaded engine named `here`, which is `there-model` on the server."""
    async with AsyncExitStack() as stack:

        async def made(**options: Any) -> Remote:
            whole = {"base_url": BASE, "model": "there-model", "connect_retries": 0, **options}
            ref = ModelRef("here", "chat", "builtin://openai", locate("builtin://openai"))
            engine = Remote(ref, Remote.Options(**whole), GpuShare())
            await engine.load(lambda *_: None)
            stack.push_async_callback(engine.close)
            return engine

        yield made


def chat(stream: bool = True, **more: Any) -> ChatTask:
    body = {"model": "alias", "messages": [{"role": "user", "content": "hi"}], "stream": stream, **more}
    return ChatTask("req-1", body)


def event(delta: dict[str, Any] | None = None, finish: str | None = None, **more: Any) -> bytes:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    chunk = {
        "id": "c1",
        "object": "chat.completion.chunk",
        "model": "there-model",
        "choices": choices,
        **more,
    }
    return b"data: " + json.dumps(chunk).encode() + b"\n\n"


COUNTED = {"prompt_tokens": 5, "completion_tokens": 2, "total_tokens": 7}
ROLE, WORD = event({"role": "assistant", "content": ""}), event({"content": "hi"})
STOP, USAGE, DONE = event({}, "stop"), event(usage=COUNTED), b"data: [DONE]\n\n"


class Body(httpx.AsyncByteStream):
    """Pieces of a body, then silence if `hangs`; knows whether it was closed."""

    def __init__(self, *pieces: bytes, hangs: bool = False, breaks: bool = False) -> None:
        self.pieces, self.hangs, self.breaks, self.closed = pieces, hangs, breaks, False

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self.pieces:
            yield piece
        if self.breaks:
            raise httpx.ReadError("gone")
        if self.hangs:
            await asyncio.sleep(60)

    async def aclose(self) -> None:
        self.closed = True


def streamed(*pieces: bytes, **how: bool) -> tuple[httpx.Response, Body]:
    body = Body(*pieces, **how)
    return httpx.Response(200, stream=body, headers={"content-type": "text/event-stream"}), body


async def everything(stream: AsyncGenerator[Any, None]) -> list[Any]:
    return [item async for item in stream]


def shown(chunks: list[ChatChunk]) -> list[dict[str, Any]]:
    events = b"".join(chunk.events for chunk in chunks).split(b"\n\n")
    assert events.pop() == b""
    return [json.loads(one.removeprefix(b"data: ")) for one in events]


def sent(router: respx.MockRouter) -> dict[str, Any]:
    return json.loads(router.calls.last.request.content)


async def failure(engine: Remote, task: ChatTask | None = None) -> GatewayError:
    with pytest.raises(GatewayError) as caught:
        await everything(engine.chat(task or chat()))
    return caught.value


async def test_it_does_every_verb(make: Make) -> None:
    engine = await make()
    assert all(isinstance(engine, verb) for verb in (Chats, Transcribes, Speaks, Embeds, Reranks))
    assert await engine.healthy()
    assert engine.facts() == {}
    assert Remote.estimate(ModelRef("m", "chat", ""), engine, GpuShare()).weights == 0


# --- chat


async def test_a_stream_passes_with_the_callers_name(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT).mock(streamed(ROLE, WORD, STOP, USAGE, DONE)[0])
    chunks = await everything((await make()).chat(chat(tools=[{"type": "function"}], seed=2**70)))
    assert sent(respx_mock) == {
        "model": "there-model",
        "messages": [{"role": "user", "content": "hi"}],
        "stream": True,
        "tools": [{"type": "function"}],
        "seed": 2**70,
        "stream_options": {"include_usage": True},
    }
    assert respx_mock.calls.last.request.headers["x-request-id"] == "req-1"
    events = shown(chunks)
    assert {one["model"] for one in events} == {"alias"}
    assert [one["choices"][0]["delta"].get("content") for one in events] == ["", "hi", None]
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["stop"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(5, 2)]
    assert sum(chunk.tokens for chunk in chunks) == 1


async def test_usage_is_counted_but_not_shown_unasked(make: Make, respx_mock: respx.MockRouter) -> None:
    """OpenAI writes null in every chunk, others running counts, others the sum in the last one."""
    pieces = (event({"content": "a"}, usage=None), event({}, "stop", usage=COUNTED), DONE)
    respx_mock.post(CHAT).mock(streamed(*pieces)[0])
    chunks = await everything((await make()).chat(chat(stream_options={"include_usage": False})))
    assert all("usage" not in one for one in shown(chunks))
    assert [chunk.usage for chunk in chunks] == [None, Usage(5, 2)]


async def test_usage_that_was_asked_for_is_shown(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(CHAT).mock(streamed(WORD, STOP, USAGE, DONE)[0])
    options = {"include_usage": True, "continuous_usage_stats": True}
    chunks = await everything((await make()).chat(chat(stream_options=options)))
    assert sent(respx_mock)["stream_options"] == options
    assert shown(chunks)[-1]["usage"] == COUNTED
    assert chunks[-1].usage == Usage(5, 2)


async def test_what_needs_no_change_passes_byte_by_byte(make: Make, respx_mock: respx.MockRouter) -> None:
    odd = b'data: {"model" : "alias","x":1.50,"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n'
    respx_mock.post(CHAT).mock(streamed(odd, DONE)[0])
    [chunk] = await everything((await make()).chat(chat()))
    assert chunk.events == odd


@pytest.mark.parametrize("size", [1, 2, 7, 1000])
async def test_bytes_come_in_any_pieces(make: Make, respx_mock: respx.MockRouter, size: int) -> None:
    """Comments, carriage returns, fields that say nothing here, events without a space."""
    raw = (
        b": a comment\n\n" + ROLE.replace(b"\n", b"\r\n") + b"event: message\nid: 4\n" + WORD
        + b"\n\n" + STOP.replace(b"data: ", b"data:") + b"data: [DONE]"
    )  # fmt: skip
    pieces = [raw[at : at + size] for at in range(0, len(raw), size)]
    respx_mock.post(CHAT).mock(streamed(*pieces)[0])
    events = shown(await everything((await make()).chat(chat())))
    assert [one["choices"][0]["delta"] for one in events] == [
        {"role": "assistant", "content": ""},
        {"content": "hi"},
        {},
    ]


async def test_an_answer_in_one_document(make: Make, respx_mock: respx.MockRouter) -> None:
    choice = {"index": 0, "message": {"role": "assistant", "content": "é"}, "finish_reason": "length"}
    answer = {"id": "c", "model": "there-model", "choices": [choice], "usage": COUNTED, "vendor": [1]}
    respx_mock.post(CHAT).respond(json=answer)
    [chunk] = await everything((await make()).chat(chat(stream=False)))
    assert json.loads(chunk.events) == {**answer, "model": "alias"}
    assert (chunk.finish, chunk.usage, chunk.tokens) == ("length", Usage(5, 2), 2)
    assert "stream_options" not in sent(respx_mock)


async def test_an_event_of_several_lines(make: Make, respx_mock: respx.MockRouter) -> None:
    raw = b'data: {"model": "alias",\ndata:  "choices": [{"delta": {}, "finish_reason": "stop"}]}\n\n'
    respx_mock.post(CHAT).mock(streamed(raw, DONE)[0])
    [event] = shown(await everything((await make()).chat(chat())))
    assert event["choices"][0]["finish_reason"] == "stop"


async def test_completions(make: Make, respx_mock: respx.MockRouter) -> None:
    choice = {"index": 0, "text": "hi", "finish_reason": "stop"}
    raw = b"data: " + json.dumps({"model": "there-model", "choices": [choice]}).encode() + b"\n\n"
    respx_mock.post(f"{BASE}/completions").mock(streamed(raw, USAGE, DONE)[0])
    task = ChatTask("r", {"model": "alias", "prompt": "x", "stream": True}, surface="completions")
    chunks = await everything((await make()).chat(task))
    assert [one["choices"] for one in shown(chunks)] == [[choice]]
    assert (chunks[0].tokens, chunks[1].usage) == (1, Usage(5, 2))


BROKEN = {
    "an error event": (
        WORD,
        b'data: {"error": {"message": "at /opt/there/engine.py", "code": 500}}\n\n',
        DONE,
    ),
    "no JSON": (WORD, b"data: {oh\n\n"),
    "no object": (b"data: [1]\n\n",),
    "the end before the end": (ROLE, WORD),
    "nothing": (),
}


@pytest.mark.parametrize("pieces", BROKEN.values(), ids=BROKEN)
async def test_a_broken_stream(make: Make, respx_mock: respx.MockRouter, pieces: tuple[bytes, ...]) -> None:
    respx_mock.post(CHAT).mock(streamed(*pieces)[0])
    error = await failure(await make())
    assert type(error) is EngineFailed
    assert "/opt" not in error.message


async def test_a_connection_that_breaks_on_the_way(make: Make, respx_mock: respx.MockRouter) -> None:
    response, body = streamed(WORD, breaks=True)
    respx_mock.post(CHAT).mock(response)
    assert type(await failure(await make())) is EngineFailed
    assert body.closed


@pytest.mark.parametrize(
    "answer", [b"{}", b'{"choices": []}', b"[]", b"<html>", b'{"error": {"message": "no"}}']
)
async def test_a_document_that_is_no_answer(make: Make, respx_mock: respx.MockRouter, answer: bytes) -> None:
    respx_mock.post(CHAT).respond(content=answer)
    assert type(await failure(await make(), chat(stream=False))) is EngineFailed


@pytest.mark.parametrize("stream", [True, False])
async def test_a_number_that_json_cannot_say(make: Make, respx_mock: respx.MockRouter, stream: bool) -> None:
    error = await failure(await make(), chat(stream, logit_bias={"1": float("nan")}))
    assert error.status == 400
    assert not respx_mock.calls


async def test_leaving_hangs_up_at_once(make: Make, respx_mock: respx.MockRouter) -> None:
    response, body = streamed(WORD, hangs=True)
    respx_mock.post(CHAT).mock(response)
    engine = await make()
    async with aclosing(engine.chat(chat())) as chunks:
        await anext(chunks)
        assert engine.busy == 1
    assert body.closed
    assert engine.busy == 0


async def test_being_cancelled_hangs_up_at_once(make: Make, respx_mock: respx.MockRouter) -> None:
    response, body = streamed(hangs=True)
    respx_mock.post(CHAT).mock(response)
    engine = await make()
    asking = asyncio.create_task(everything(engine.chat(chat(stream=False))))
    while not engine.busy:
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait({asking})
    assert asking.cancelled()
    assert body.closed
    assert engine.busy == 0


# --- refusals

REFUSALS: dict[str, tuple[int, type[GatewayError], int]] = {
    "bad request": (400, InvalidRequest, 400),
    "unprocessable": (422, InvalidRequest, 400),
    "wrong key": (401, EngineFailed, 502),
    "no money": (402, EngineFailed, 502),
    "may not": (403, EngineFailed, 502),
    "no such model": (404, EngineFailed, 502),
    "moved": (307, EngineFailed, 502),
    "slow": (408, UpstreamTimeout, 504),
    "large": (413, TooLarge, 413),
    "media": (415, MediaUnsupported, 400),
    "quota": (429, Overloaded, 503),
    "broken": (500, EngineFailed, 502),
    "bad gateway": (502, EngineFailed, 502),
    "full": (503, Overloaded, 503),
    "gateway timeout": (504, UpstreamTimeout, 504),
    "empty": (204, EngineFailed, 502),
}
LOUD = "there-model at https://api.there.example/v1 with sk-very-secret-key failed in /opt/there/engine.py"


@pytest.mark.parametrize("stream", [True, False])
@pytest.mark.parametrize(("status", "kind", "ours"), REFUSALS.values(), ids=REFUSALS)
async def test_what_a_refusal_means(
    make: Make,
    respx_mock: respx.MockRouter,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    stream: bool,
    status: int,
    kind: type[GatewayError],
    ours: int,
) -> None:
    monkeypatch.setenv("THERE_KEY", KEY)
    caplog.set_level("DEBUG")
    error = {"message": LOUD, "param": "temperature", "type": "x", "code": "y"}
    headers = {"location": "http://elsewhere/", "retry-after": "7"}
    respx_mock.post(CHAT).respond(status, json={"error": error}, headers=headers)
    said = await failure(await make(key_env="THERE_KEY"), chat(stream))
    assert (type(said), said.status) == (kind, ours)
    assert said.retry_after == (7 if kind is Overloaded else None)
    assert said.param == (
        "temperature" if kind is InvalidRequest else "file" if kind is MediaUnsupported else None
    )
    for private in ("there-model", "there.example", KEY, "/opt"):
        assert private not in said.message
        assert KEY not in caplog.text
    assert len(respx_mock.calls) == 1
    assert respx_mock.calls.last.request.headers["authorization"] == f"Bearer {KEY}"


SENTENCES: dict[str, tuple[Any, str]] = {
    "a sentence": ("'temperature' must be\n at most 2", "'temperature' must be at most 2"),
    "ours for theirs": ("`there-model` has no tools", "`here` has no tools"),
    "a name inside a word": ("there-model2 and not-there-model", "there-model2 and not-there-model"),
    "an address": ("10.0.0.3:8000 in version 1.2.3", "… in version 1.2.3"),
    "a fraction is no path": ("1/2 of n/a", "1/2 of n/a"),
    "too much": ("x" * 1000, "x" * 299 + "…"),
    "a traceback": ("Traceback (most recent call last): secrets", "the remote server refused the request"),
    "an object": ({"a": 1}, "the remote server refused the request"),
    "nothing": (None, "the remote server refused the request"),
}


@pytest.mark.parametrize(("given", "said"), SENTENCES.values(), ids=SENTENCES)
async def test_of_its_words_a_clean_sentence(
    make: Make, respx_mock: respx.MockRouter, given: Any, said: str
) -> None:
    respx_mock.post(CHAT).respond(400, json={"error": {"message": given, "param": "a b"}})
    error = await failure(await make())
    assert (error.message, error.param, error.code) == (said, None, "invalid_request")


@pytest.mark.parametrize("raw", [b"", b"<html>", b"[]", b'{"detail": "there"}', b'{"error": "there"}'])
async def test_a_refusal_without_the_envelope(make: Make, respx_mock: respx.MockRouter, raw: bytes) -> None:
    respx_mock.post(CHAT).respond(400, content=raw)
    assert (await failure(await make())).message == "the remote server refused the request"


@pytest.mark.parametrize(
    "said", [{"code": "context_length_exceeded"}, {"code": 400, "param": "input_tokens"}]
)
async def test_a_prompt_that_does_not_fit(
    make: Make, respx_mock: respx.MockRouter, said: dict[str, Any]
) -> None:
    respx_mock.post(CHAT).respond(400, json={"error": {"message": "too long", **said}})
    error = await failure(await make())
    assert (type(error), error.param) == (ContextExceeded, "messages")


@pytest.mark.parametrize(
    ("given", "seconds"),
    [("0", 1), ("1e9", 3600), ("nan", 1), ("soon", 1), ("Wed, 21 Oct 2015 07:28:00 GMT", 1)],
)
async def test_when_to_come_back(
    make: Make, respx_mock: respx.MockRouter, given: str, seconds: float
) -> None:
    respx_mock.post(CHAT).respond(429, headers={"retry-after": given})
    assert (await failure(await make())).retry_after == seconds


@pytest.mark.parametrize(
    ("trouble", "kind"),
    [
        (httpx.ConnectError, ModelDown),
        (httpx.ConnectTimeout, ModelDown),
        (httpx.ReadTimeout, UpstreamTimeout),
        (httpx.WriteTimeout, UpstreamTimeout),
        (httpx.ReadError, EngineFailed),
        (httpx.RemoteProtocolError, EngineFailed),
    ],
)
async def test_trouble_on_the_way(
    make: Make, respx_mock: respx.MockRouter, trouble: type[httpx.HTTPError], kind: type[GatewayError]
) -> None:
    respx_mock.post(CHAT).mock(side_effect=trouble)
    engine = await make()
    error = await failure(engine)
    assert type(error) is kind
    assert "there" not in error.message
    assert engine.busy == 0
    assert await engine.healthy()


# --- a server on a socket


async def serve(answer: bytes | None, port: int = 0) -> tuple[asyncio.Server, int]:
    """None: it never answers, and waits for the client to hang up."""

    async def talk(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        if answer is None:
            await reader.read()
        else:
            writer.write(answer)
            await writer.drain()
        writer.close()
        await writer.wait_closed()

    server = await asyncio.start_server(talk, "127.0.0.1", port)
    return server, server.sockets[0].getsockname()[1]


async def test_connecting_is_tried_again(make: Make) -> None:
    """The server comes up between the first try and the second."""
    server, port = await serve(b"")
    server.close()
    await server.wait_closed()
    engine = await make(base_url=f"http://127.0.0.1:{port}/v1", connect_retries=2)
    asking = asyncio.create_task(engine.rerank(RerankTask("r", "q", ("a",))))
    await asyncio.sleep(0.1)
    body = b'{"results": [{"index": 0, "relevance_score": 0.5}]}'
    head = b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body)
    server, _ = await serve(head + body, port)
    async with server:
        assert (await asking).scores == (0.5,)
    with pytest.raises(ModelDown):
        await (await make(base_url=f"http://127.0.0.1:{port}/v1")).rerank(RerankTask("r", "q", ("a",)))


async def test_no_proxy_of_the_environment_comes_between(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    server, port = await serve(b"HTTP/1.1 503 No\r\ncontent-length: 0\r\n\r\n")
    async with server:
        engine = await make(base_url=f"http://127.0.0.1:{port}/v1")
        assert type(await failure(engine)) is Overloaded


async def test_a_silent_server(make: Make) -> None:
    server, port = await serve(None)
    async with server:
        engine = await make(base_url=f"http://127.0.0.1:{port}", read_s=0.1)
        assert type(await failure(engine)) is UpstreamTimeout
        await engine.close()


# --- the other verbs


async def hear(engine: Remote, **more: Any) -> Heard:
    [heard] = await everything(engine.transcribe(TranscribeTask("r", b"RIFF....WAVE", **more)))
    return heard


async def test_what_was_heard(make: Make, respx_mock: respx.MockRouter) -> None:
    segments = [
        {"id": 0, "start": 0, "end": 1.5, "text": " Hello", "tokens": [1], "avg_logprob": -0.5},
        {"id": 1, "start": 1.5, "end": 3, "text": " there."},
    ]
    words = [{"word": "Hello", "start": 0.1, "end": 1.4}, {"word": "there", "start": 1.5, "end": 3.2}]
    answer = {
        "language": "haitian creole",
        "duration": 3.5,
        "segments": segments,
        "words": words,
        "text": "x",
    }
    respx_mock.post(HEAR).respond(json=answer)
    heard = await hear(await make(), prompt="greetings", words=True, temperature=0.5)
    assert (heard.position, heard.language) == (3.5, "ht")
    assert [(one.start, one.end, one.text) for one in heard.segments] == [
        (0, 1.5, " Hello"),
        (1.5, 3, " there."),
    ]
    assert [[word.text for word in one.words] for one in heard.segments] == [["Hello"], ["there"]]
    assert (heard.segments[0].avg_logprob, heard.segments[0].tokens) == (-0.5, (1,))
    form = respx_mock.calls.last.request.content.decode()
    for part in (
        "there-model",
        "verbose_json",
        "greetings",
        "0.5",
        "segment",
        "word",
        'filename="audio.wav"',
    ):
        assert part in form
    assert 'name="language"' not in form


async def test_a_translation(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(f"{BASE}/audio/translations").respond(json={"text": "Hello", "language": "english"})
    assert (await hear(await make(), to="en")).segments[0].text == "Hello"
    for more, param in (
        ({"words": True}, "timestamp_granularities"),
        ({"languages": ("de",)}, "language"),
        ({"keywords": ("a",)}, "keywords"),
        ({"vad": Vad()}, "chunking_strategy"),
    ):
        with pytest.raises(InvalidRequest) as refused:
            await hear(await make(), to="en", **more)
        assert refused.value.param == param


@pytest.mark.parametrize(
    ("asked", "fields"),
    [
        ({}, {}),
        ({"languages": ("de",)}, {"language": ["de"]}),
        ({"languages": ("de", "fr")}, {"languages[]": ["de", "fr"]}),
        ({"keywords": ("Motley", "☂")}, {"keywords[]": ["Motley", "☂"]}),
        ({"vad": Vad()}, {"chunking_strategy": ["auto"]}),
        (
            {"vad": Vad(0.25, 0.1, 0.7)},
            {
                "chunking_strategy[type]": ["server_vad"],
                "chunking_strategy[threshold]": ["0.25"],
                "chunking_strategy[prefix_padding_ms]": ["100"],
                "chunking_strategy[silence_duration_ms]": ["700"],
            },
        ),
    ],
)
async def test_a_form_has_the_names_of_openai(
    make: Make, respx_mock: respx.MockRouter, asked: dict[str, Any], fields: dict[str, list[str]]
) -> None:
    respx_mock.post(HEAR).respond(json={"text": "Hello"})
    await hear(await make(), **asked)
    sent = form(respx_mock)
    assert {name: sent.get(name) for name in fields} == fields
    assert set(sent) == {"file", "model", "response_format", "temperature"} | set(fields)


def form(respx_mock: respx.MockRouter) -> dict[str, list[str]]:
    """The fields of the last form, in order."""
    request = respx_mock.calls.last.request
    head = b"content-type: " + request.headers["content-type"].encode() + b"\r\n\r\n"
    fields = dict[str, list[str]]()
    for part in email.message_from_bytes(head + request.content).walk():
        name = part.get_param("name", header="content-disposition")
        if isinstance(name, str):
            value = part.get_payload(decode=True)
            assert isinstance(value, bytes)
            fields.setdefault(name, []).append(value.decode())
    return fields


async def test_probabilities(make: Make, respx_mock: respx.MockRouter) -> None:
    one = {"token": "Hello", "bytes": [72], "logprob": -0.5}
    respx_mock.post(HEAR).respond(json={"text": "Hello", "logprobs": [one]})
    heard = await hear(await make(), logprobs=True)
    assert heard.segments[0].logprobs == (Logprob("Hello", -0.5),)
    sent = form(respx_mock)
    assert (sent["include[]"], sent["response_format"]) == (["logprobs"], ["json"])
    respx_mock.post(HEAR).respond(json={"text": "", "logprobs": []})
    assert (await hear(await make(), logprobs=True)).segments == ()
    respx_mock.post(HEAR).respond(json={"text": "Hello"})
    with pytest.raises(InvalidRequest) as refused:
        await hear(await make(), logprobs=True)
    assert refused.value.param == "include"


async def test_what_turns_out_too_long_is_refused(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(HEAR).respond(json={"text": "Hello", "duration": 61})
    assert (await hear(await make(), longest_s=61)).position == 61
    with pytest.raises(MediaTooLong) as refused:
        await hear(await make(), longest_s=60)
    assert refused.value.param == "file"


async def test_a_server_that_knows_no_times(make: Make, respx_mock: respx.MockRouter) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        if b"verbose_json" in request.content:
            return httpx.Response(400, json={"error": {"message": "no", "param": "response_format"}})
        return httpx.Response(200, json={"text": "Hello", "usage": {"type": "duration", "seconds": 4}})

    respx_mock.post(HEAR).mock(side_effect=answer)
    engine = await make()
    heard = await hear(engine, languages=("en",))
    assert (heard.position, heard.language, heard.segments[0].text) == (4, "en", "Hello")
    assert len(respx_mock.calls) == 2
    await hear(engine)
    assert len(respx_mock.calls) == 3  # it is not asked for times again
    with pytest.raises(InvalidRequest) as refused:
        await hear(engine, words=True)
    assert refused.value.param == "timestamp_granularities"


async def test_plain_text_and_silence_were_heard(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(HEAR).respond(text="Hello", headers={"content-type": "text/plain; charset=utf-8"})
    assert (await hear(await make())).segments[0].text == "Hello"
    respx_mock.post(HEAR).respond(json={"text": "", "duration": 2})
    assert await hear(await make()) == Heard(2.0)


@pytest.mark.parametrize(
    ("audio", "name"),
    [
        (b"ID3xxxx", "mp3"),
        (b"\xff\xfbxxxx", "mp3"),
        (b"\0\0\0 ftypM4A ", "m4a"),
        (b"\x1aE\xdf\xa3", "webm"),
        (b"?", "wav"),
    ],
)
async def test_a_file_has_the_name_of_its_kind(
    make: Make, respx_mock: respx.MockRouter, audio: bytes, name: str
) -> None:
    respx_mock.post(HEAR).respond(json={"text": ""})
    await everything((await make()).transcribe(TranscribeTask("r", audio)))
    assert f'filename="audio.{name}"'.encode() in respx_mock.calls.last.request.content


async def test_a_large_file_is_sent_as_it_lies(make: Make, respx_mock: respx.MockRouter) -> None:
    """Twice: such a server wants another format than the one that was asked for first."""
    asked = respx_mock.post(HEAR)
    wanted = {"message": "no verbose_json", "param": "response_format", "code": "unsupported_value"}
    refused = httpx.Response(400, json={"error": wanted})
    asked.side_effect = [refused, httpx.Response(200, json={"text": "Hello"})]
    data = b"fLaC" + os.urandom(3_000_000)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        await everything((await make()).transcribe(TranscribeTask("r", Spooled(file, len(data)))))
    assert len(asked.calls) == 2
    for call in asked.calls:
        assert b'filename="audio.flac"' in call.request.content
        assert data in call.request.content


async def test_speech(make: Make, respx_mock: respx.MockRouter) -> None:
    """Samples of two bytes, whatever pieces they come in."""
    respx_mock.post(SPEAK).mock(streamed(b"\1", b"\2\3\4\5", b"\6\7\x08", b"\x09")[0])
    spoken = await everything((await make()).speak(SpeakTask("r", "Hello", "nova", 1.5)))
    assert b"".join(piece.samples for piece in spoken) == bytes(range(1, 9))
    assert {piece.rate for piece in spoken} == {24_000}
    assert {type(piece) for piece in spoken} == {Pcm}
    assert sent(respx_mock) == {
        "model": "there-model", "input": "Hello", "voice": "nova", "speed": 1.5, "response_format": "pcm"
    }  # fmt: skip


async def test_speech_as_it_is_asked_for(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(SPEAK).respond(content=bytes(8))
    engine = await make(voices={"alloy": "Nova"})
    await everything(engine.speak(SpeakTask("r", "Hello", "alloy", instructions="Whisper.")))
    asked = sent(respx_mock)
    assert (asked["voice"], asked["instructions"]) == ("Nova", "Whisper.")


@pytest.mark.parametrize("answer", [b"RIFF1234WAVE", b"ID3", b'{"error": {}}', b""])
async def test_speech_of_another_format(make: Make, respx_mock: respx.MockRouter, answer: bytes) -> None:
    respx_mock.post(SPEAK).respond(content=answer)
    with pytest.raises(EngineFailed):
        await everything((await make()).speak(SpeakTask("r", "Hello", "nova")))


def floats(*numbers: float) -> bytes:
    return array.array("f", numbers).tobytes()


def rows(*embeddings: Any) -> dict[str, Any]:
    """The rows in the wrong order, as they may come."""
    data = [{"index": index, "embedding": one} for index, one in enumerate(embeddings)]
    return {"data": data[::-1], "usage": {"prompt_tokens": 3, "total_tokens": 3}}


async def test_vectors(make: Make, respx_mock: respx.MockRouter) -> None:
    coded = base64.b64encode(floats(1, 2)).decode()
    respx_mock.post(EMBED).respond(json=rows(coded, [3.0, 4.0]))
    found = await (await make()).embed(EmbedTask("r", ("a", "b"), 2))
    assert (found.data, found.count, found.dimensions, found.tokens) == (floats(1, 2, 3, 4), 2, 2, 3)
    asked = {"model": "there-model", "input": ["a", "b"], "encoding_format": "base64", "dimensions": 2}
    assert sent(respx_mock) == asked


async def test_what_a_text_is_and_how_much_of_a_document_is_passed_on(
    make: Make, respx_mock: respx.MockRouter
) -> None:
    respx_mock.post(EMBED).respond(json=rows([1.0]))
    await (await make()).embed(EmbedTask("r", ("a",), input_type="query"))
    assert sent(respx_mock)["input_type"] == "query"
    respx_mock.post(RERANK).respond(json={"results": ranked(0.5)})
    await (await make()).rerank(RerankTask("r", "q", ("a",), max_tokens=7))
    assert sent(respx_mock)["max_tokens_per_doc"] == 7


async def test_many_texts_go_in_batches(make: Make, respx_mock: respx.MockRouter) -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(
            200, json=rows(*([float(text)] for text in json.loads(request.content)["input"]))
        )

    respx_mock.post(EMBED).mock(side_effect=answer)
    found = await (await make(max_batch=2)).embed(EmbedTask("r", ("1", "2", "3", "4", "5")))
    assert (found.data, found.count, found.tokens) == (floats(1, 2, 3, 4, 5), 5, 9)
    assert len(respx_mock.calls) == 3


async def test_dimensions_that_were_ignored_are_refused(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(EMBED).respond(json=rows([1.0, 2.0]))
    with pytest.raises(InvalidRequest) as refused:
        await (await make()).embed(EmbedTask("r", ("a",), 1))
    assert refused.value.param == "dimensions"


@pytest.mark.parametrize(
    "answer", [rows([1.0]), rows([1.0], [1.0, 2.0]), rows("AAAA", "AA=="), rows("!", "!"), {"data": None}, {}]
)
async def test_vectors_that_are_none(
    make: Make, respx_mock: respx.MockRouter, answer: dict[str, Any]
) -> None:
    respx_mock.post(EMBED).respond(json=answer)
    with pytest.raises(EngineFailed):
        await (await make()).embed(EmbedTask("r", ("a", "b")))


def ranked(*scores: float) -> list[dict[str, Any]]:
    return [{"index": index, "relevance_score": score} for index, score in enumerate(scores)][::-1]


@pytest.mark.parametrize(
    "counted",
    [{"usage": {"total_tokens": 9}}, {"meta": {"tokens": {"input_tokens": 9}}}],
    ids=["jina", "cohere"],
)
async def test_ranking(make: Make, respx_mock: respx.MockRouter, counted: dict[str, Any]) -> None:
    respx_mock.post(RERANK).respond(json={"results": ranked(0.25, 1.0), **counted})
    found = await (await make()).rerank(RerankTask("r", "q", ("a", "b")))
    assert (found.scores, found.tokens) == ((0.25, 1.0), 9)
    assert sent(respx_mock) == {"model": "there-model", "query": "q", "documents": ["a", "b"]}


async def test_scores_that_are_logits(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(RERANK).respond(json={"results": ranked(0.0, -9000.0)})
    task = RerankTask("r", "q", ("a", "b"))
    assert (await (await make(scores="logits")).rerank(task)).scores == (0.5, 0.0)
    with pytest.raises(EngineFailed):
        await (await make()).rerank(task)


async def test_scores_that_are_missing(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(RERANK).respond(json={"results": ranked(0.5)})
    with pytest.raises(EngineFailed):
        await (await make()).rerank(RerankTask("r", "q", ("a", "b")))


# --- options


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"base_url": "there/v1"},
        {"base_url": "file:///etc"},
        {"base_url": "http://"},
        {"base_url": "http://there:99999"},
        {"base_url": "http://[there"},
        {"base_url": "http://ann:secret@there"},
        {"base_url": "http://there?key=secret"},
        {"base_url": BASE, "key_env": "hf_secret"},
        {"base_url": BASE, "headers": {"Authorization": "Bearer x"}},
        {"base_url": BASE, "headers": {"x": "a\r\nb: c"}},
        {"base_url": BASE, "headers": {"x y": "a"}},
        {"base_url": BASE, "connect_s": 0},
    ],
)
def test_options_that_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="1 validation error"):
        Remote.Options(**options)


async def test_a_key_that_is_not_there(make: Make, caplog: pytest.LogCaptureFixture) -> None:
    with pytest.raises(EngineFailed) as caught:
        await make(key_env="NO_SUCH_KEY")
    assert "NO_SUCH_KEY" not in caught.value.message
    assert "NO_SUCH_KEY" in caplog.text


async def test_headers_and_the_name_by_default(make: Make, respx_mock: respx.MockRouter) -> None:
    respx_mock.post(RERANK).respond(json={"results": ranked(0.5)})
    engine = await make(base_url=f"{BASE}/", model=None, headers={"x-team": "blue"})
    await engine.rerank(RerankTask("r", "q", ("a",)))
    assert respx_mock.calls.last.request.headers["x-team"] == "blue"
    assert "authorization" not in respx_mock.calls.last.request.headers
    assert sent(respx_mock)["model"] == "here"


async def test_a_cookie_does_not_go_with_the_next_request(make: Make, respx_mock: respx.MockRouter) -> None:
    headers = {"set-cookie": "who=ann; Path=/"}
    respx_mock.post(RERANK).respond(json={"results": ranked(0.5)}, headers=headers)
    engine = await make()
    for _ in range(2):
        await engine.rerank(RerankTask("r", "q", ("a",)))
    assert "cookie" not in respx_mock.calls.last.request.headers


async def test_nothing_is_logged_of_where_it_goes(
    make: Make, respx_mock: respx.MockRouter, caplog: pytest.LogCaptureFixture
) -> None:
    respx_mock.post(RERANK).respond(json={"results": ranked(0.5)})
    with caplog.at_level(logging.INFO):
        await (await make()).rerank(RerankTask("r", "q", ("a",)))
    assert "there:8000" not in caplog.text
