"""Pieces of an answer → OpenAI's chunks (streamed) or its one document (not streamed)."""

import time
import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal, Protocol

import orjson

from backends.chat.calls import CallScanner
from backends.chat.logits import Score
from backends.chat.tools import Tools
from backends.contract.results import ChatChunk, Usage

Finish = Literal["stop", "length"]


@dataclass(frozen=True, slots=True)
class Piece:
    """What one step gave: `text` may be empty, `tokens` counts what was generated for it (an
    end-of-sequence token is not counted), `finish` is set on the last piece of a choice alone.
    `scores`: of the tokens counted, where they are wanted."""

    text: str
    tokens: int
    finish: Finish | None = None
    index: int = 0
    scores: tuple[Score, ...] = ()


class Choice(Protocol):
    """The wire form of one choice."""

    def events(self, piece: Piece) -> list[dict[str, Any]]:
        """What goes out now of a stream: choices of chunks, often one, perhaps none."""
        ...

    def keep(self, piece: Piece) -> None:
        """What goes out whole at the end."""
        ...

    def whole(self) -> dict[str, Any]: ...


class Answer:
    """The wire form of one answer. `model` is echoed; `usage_event`: the stream ends with usage.

    `made`: the choices, in the order of their indices; by default one of a chat. `kind` names the
    document, `chunk` its pieces.
    """

    def __init__(
        self,
        model: str,
        prompt_tokens: int,
        *,
        streams: bool,
        usage_event: bool,
        fingerprint: str,
        choices: Sequence[Choice] | None = None,
        prefix: str = "chatcmpl",
        kind: str = "chat.completion",
        chunk: str = "chat.completion.chunk",
    ) -> None:
        self._head = {"id": f"{prefix}-{uuid.uuid4().hex}", "created": int(time.time()), "model": model}
        self._kind, self._chunk, self._fingerprint = kind, chunk, fingerprint
        self._streams, self._usage_event = streams, usage_event
        self._prompt_tokens, self._tokens, self._uncounted = prompt_tokens, 0, 0
        self._choices = list(choices or [ChatChoice()])
        self._open = len(self._choices)

    @property
    def complete(self) -> bool:
        """Every choice has finished."""
        return not self._open

    def add(self, piece: Piece) -> ChatChunk | None:
        """The chunk to send now. None where there is nothing to send: the text is held back, or
        the answer goes out whole at its end."""
        self._tokens += piece.tokens
        self._uncounted += piece.tokens
        if piece.finish:
            self._open -= 1
        choice = self._choices[piece.index]
        if not self._streams:
            choice.keep(piece)
            return self._document(piece.finish) if self.complete else None
        events = b"".join(self._event([one]) for one in choice.events(piece))
        usage, finish = None, None
        if self.complete:
            usage, finish = Usage(self._prompt_tokens, self._tokens), piece.finish
            if self._usage_event:
                events += self._event([], usage=self._usage())
        if not events:
            return None
        counted, self._uncounted = self._uncounted, 0
        return ChatChunk(events, counted, finish, usage)

    def _event(self, choices: list[dict[str, Any]], usage: dict[str, int] | None = None) -> bytes:
        chunk = {**self._head, "object": self._chunk, "choices": choices}
        chunk["system_fingerprint"] = self._fingerprint
        # Clients crash on usage that nobody asked for: the key exists only where it was.
        if self._usage_event:
            chunk["usage"] = usage
        return b"data: " + orjson.dumps(chunk) + b"\n\n"

    def _document(self, finish: Finish | None) -> ChatChunk:
        document = {
            **self._head,
            "object": self._kind,
            "choices": [choice.whole() for choice in self._choices],
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


class ChatChoice:
    """One choice of a chat. `tools`: calls of these are told as calls. `scored`: with logprobs."""

    def __init__(self, index: int = 0, tools: Tools | None = None, *, scored: bool = False) -> None:
        self._index, self._scored = index, scored
        self._scanner = CallScanner(tools.shapes) if tools else None
        self._begun = False
        self._texts: list[str] = []
        self._calls: list[dict[str, Any]] = []
        self._scores: list[Score] = []
        self._finish: str | None = None

    def events(self, piece: Piece) -> list[dict[str, Any]]:
        self._scores += piece.scores
        deltas = self._deltas(piece)
        if not self._begun:
            # The role goes out with the first token, even where its text is still held back.
            self._begun = True
            text = deltas.pop(0)["content"] if deltas and "content" in deltas[0] else ""
            deltas.insert(0, {"role": "assistant", "content": text, "refusal": None})
        choices = [self._choice(delta, None) for delta in deltas]
        if piece.finish:
            choices.append(self._choice({}, self._finish))
        if choices and self._scores:
            choices[0]["logprobs"] = self._logprobs()
            self._scores.clear()
        return choices

    def keep(self, piece: Piece) -> None:
        self._scores += piece.scores
        for delta in self._deltas(piece):
            if "content" in delta:
                self._texts.append(delta["content"])
                continue
            (call,) = delta["tool_calls"]
            if "id" in call:
                self._calls.append({name: value for name, value in call.items() if name != "index"})
            else:
                self._calls[-1]["function"]["arguments"] += call["function"]["arguments"]

    def whole(self) -> dict[str, Any]:
        text = "".join(self._texts)
        message: dict[str, Any] = {"role": "assistant", "content": text, "refusal": None}
        if self._calls:
            message |= {"content": text or None, "tool_calls": self._calls}
        told = self._logprobs() if self._scored else None
        return {"index": self._index, "message": message, "finish_reason": self._finish, "logprobs": told}

    def _deltas(self, piece: Piece) -> list[dict[str, Any]]:
        self._finish = piece.finish
        if self._scanner is None:
            return [{"content": piece.text}] if piece.text else []
        deltas = self._scanner.push(piece.text)
        if piece.finish:
            deltas += self._scanner.flush()
            if self._scanner.calls and piece.finish == "stop":
                self._finish = "tool_calls"
        return deltas

    def _choice(self, delta: dict[str, Any], finish: str | None) -> dict[str, Any]:
        return {"index": self._index, "delta": delta, "finish_reason": finish, "logprobs": None}

    def _logprobs(self) -> dict[str, Any]:
        content = [
            {
                **_told(score.token, score.logprob),
                "top_logprobs": [_told(token, logprob) for token, logprob in score.top],
            }
            for score in self._scores
        ]
        return {"content": content, "refusal": None}


def _told(token: bytes, logprob: float) -> dict[str, Any]:
    return {"token": token.decode(errors="replace"), "logprob": logprob, "bytes": list(token)}
