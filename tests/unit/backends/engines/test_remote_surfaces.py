"""The engine that asks another server: its responses, what it thinks, and every field on its way."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from typing import Any

import httpx
import pytest
import respx

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import EngineFailed
from backends.contract.results import ChatChunk, Usage
from backends.contract.tasks import ChatTask, Surface
from backends.engines.remote import Remote
from tools import chat_fields

BASE = "http://there:8000/v1"
PATHS: dict[Surface, str] = {
    "chat": f"{BASE}/chat/completions",
    "completions": f"{BASE}/completions",
    "responses": f"{BASE}/responses",
}
LISTS: dict[Surface, tuple[str, ...]] = {
    "chat": chat_fields.CHAT,
    "completions": chat_fields.COMPLETIONS,
    "responses": chat_fields.RESPONSES,
}
OPENAIS = [(surface, field) for surface, fields in LISTS.items() for field in fields]
ANSWERS: dict[Surface, Any] = {
    "chat": {"model": "there", "choices": [{"message": {"content": "hi"}, "finish_reason": "stop"}]},
    "completions": {"model": "there", "choices": [{"text": "hi", "finish_reason": "stop"}]},
    "responses": {"model": "there", "status": "completed", "output": []},
}
COUNTED = {"input_tokens": 5, "output_tokens": 2, "total_tokens": 7}


@pytest.fixture
async def remote() -> AsyncIterator[Remote]:
    options = Remote.Options(base_url=BASE, model="there", connect_retries=0)
    one = Remote(ModelRef("here", "chat", "builtin://openai"), options, GpuShare())
    await one.load(lambda *_: None)
    yield one
    await one.close()


async def ask(remote: Remote, surface: Surface, **body: Any) -> list[ChatChunk]:
    async with aclosing(remote.chat(ChatTask("r", {"model": "alias", **body}, 0, surface))) as chunks:
        return [chunk async for chunk in chunks]


def told(*events: dict[str, Any]) -> bytes:
    return b"".join(
        f"event: {event['type']}\ndata: {json.dumps({'sequence_number': number, **event})}\n\n".encode()
        for number, event in enumerate(events)
    )


CREATED = {"type": "response.created", "response": {"model": "there", "status": "in_progress", "usage": None}}
DELTA = {"type": "response.output_text.delta", "delta": '"model":"there"'}
COMPLETED = {
    "type": "response.completed",
    "response": {"model": "there", "status": "completed", "usage": COUNTED},
}


@pytest.mark.parametrize(("surface", "field"), OPENAIS)
async def test_every_field_arrives_as_it_was_sent(
    remote: Remote, respx_mock: respx.MockRouter, surface: Surface, field: str
) -> None:
    route = respx_mock.post(PATHS[surface]).respond(json=ANSWERS[surface])
    for value in ({"any": ["thing", 1.5, None, 2**70]}, None, False):
        if field not in ("model", "stream", "stream_options"):
            await ask(remote, surface, **{field: value})
            assert json.loads(route.calls.last.request.content) == {"model": "there", field: value}
    if field == "stream_options":
        await ask(remote, surface, stream_options={"odd": 1})
        assert json.loads(route.calls.last.request.content)["stream_options"] == {"odd": 1}


@pytest.mark.parametrize("end", [b"", b"data: [DONE]\n\n"])
async def test_events_of_a_response(remote: Remote, respx_mock: respx.MockRouter, end: bytes) -> None:
    sent = told(CREATED, DELTA, COMPLETED)
    route = respx_mock.post(PATHS["responses"]).respond(content=sent + end)
    chunks = await ask(remote, "responses", input="hi", stream=True)
    assert json.loads(route.calls.last.request.content) == {"model": "there", "input": "hi", "stream": True}
    came = b"".join(chunk.events for chunk in chunks).split(b"\n\n")
    assert came.pop() == b""
    names, data = zip(*(event.split(b"\n") for event in came), strict=True)
    kinds = ("created", "output_text.delta", "completed")
    assert names == tuple(f"event: response.{kind}".encode() for kind in kinds)
    events = [json.loads(one.removeprefix(b"data: ")) for one in data]
    assert [event["response"]["model"] for event in events if "response" in event] == ["alias", "alias"]
    assert events[1]["delta"] == DELTA["delta"]
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(5, 2)]
    assert chunks[-1].finish == "stop"


async def test_a_response_in_one_document(remote: Remote, respx_mock: respx.MockRouter) -> None:
    answer = {**ANSWERS["responses"], "status": "incomplete", "usage": COUNTED}
    respx_mock.post(PATHS["responses"]).respond(json=answer)
    (chunk,) = await ask(remote, "responses", input="hi")
    assert json.loads(chunk.events) == {**answer, "model": "alias"}
    assert (chunk.usage, chunk.tokens, chunk.finish) == (Usage(5, 2), 2, "length")


@pytest.mark.parametrize(
    "last",
    [
        {"type": "error", "message": "a secret", "code": "x"},
        {"type": "response.failed", "response": {"status": "failed", "error": {"message": "a secret"}}},
        {"error": {"message": "a secret"}, "type": "odd"},
        None,
    ],
)
async def test_a_response_that_fails(
    remote: Remote, respx_mock: respx.MockRouter, last: dict[str, Any] | None
) -> None:
    respx_mock.post(PATHS["responses"]).respond(content=told(CREATED, DELTA, *([last] if last else [])))
    with pytest.raises(EngineFailed) as failed:
        await ask(remote, "responses", input="hi", stream=True)
    assert "secret" not in failed.value.message
    failure = {"model": "there", "status": "failed", "error": {"message": "a secret"}}
    respx_mock.post(PATHS["responses"]).respond(json=failure)
    with pytest.raises(EngineFailed):
        await ask(remote, "responses", input="hi")


@pytest.mark.parametrize("name", ["reasoning", "reasoning_content"])
async def test_what_it_thinks_goes_by_both_names(
    remote: Remote, respx_mock: respx.MockRouter, name: str
) -> None:
    both = {"reasoning": "hm", "reasoning_content": "hm"}
    message = {"role": "assistant", "content": "hi", name: "hm"}
    choice = {"index": 0, "message": message, "finish_reason": "stop"}
    respx_mock.post(PATHS["chat"]).respond(json={"model": "alias", "choices": [choice]})
    (chunk,) = await ask(remote, "chat", messages=[])
    assert json.loads(chunk.events)["choices"][0]["message"] == {**message, **both}
    deltas: list[dict[str, Any]] = [{name: "hm"}, {"content": "hi"}]
    events = [{"model": "alias", "choices": [{"index": 0, "delta": delta}]} for delta in deltas]
    sent = [b"data: " + json.dumps(event).encode() + b"\n\n" for event in events]
    respx_mock.post(PATHS["chat"]).mock(
        return_value=httpx.Response(200, content=b"".join(sent) + b"data: [DONE]\n\n")
    )
    thought, spoke = await ask(remote, "chat", messages=[], stream=True)
    assert json.loads(thought.events.removeprefix(b"data: "))["choices"][0]["delta"] == both
    assert spoke.events == sent[1]  # as it came
