"""Static keys, asked for at the header: before a byte of body is read."""

import hmac
from collections.abc import Sequence

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from backends.contract.errors import Unauthenticated

OPEN = frozenset({"/health", "/ready", "/-/healthz", "/docs", "/openapi.json"})


class Keys:
    """Lets in who names one of `keys` as a bearer token; with no keys, everybody.

    Raises Unauthenticated. Everything but `OPEN` is closed: a new route is closed by default.
    """

    def __init__(self, app: ASGIApp, keys: Sequence[str]) -> None:
        self.app = app
        self.keys = tuple(key.encode() for key in keys)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and self.keys and scope["path"] not in OPEN:
            self._check(Headers(scope=scope).get("authorization", ""))
        await self.app(scope, receive, send)

    def _check(self, header: str) -> None:
        scheme, _, given = header.partition(" ")
        if scheme.lower() != "bearer" or not given.strip():
            raise Unauthenticated("You must provide an API key: `Authorization: Bearer KEY`")
        token = given.strip().encode("latin-1", "replace")
        # Compare with every key, and without an early exit: time must tell nothing.
        if not sum(hmac.compare_digest(token, key) for key in self.keys):
            raise Unauthenticated("The API key is not known here")
