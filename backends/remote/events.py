"""Server-sent events of a remote chat → `ChatChunk`s.

An event goes on as it came, unless something in it must change: the model's name (answers echo
what the caller wrote) and usage that the caller did not ask for (clients crash on it).
"""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from backends.contract.errors import EngineFailed
from backends.contract.results import ChatChunk
from backends.remote.answers import document, usage_of

DONE = b"[DONE]"


async def data(pieces: AsyncIterator[bytes]) -> AsyncGenerator[bytes, None]:
    """The data of each event, whatever pieces the bytes come in; comments and other fields are
    dropped. An event that the end of the stream leaves open counts."""
    rest, lines = b"", list[bytes]()
    async for piece in pieces:
        *whole, rest = (rest + piece).split(b"\n")
        for line in whole:
            if taken := _data(line):
                lines.append(taken)
            elif lines and line in (b"", b"\r"):
                yield b"\n".join(lines)
                lines.clear()
    if taken := _data(rest):
        lines.append(taken)
    if lines:
        yield b"\n".join(lines)


def _data(line: bytes) -> bytes:
    return line[5:].strip() if line.startswith(b"data:") else b""


def both_names(said: Any) -> bool:
    """What the model thought, under both names in use; whether one was missing."""
    if not isinstance(said, dict):
        return False
    one, other = said.get("reasoning"), said.get("reasoning_content")
    if (one is None) == (other is None):
        return False
    said["reasoning"] = said["reasoning_content"] = other if one is None else one
    return True


@dataclass(frozen=True, slots=True)
class Reader:
    """`name`: the model as the caller wrote it. `shows_usage`: the caller asked for the usage event."""

    name: str
    shows_usage: bool = True

    async def chunks(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[ChatChunk, None]:
        """What a body streams, until `[DONE]`. Raises EngineFailed for an error among the events, and
        for a stream that ends before its answer has."""
        finished = False
        async with aclosing(data(pieces)) as events:
            async for raw in events:
                if raw == DONE:
                    return
                chunk = self._chunk(raw)
                finished = finished or chunk.finish is not None
                yield chunk
        if not finished:
            raise EngineFailed("the remote server's stream ended before its answer did")

    def _chunk(self, raw: bytes) -> ChatChunk:
        event = document(raw)
        usage, finish, tokens = usage_of(event), None, 0
        choices = event.get("choices") or []
        for choice in choices:
            finish = choice.get("finish_reason") or finish
            delta = choice.get("delta") or {}
            said = any(value for name, value in delta.items() if name != "role")
            tokens += said or bool(choice.get("text"))
        if not self.shows_usage and usage is not None and not choices:
            return ChatChunk(b"", usage=usage)
        # Data of several lines is one event to us, and must be one line to be one again.
        changed = self._renamed(event) or b"\n" in raw
        for choice in choices:
            changed = both_names(choice.get("delta")) or changed
        if not self.shows_usage and "usage" in event:
            del event["usage"]
            changed = True
        return ChatChunk(
            b"data: " + (orjson.dumps(event) if changed else raw) + b"\n\n", tokens, finish, usage
        )

    def whole(self, raw: bytes) -> ChatChunk:
        """The one document of an answer that is not streamed."""
        answer = document(raw)
        choices = answer.get("choices")
        if not choices:
            raise EngineFailed("the remote server's answer has no choices")
        usage = usage_of(answer)
        changed = self._renamed(answer)
        for choice in choices:
            changed = both_names(choice.get("message")) or changed
        whole = orjson.dumps(answer) if changed else raw
        return ChatChunk(
            whole, usage.completion_tokens if usage else 0, choices[0].get("finish_reason"), usage
        )

    def _renamed(self, answer: dict[str, Any]) -> bool:
        if answer.get("model") == self.name:
            return False
        answer["model"] = self.name
        return True
