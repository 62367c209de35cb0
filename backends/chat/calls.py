"""Text with `<tool_call>` blocks, as it arrives → OpenAI's deltas: content, and tool calls.

A call's name goes out when it is complete, its arguments as they are written. What is no call of
a known tool is content: nothing that the model wrote is lost.
"""

import re
import uuid
from collections.abc import Callable, Collection
from typing import Any

import orjson

from backends.chat.stops import overlap
from backends.chat.tools import CLOSE, OPEN

HEAD = re.compile(r'\s*\{\s*"name"\s*:\s*("(?:[^"\\]|\\.)*")\s*,\s*"arguments"\s*:\s*(?=\{)')

Delta = dict[str, Any]


class CallScanner:
    """`names`: the tools that may be called. `calls`: how many have begun."""

    def __init__(self, names: Collection[str]) -> None:
        self._names = names
        self._held = ""
        self._state: Callable[[list[Delta]], bool] = self._outside
        self._braces = _Braces()
        self.calls = 0

    def push(self, text: str) -> list[Delta]:
        self._held += text
        deltas: list[Delta] = []
        while self._state(deltas):
            pass
        return deltas

    def flush(self) -> list[Delta]:
        """The end has come: a block that never closed is a call if it is whole, else content."""
        held, self._held = self._held, ""
        if self._state == self._inside:
            return self._block(held, closed=False)
        return _content(held) if self._state == self._outside and held.strip() else []

    # Each state takes what it can from `_held`; true: the next one may take more.

    def _outside(self, deltas: list[Delta]) -> bool:
        before, tag, after = self._held.partition(OPEN)
        if tag:
            if before.strip():
                deltas += _content(before.rstrip())
            self._held, self._state = after, self._inside
            return True
        # Spaces wait: before a call and between calls they are not content.
        keep = overlap(before, OPEN)
        shown = before[: len(before) - keep].rstrip()
        if shown:
            deltas += _content(shown)
            self._held = before[len(shown) :]
        return False

    def _inside(self, deltas: list[Delta]) -> bool:
        head = HEAD.match(self._held)
        if head and (name := _name(head[1])) in self._names:
            deltas.append(self._begin(name))
            self._held, self._state, self._braces = self._held[head.end() :], self._arguments, _Braces()
            return True
        block, tag, after = self._held.partition(CLOSE)
        if tag:
            deltas += self._block(block, closed=True)
            self._held, self._state = after, self._outside
        return bool(tag)

    def _arguments(self, deltas: list[Delta]) -> bool:
        size = self._braces.end(self._held)
        piece, self._held = self._held[:size], self._held[size:]
        if piece:
            deltas.append(self._argue(piece))
        if self._braces.closed:
            self._state = self._tail
        return self._braces.closed

    def _tail(self, _: list[Delta]) -> bool:
        _rest, tag, after = self._held.partition(CLOSE)
        if tag:
            self._held, self._state = after, self._outside
        return bool(tag)

    def _block(self, block: str, *, closed: bool) -> list[Delta]:
        """A whole block that was not written in the usual order."""
        try:
            call = orjson.loads(block)
        except orjson.JSONDecodeError:
            call = None
        match call:
            case {"name": str() as name, "arguments": dict() as arguments} if name in self._names:
                return [self._begin(name), self._argue(orjson.dumps(arguments).decode())]
        return _content(OPEN + block + (CLOSE if closed else ""))

    def _begin(self, name: str) -> Delta:
        self.calls += 1
        function = {"name": name, "arguments": ""}
        call = {"index": self.calls - 1, "id": f"call_{uuid.uuid4().hex[:24]}", "type": "function"}
        return {"tool_calls": [{**call, "function": function}]}

    def _argue(self, piece: str) -> Delta:
        return {"tool_calls": [{"index": self.calls - 1, "function": {"arguments": piece}}]}


class _Braces:
    """Finds where a JSON object that arrives in pieces ends."""

    def __init__(self) -> None:
        self._depth, self._quoted, self._escaped = 0, False, False
        self.closed = False

    def end(self, text: str) -> int:
        """How much of `text` is still the object."""
        for at, letter in enumerate(text):
            if self._escaped:
                self._escaped = False
            elif self._quoted:
                self._escaped, self._quoted = letter == "\\", letter != '"'
            elif letter == '"':
                self._quoted = True
            elif letter in "{[":
                self._depth += 1
            elif letter in "}]":
                self._depth -= 1
                if not self._depth:
                    self.closed = True
                    return at + 1
        return len(text)


def _content(text: str) -> list[Delta]:
    return [{"content": text}]


def _name(quoted: str) -> Any:
    try:
        return orjson.loads(quoted)
    except orjson.JSONDecodeError:
        return None
