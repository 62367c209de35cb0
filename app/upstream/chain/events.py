"""Chat on the wire between two steps: documents and events of an answer, texts of a conversation."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson

from backends.contract.errors import EngineFailed
from backends.contract.results import ChatChunk, Usage

DATA = b"data: "


def parsed(events: bytes) -> list[dict[str, Any]]:
    """The JSON of whole SSE events."""
    lines = (line for line in events.splitlines() if line.startswith(DATA))
    return [orjson.loads(line.removeprefix(DATA)) for line in lines]


def event(chunk: Mapping[str, Any]) -> bytes:
    return DATA + orjson.dumps(chunk) + b"\n\n"


def answer(chunks: Sequence[ChatChunk]) -> tuple[str, Usage]:
    """What a chat model said, in one document. Raises EngineFailed where it said nothing that is text."""
    document = orjson.loads(b"".join(chunk.events for chunk in chunks))
    usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), Usage())
    try:
        text = document["choices"][0]["message"]["content"]
    except (KeyError, IndexError, TypeError):
        text = None
    if not isinstance(text, str) or not text.strip():
        raise EngineFailed("it answered with no text for the next step")
    return text, usage


def added(chunk: ChatChunk, more: Usage) -> ChatChunk:
    """The chunk, with what other steps used in what it tells of usage."""
    if chunk.usage is None or more == Usage():
        return chunk
    usage = chunk.usage + more
    if not chunk.events.startswith(DATA):
        document = orjson.loads(chunk.events)
        return replace(chunk, events=orjson.dumps(_counted(document, usage)), usage=usage)
    events = b"".join(event(_counted(one, usage)) for one in parsed(chunk.events))
    return replace(chunk, events=events, usage=usage)


def _counted(document: dict[str, Any], usage: Usage) -> dict[str, Any]:
    if document.get("usage"):
        document["usage"] |= {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.prompt_tokens + usage.completion_tokens,
        }
    return document


def said(messages: Iterable[Mapping[str, Any]]) -> str:
    """What the user said last, as far as it is text."""
    return next((_text(one) for one in reversed(list(messages)) if one.get("role") == "user"), "")


def conversation(messages: Iterable[Mapping[str, Any]]) -> str:
    """All of it that is text."""
    return "\n".join(filter(None, map(_text, messages)))


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content")
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else ()
    return "\n".join(part["text"] for part in parts if isinstance(part.get("text"), str))
