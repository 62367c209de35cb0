"""vLLM's answers to `/v1/responses` → chat chunks. Events that only add text pass as bytes; those
with the response in them name the model and count its tokens."""

from typing import Any

import orjson

from backends.contract.results import ChatChunk, Usage
from backends.vllm.answers import END, Naming, Stream
from backends.vllm.refusals import VllmFailed, refusal

# Unescaped it is a key of the event itself, or of what the caller's own schemas hold: both are read.
_RESPONSE, _ERROR = b'"response":', b'"error":'
_DATA = b"\ndata:"
ENDS = frozenset({"response.completed", "response.incomplete"})


class Events(Stream):
    """The events of one streamed response."""

    def _read(self, whole: bytes) -> ChatChunk | None:
        if _RESPONSE not in whole and _ERROR not in whole:
            return ChatChunk(whole)
        usage: Usage | None = None
        finish: str | None = None
        kept: list[bytes] = []
        for event in whole.split(END)[:-1]:
            name, mark, said = event.partition(_DATA)
            if not mark or not (_RESPONSE in event or _ERROR in event):
                kept.append(event)
                continue
            content = orjson.loads(said)
            if content.get("type") == "error" or content.get("error"):
                raise _failure(content)
            response = content.get("response")
            if not isinstance(response, dict):
                kept.append(event)
                continue
            if response.get("status") == "failed":
                raise _failure(response)
            _ours(response, self._naming)
            kept.append(name + _DATA + b" " + orjson.dumps(content))
            if content.get("type") in ENDS:
                self._done, usage, finish = True, _usage(response), _finish(response)
        tokens = usage.completion_tokens if usage else 0
        return ChatChunk(b"".join(event + END for event in kept), tokens, finish, usage)


def document(data: bytes, naming: Naming) -> ChatChunk:
    """A response that was not streamed. Raises VllmFailed for one that failed."""
    content = orjson.loads(data)
    if content.get("status") in ("failed", "cancelled"):
        raise _failure(content)
    _ours(content, naming)
    usage = _usage(content)
    return ChatChunk(orjson.dumps(content), usage.completion_tokens if usage else 0, _finish(content), usage)


def _ours(response: dict[str, Any], naming: Naming) -> None:
    naming.of(response)
    response["store"] = False  # which vLLM does not tell


def _failure(content: dict[str, Any]) -> Exception:
    error = content.get("error")
    if isinstance(error, dict) and isinstance(error.get("code"), int):
        return refusal(error["code"], content)
    return VllmFailed(f"vLLM ended a response with {str(content)[:2000]}")


def _finish(response: dict[str, Any]) -> str:
    return "length" if response.get("status") == "incomplete" else "stop"


def _usage(response: dict[str, Any]) -> Usage | None:
    usage = response.get("usage")
    if not usage:
        return None
    return Usage(usage.get("input_tokens") or 0, usage.get("output_tokens") or 0)
