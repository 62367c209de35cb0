"""The wire form, judged by OpenAI's own response classes."""

import json

import pytest
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from backends.chat.chunks import Answer, Piece
from backends.contract.results import Usage

PIECES = [Piece("", 1), Piece("", 1), Piece("Hel", 1), Piece("", 1), Piece("lo ☃", 1, "length")]


def play(pieces=PIECES, **how):
    answer = Answer("the/name", 7, **{"streams": True, "usage_event": False, "fingerprint": "fp_1"} | how)
    return [chunk for piece in pieces if (chunk := answer.add(piece))]


def events(chunks):
    lines = b"".join(chunk.events for chunk in chunks).decode().split("\n\n")
    assert lines.pop() == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines]


@pytest.mark.parametrize("usage_event", [False, True])
def test_a_stream(usage_event):
    chunks = play(usage_event=usage_event)
    told = events(chunks)
    for event in told:
        ChatCompletionChunk.model_validate(event)
        assert ("usage" in event) == usage_event
        assert (event["model"], event["system_fingerprint"]) == ("the/name", "fp_1")
    assert len({(event["id"], event["created"]) for event in told}) == 1
    if usage_event:
        last = told.pop()
        assert last["choices"] == []
        assert last["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}
        assert all(event["usage"] is None for event in told)
    deltas = [event["choices"][0]["delta"] for event in told]
    assert deltas[0] == {"role": "assistant", "content": "", "refusal": None}
    assert deltas[1:] == [{"content": "Hel"}, {"content": "lo ☃"}, {}]
    assert [event["choices"][0]["finish_reason"] for event in told] == [None, None, None, "length"]


def test_what_the_door_counts():
    for streams in (True, False):
        chunks = play(streams=streams)
        assert sum(chunk.tokens for chunk in chunks) == 5
        assert (chunks[-1].finish, chunks[-1].usage) == ("length", Usage(7, 5))
        assert all(chunk.finish is None and chunk.usage is None for chunk in chunks[:-1])


def test_an_empty_answer_still_has_its_role():
    told = events(play([Piece("", 0, "stop")]))
    assert [event["choices"][0]["delta"].get("role") for event in told] == ["assistant", None]


def test_a_document():
    (chunk,) = play(streams=False)
    document = json.loads(chunk.events)
    ChatCompletion.model_validate(document)
    assert document["choices"][0]["message"] == {"role": "assistant", "content": "Hello ☃", "refusal": None}
    assert document["choices"][0]["finish_reason"] == "length"
    assert document["usage"] == {"prompt_tokens": 7, "completion_tokens": 5, "total_tokens": 12}


def test_ids_are_unique():
    assert len({json.loads(play(streams=False)[0].events)["id"] for _ in range(100)}) == 100
