"""A remote server's answers to `responses` → `ChatChunk`s. Events go on as they came, but for the
model's name; a failure becomes ours, in whatever words it is told."""

from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import aclosing
from dataclasses import dataclass
from typing import Any

import orjson

from backends.contract.errors import EngineFailed
from backends.contract.results import ChatChunk, Usage
from backends.remote.answers import document
from backends.remote.events import DONE, data

ENDS = frozenset({"response.completed", "response.incomplete"})
FAILED = frozenset({"failed", "cancelled"})


@dataclass(frozen=True, slots=True)
class Reader:
    """`name`: the model as the caller wrote it."""

    name: str

    async def chunks(self, pieces: AsyncIterator[bytes]) -> AsyncGenerator[ChatChunk, None]:
        """What a body streams. Raises EngineFailed for an error among the events, and for a stream
        that ends before its response has."""
        finished = False
        async with aclosing(data(pieces)) as events:
            async for raw in events:
                if raw == DONE:  # some send it here, too
                    break
                chunk = self._chunk(raw)
                finished = finished or chunk.finish is not None
                yield chunk
        if not finished:
            raise EngineFailed("the remote server's stream ended before its answer did")

    def whole(self, raw: bytes) -> ChatChunk:
        """The one document of a response that is not streamed."""
        answer = document(raw)
        usage = self._counted(answer)
        return ChatChunk(
            orjson.dumps(answer), usage.completion_tokens if usage else 0, _finish(answer), usage
        )

    def _chunk(self, raw: bytes) -> ChatChunk:
        event = document(raw)
        kind, response = str(event.get("type")), event.get("response")
        if kind in ("error", "response.failed"):
            raise EngineFailed("the remote server failed while it answered")
        name = f"event: {kind}\ndata: ".encode()
        if not isinstance(response, dict):
            # Data of several lines is one event to us, and must be one line to be one again.
            return ChatChunk(name + (orjson.dumps(event) if b"\n" in raw else raw) + b"\n\n")
        usage = self._counted(response)
        finish = _finish(response) if kind in ENDS else None
        tokens = usage.completion_tokens if usage else 0
        return ChatChunk(name + orjson.dumps(event) + b"\n\n", tokens, finish, usage)

    def _counted(self, response: dict[str, Any]) -> Usage | None:
        """Its usage; the response is named as the caller names it. Raises EngineFailed for one that
        failed."""
        if response.get("status") in FAILED or response.get("error"):
            raise EngineFailed("the remote server failed while it answered")
        response["model"] = self.name
        usage = response.get("usage")
        if not isinstance(usage, dict):
            return None
        counts = (usage.get(name) for name in ("input_tokens", "output_tokens"))
        return Usage(*(count if isinstance(count, int) else 0 for count in counts))


def _finish(response: dict[str, Any]) -> str:
    return "length" if response.get("status") == "incomplete" else "stop"
