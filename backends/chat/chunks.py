"""Pieces of an answer → OpenAI's chunks (streamed) or its one document (not streamed)."""

import time
import uuid
from dataclasses import dataclass
from typing import Any, Literal

import orjson

from backends.contract.results import ChatChunk, Usage

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step gave: `text` may be empty, `tokens` counts what was generated for it (an
    end-of-sequence token is not counted), `finish` is set on the last piece alone."""

    text: str
    tokens: int
    finish: Finish | None = None


class Answer:
    """The wire form of one answer. `model` is echoed; `usage_event`: the stream ends with usage."""

    def __init__(
        self, model: str, prompt_tokens: int, *, streams: bool, usage_event: bool, fingerprint: str
    ) -> None:
        self._head = {"id": f"chatcmpl-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._fingerprint = fingerprint
        self._streams, self._usage_event = streams, usage_event
        self._prompt_tokens, self._tokens, self._uncounted = prompt_tokens, 0, 0
        self._texts: list[str] = []
        self._begun = False

    def add(self, piece: Piece) -> ChatChunk | None:
        """The chunk to send now. None where there is nothing to send: the text is held back, or
        the answer goes out whole at its end."""
        self._tokens += piece.tokens
        self._uncounted += piece.tokens
        if not self._streams:
            self._texts.append(piece.text)
            return self._document(piece.finish) if piece.finish else None
        events = self._delta(piece.text)
        usage = None
        if piece.finish:
            usage = Usage(self._prompt_tokens, self._tokens)
            events += self._event([_choice({}, piece.finish)])
            if self._usage_event:
                events += self._event([], usage=self._usage())
        if not events:
            return None
        counted, self._uncounted = self._uncounted, 0
        return ChatChunk(events, counted, piece.finish, usage)

    def _delta(self, text: str) -> bytes:
        """The role goes out with the first token, even where its text is still held back."""
        if self._begun:
            return self._event([_choice({"content": text}, None)]) if text else b""
        self._begun = True
        return self._event([_choice({"role": "assistant", "content": text, "refusal": None}, None)])

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        chunk = {**self._head, "object": "chat.completion.chunk", "choices": choices}
        chunk["system_fingerprint"] = self._fingerprint
        # Clients crash on usage that nobody asked for: the key exists only where it was.
        if self._usage_event:
            chunk["usage"] = usage
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _document(self, finish: Finish) -> ChatChunk:
        message = {"role": "assistant", "content": "".join(self._texts), "refusal": None}
        choice = {"index": 0, "message": message, "finish_reason": finish, "logprobs": None}
        document = {
            **self._head,
            "object": "chat.completion",
            "choices": [choice],
            "usage": self._usage(),
            "system_fingerprint": self._fingerprint,
        }
        return ChatChunk(
            orjson.dumps(document), self._tokens, finish, Usage(self._prompt_tokens, self._tokens)
        )

    def _usage(self) -> dict[str, int]:
        return {
            "prompt_tokens": self._prompt_tokens,
            "completion_tokens": self._tokens,
            "total_tokens": self._prompt_tokens + self._tokens,
        }


def _choice(delta: dict[str, Any], finish: Finish | None) -> dict[str, Any]:
    return {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
