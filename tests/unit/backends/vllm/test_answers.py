"""However the bytes of a stream are cut, the same events come out, and nothing is counted twice."""

import pytest

from backends.contract.errors import InvalidRequest
from backends.contract.results import ChatChunk, Usage
from backends.vllm.answers import Events, Naming, document
from backends.vllm.refusals import VllmFailed

TOKEN = b'data: {"model":"m","choices":[{"delta":{"content":"\xc3\xbc\\n"},"finish_reason":null}]}\n\n'
LAST = b'data: {"id":"1","model":"m","choices":[{"index":0,"delta":{},"finish_reason":"tool_calls"}]}\n\n'
USAGE = b'data: {"id":"1","model":"m","choices":[],"usage":{"prompt_tokens":4,"completion_tokens":2}}\n\n'
STREAM = TOKEN + TOKEN + LAST + USAGE + b"data: [DONE]\n\n"


def fed(size: int, *, shown: bool = False, asked: str = "m") -> tuple[list[ChatChunk], Events]:
    events = Events(usage_shown=shown, naming=Naming("m", asked))
    cuts = [STREAM[start : start + size] for start in range(0, len(STREAM), size)]
    return [chunk for cut in cuts if (chunk := events.feed(cut))], events


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64, 200, 10_000])
def test_cuts_do_not_matter(size: int) -> None:
    chunks, events = fed(size)
    assert b"".join(chunk.events for chunk in chunks) == TOKEN + TOKEN + LAST
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(4, 2)]
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["tool_calls"]
    assert sum(chunk.tokens for chunk in chunks) == 2
    events.end()


def test_an_answer_that_does_not_end_is_a_failure() -> None:
    events = Events(usage_shown=False, naming=Naming("m", "m"))
    events.feed(TOKEN)
    with pytest.raises(VllmFailed):
        events.end()


def test_every_chunk_holds_whole_events() -> None:
    chunks, _ = fed(5)
    assert all(chunk.events.endswith(b"\n\n") for chunk in chunks if chunk.events)


def test_usage_is_shown_when_asked_for_and_names_are_the_callers() -> None:
    chunks, _ = fed(64, shown=True, asked='a"b')
    data = b"".join(chunk.events for chunk in chunks)
    assert data == (TOKEN + TOKEN + LAST + USAGE).replace(b'"m"', b'"a\\"b"')


def test_usage_that_grows_is_counted_once() -> None:
    events = Events(usage_shown=True, naming=Naming("m", "m"))
    growing = TOKEN.replace(b"]}\n\n", b'],"usage":{"prompt_tokens":4,"completion_tokens":1}}\n\n')
    chunks = [events.feed(growing), events.feed(growing), events.feed(USAGE)]
    assert sum(chunk.tokens for chunk in chunks if chunk) == 2


def test_an_error_among_the_events_is_raised() -> None:
    broken = (
        b'data: {"error":{"message":"CUDA error","type":"InternalServerError","param":null,"code":500}}\n\n'
    )
    with pytest.raises(VllmFailed, match="CUDA error"):
        Events(usage_shown=False, naming=Naming("m", "m")).feed(broken)
    refused = broken.replace(b"500", b"400").replace(b"null", b'"tools"')
    with pytest.raises(InvalidRequest) as caught:
        Events(usage_shown=False, naming=Naming("m", "m")).feed(refused)
    assert caught.value.param == "tools"


def test_a_document_is_counted() -> None:
    data = b'{"model":"m","choices":[{"finish_reason":"stop"}],"usage":{"completion_tokens":9}}'
    assert document(data, Naming("m", "m")) == ChatChunk(data, 9, "stop", Usage(0, 9))
