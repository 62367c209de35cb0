"""How large a body may be.

FastAPI's own `max_body_size` answers in plain text, over whatever envelope a handler made.
"""

import asyncio

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from backends.contract.errors import TooLarge

_DRAIN_S, _DRAIN_TIMES = 10, 4


class BodyLimit:
    """`json` and `upload`: bytes, for `multipart/form-data` the latter. Raises TooLarge."""

    def __init__(self, app: ASGIApp, json: int, upload: int) -> None:
        self.app, self.json, self.upload = app, json, upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = Headers(scope=scope)
        form = headers.get("content-type", "").lower().startswith("multipart/form-data")
        limit = self.upload if form else self.json
        announced = headers.get("content-length", "")
        if announced.isdecimal() and int(announced) > limit:
            # One who asks first (`Expect: 100-continue`) is told before sending anything.
            if headers.get("expect", "").lower() != "100-continue":
                await _drain(receive, limit * _DRAIN_TIMES)
            raise _too_large(limit)
        taken = 0

        async def counted() -> Message:
            nonlocal taken
            message = await receive()
            taken += len(message.get("body", b""))
            if taken > limit:
                if message.get("more_body"):
                    await _drain(receive, limit * _DRAIN_TIMES)
                raise _too_large(limit)
            return message

        await self.app(scope, counted, send)


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
