"""vLLM's answers → chat chunks. Bytes pass through; only what must be counted is parsed.

A quote inside a JSON string is always escaped, so `"usage":` and the like, found unescaped, are
structure and never text that the model wrote. Few events hold any: the others are not looked into.
"""

import re
from abc import ABC, abstractmethod
from typing import Any

import orjson

from backends.contract.results import ChatChunk, Usage
from backends.vllm.refusals import VllmFailed, refusal

DONE = b"data: [DONE]"
END = b"\n\n"
_FINISH, _USAGE, _ERROR = b'"finish_reason":"', b'"usage":', b'"error":'
_MARKS = (_FINISH, _USAGE, _ERROR, b"[DONE]")
# What the model thought. Half of the clients in use read it under the other name.
_THOUGHT, _ALSO = b'"reasoning":"', b'"reasoning_content":'
_THOUGHTS = re.compile(rb'"reasoning":("[^"\\]*(?:\\.[^"\\]*)*")')


class Naming:
    """The model's name in answers: what the caller called it instead of what vLLM serves it as."""

    def __init__(self, served: str, asked: str) -> None:
        self._same, self.asked = served == asked, asked
        self._served, self._asked = (b'"model":' + orjson.dumps(name) for name in (served, asked))

    def __call__(self, data: bytes) -> bytes:
        return data if self._same else data.replace(self._served, self._asked)

    def of(self, content: dict[str, Any]) -> None:
        """Name it in a document that is not JSON yet."""
        content["model"] = self.asked


def both_names(data: bytes) -> bytes:
    """With each `reasoning` a `reasoning_content` that says the same."""
    if _THOUGHT not in data or _ALSO in data:
        return data
    return _THOUGHTS.sub(rb'"reasoning":\1,"reasoning_content":\1', data)


class Stream(ABC):
    """The events of one stream, whatever pieces their bytes come in."""

    def __init__(self, naming: Naming) -> None:
        self._naming, self._rest = naming, b""
        self._done = False

    def feed(self, data: bytes) -> ChatChunk | None:
        """What can be sent on after these bytes. Raises what an error among the events means."""
        data = self._rest + data
        cut = data.rfind(END) + len(END)
        if cut < len(END):
            self._rest = data
            return None
        whole, self._rest = data[:cut], data[cut:]
        return self._read(whole)

    def end(self) -> None:
        """After the last bytes. Raises VllmFailed where the answer has not ended."""
        if not self._done:
            raise VllmFailed("vLLM ended a stream before its answer did")

    @abstractmethod
    def _read(self, whole: bytes) -> ChatChunk | None:
        """What whole events come to. Sets `_done` at the last."""


class Events(Stream):
    """The events of one streamed answer. `usage_shown`: the caller asked for the event with usage."""

    def __init__(self, *, usage_shown: bool, naming: Naming) -> None:
        super().__init__(naming)
        self._usage_shown = usage_shown

    def _read(self, whole: bytes) -> ChatChunk | None:
        if not any(mark in whole for mark in _MARKS):
            return ChatChunk(both_names(self._naming(whole)))
        return self._sorted(whole.split(END)[:-1])

    def _sorted(self, events: list[bytes]) -> ChatChunk | None:
        kept: list[bytes] = []
        finish: str | None = None
        usage: Usage | None = None
        tokens = 0
        for event in events:
            if event == DONE:
                self._done = True
                continue
            if event.startswith(b"data:") and any(mark in event for mark in _MARKS):
                content = orjson.loads(event.removeprefix(b"data:"))
                if content.get("error"):
                    raise refusal(int(content["error"].get("code") or 500), content)
                finish = _finish(content) or finish
                # Only the last one has no choices; the others count what there is so far.
                usage = _usage(content) or usage
                if usage is not None and not content.get("choices"):
                    tokens = usage.completion_tokens
                    if not self._usage_shown:
                        continue
            kept.append(event)
        if not kept and usage is None:
            return None
        data = both_names(self._naming(b"".join(event + END for event in kept)))
        return ChatChunk(data, tokens, finish, usage)


def document(data: bytes, naming: Naming) -> ChatChunk:
    """An answer that was not streamed."""
    content = orjson.loads(data)
    usage = _usage(content)
    tokens = usage.completion_tokens if usage else 0
    return ChatChunk(both_names(naming(data)), tokens, _finish(content), usage)


def _finish(content: dict[str, Any]) -> str | None:
    """That of the last choice which has one."""
    found = [choice["finish_reason"] for choice in content.get("choices", ()) if choice.get("finish_reason")]
    return str(found[-1]) if found else None


def _usage(content: dict[str, Any]) -> Usage | None:
    usage = content.get("usage")
    if not usage:
        return None
    return Usage(usage.get("prompt_tokens") or 0, usage.get("completion_tokens") or 0)
