"""What a remote server refuses → what it means to our caller.

Only what the caller did wrong is passed on, and of the server's words only a cleaned sentence:
a wrong key or an unknown model is a mistake in the fleet, and none of the caller's business.
"""

import math
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from backends.contract.errors import (
    ContextExceeded,
    EngineFailed,
    GatewayError,
    InvalidRequest,
    MediaUnsupported,
    Overloaded,
    TooLarge,
    UpstreamTimeout,
)

_LONGEST = 300
_LONGEST_WAIT_S = 3600.0
# How servers call a prompt that does not fit: OpenAI by its code, vLLM by its parameter.
_TOO_LONG = "context_length_exceeded"
_TOO_LONG_PARAM = "input_tokens"
# Addresses, paths, keys: what a server may tell its operator, but not a stranger.
_PRIVATE = re.compile(
    r"\b\w+://\S+|\b\d{1,3}(?:\.\d{1,3}){3}(?::\d+)?\b"
    r"|(?<![\w.])~?(?:/[\w.@+-]+){2,}/?|\b(?:sk|pk|hf|org|proj|key)[-_][\w*-]{6,}"
)
_PARAM = re.compile(r"[A-Za-z_][\w.\[\]-]{0,99}")


@dataclass(frozen=True, slots=True)
class Cleaner:
    """`key` is not shown, and the model's name `there` is said as it is `here`."""

    key: str | None
    there: str
    here: str

    def clean(self, message: Any) -> str:
        """One line of at most 300 characters, without addresses, paths and keys; "" for what is no
        sentence for people (a traceback, an object)."""
        if not isinstance(message, str) or "Traceback" in message:
            return ""
        if self.key:
            message = message.replace(self.key, "…")
        message = re.sub(rf"(?<![\w-]){re.escape(self.there)}(?![\w-])", lambda _: self.here, message)
        text = _PRIVATE.sub("…", " ".join(message.split()))
        text = "".join(letter for letter in text if letter.isprintable())
        return text if len(text) <= _LONGEST else text[: _LONGEST - 1] + "…"


def refusal(status: int, headers: Mapping[str, str], raw: bytes, cleaner: Cleaner) -> GatewayError:
    """`raw`: the body, at least its beginning."""
    match status:
        case 400 | 422:
            return _callers_fault(_envelope(raw), cleaner)
        case 413:
            return TooLarge("the remote server takes no request this large")
        case 415:
            return MediaUnsupported("the remote server cannot read this file", param="file")
        case 408 | 504:
            return UpstreamTimeout("the remote server took too long")
        case 429 | 503 | 529:
            return Overloaded(
                "the remote server is at capacity; try again shortly",
                retry_after=_wait(headers.get("retry-after")),
            )
        case _:
            return EngineFailed("the remote server cannot answer this request")


def _callers_fault(said: Mapping[str, Any], cleaner: Cleaner) -> InvalidRequest:
    message = cleaner.clean(said.get("message")) or "the remote server refused the request"
    param = said.get("param")
    if not isinstance(param, str) or not _PARAM.fullmatch(param):
        param = None
    if said.get("code") == _TOO_LONG or param == _TOO_LONG_PARAM:
        return ContextExceeded(message, param="messages" if param in (None, _TOO_LONG_PARAM) else param)
    return InvalidRequest(message, param=param)


def _envelope(raw: bytes) -> Mapping[str, Any]:
    """`{"error": {…}}` → what is in it; empty for any other body."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError:
        return {}
    said = body.get("error") if isinstance(body, dict) else None
    return said if isinstance(said, dict) else {}


def _wait(given: str | None) -> float:
    """`Retry-After` in seconds, from a number or a date; 1 where it says nothing useful."""
    if given is None:
        return 1
    try:
        seconds = float(given)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(given).timestamp() - time.time()
        except ValueError:
            return 1
    return min(max(seconds, 1), _LONGEST_WAIT_S) if math.isfinite(seconds) else 1
