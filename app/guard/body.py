"""How large, how deep and how slow a body may be.

FastAPI's own `max_body_size` answers in plain text, over whatever envelope a handler made. How slowly a
head may come is for who listens: HAProxy (`backends/render/environment.py`).
"""

import asyncio
import re
import time
from itertools import accumulate

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.guard.needs import infers
from backends.contract.errors import InvalidRequest, TooLarge, TooSlow

_DRAIN_S, _DRAIN_TIMES = 10, 4
# Bytes a second that a body must come at, all in all, once its grace is over.
SLOWEST = 4_000
# Arrays and objects: how many in one another, and in all. Of the latter each costs a hundred times its text.
DEEPEST, MOST = 64, 200_000
# The header of a request of tensors that says how much of it is JSON, where not all is.
BINARY_LENGTH = "inference-header-content-length"

_STRINGS = re.compile(rb'"[^"\\]*(?:\\.[^"\\]*)*"?', re.DOTALL)
_NO_BRACKETS = bytes(set(range(256)) - set(b"[]{}"))
_STEPS = bytes(1 if byte in b"[{" else 0 for byte in range(256))


class BodyLimit:
    """`json` and `upload`: bytes, for `multipart/form-data` and binary tensors the latter. `grace_s`:
    seconds that any body may take; a longer one is given one more for every `SLOWEST` bytes that have come.
    What is JSON is handed on whole, when it was found to be shallow. Raises TooLarge, TooSlow and
    InvalidRequest."""

    def __init__(self, app: ASGIApp, json: int, upload: int, grace_s: float) -> None:
        self.app, self.json, self.upload, self.grace_s = app, json, upload, grace_s

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        loose = _is_no_json(headers, scope)
        limit = self.upload if loose else self.json
        if announced(headers) > limit:
            # One who asks first (`Expect: 100-continue`) is told before sending anything.
            if headers.get("expect", "").lower() != "100-continue":
                await _drain(receive, limit * _DRAIN_TIMES)
            raise _too_large(limit)
        body = _Body(receive, limit, self.grace_s)
        await self.app(scope, body.piece if loose else body.whole, send)


def announced(headers: Headers) -> int:
    """How long the body is said to be, in bytes; 0 where nothing is said."""
    told = headers.get("content-length", "")
    return int(told) if told.isdecimal() else 0


def _is_no_json(headers: Headers, scope: Scope) -> bool:
    """A form; or tensors, of which only the beginning is JSON: `app/wire/tensors.py` looks how deep."""
    if BINARY_LENGTH in headers and infers(scope["path"]):
        return True
    return headers.get("content-type", "").lower().startswith("multipart/form-data")


class _Body:
    """One body on its way in. When it has come, only the client's leaving is still to hear of."""

    def __init__(self, receive: Receive, limit: int, grace_s: float) -> None:
        self._receive, self._limit, self._grace_s = receive, limit, grace_s
        self._taken, self._began, self._ended = 0, 0.0, False

    async def piece(self) -> Message:
        if self._ended:
            return await self._receive()
        self._began = self._began or time.monotonic()
        left = self._began + self._grace_s + self._taken / SLOWEST - time.monotonic()
        try:
            async with asyncio.timeout(max(0.0, left)):
                message = await self._receive()
        except TimeoutError:
            raise TooSlow("the body came too slowly") from None
        self._taken += len(message.get("body", b""))
        if self._taken > self._limit:
            if message.get("more_body"):
                await _drain(self._receive, self._limit * _DRAIN_TIMES)
            raise _too_large(self._limit)
        self._ended = not message.get("more_body")
        return message

    async def whole(self) -> Message:
        if self._ended:
            return await self._receive()
        pieces = []
        while not self._ended:
            message = await self.piece()
            if message["type"] != "http.request":
                return message
            pieces.append(message.get("body", b""))
        body = b"".join(pieces)
        must_be_shallow(body)
        return {"type": "http.request", "body": body, "more_body": False}


def must_be_shallow(body: bytes) -> None:
    """Before anything is made of a JSON body: of brackets alone a megabyte becomes a hundred. Brackets in
    strings do not count. Raises InvalidRequest."""
    if body.count(b"[") + body.count(b"{") <= DEEPEST:
        return
    # A NUL is UTF-16, or nothing: there our eyes see other strings than a parser's.
    plain = body if b"\0" in body else _STRINGS.sub(b"", body)
    brackets = plain.translate(None, _NO_BRACKETS)
    if len(brackets) > 2 * MOST:
        raise InvalidRequest(f"The body holds more than {MOST:,} arrays and objects")
    if max(accumulate(2 * step - 1 for step in brackets.translate(_STEPS)), default=0) > DEEPEST:
        raise InvalidRequest(f"The body's arrays and objects are more than {DEEPEST} deep")


async def _drain(receive: Receive, most: int) -> None:
    """Read and drop what is still coming: a client cut off while it sends never reads why."""
    try:
        async with asyncio.timeout(_DRAIN_S):
            while most > 0:
                message = await receive()
                most -= len(message.get("body", b""))
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
    except TimeoutError:
        return


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the body is larger than {limit / 1e6:g} MB, the limit here")
