"""Who is it, and may they come in? Asked at the header, before a byte of body is read."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard.keyring import Keyring
from app.guard.needs import need
from app.guard.scopes import ANYONE, Caller
from app.guard.visitors import Visitors
from app.telemetry.visit import Visit
from backends.contract.errors import Forbidden, Unauthenticated


class Keys:
    """Notes on the visit whose key it brings, and asks for one where one is needed.

    Without keys everybody may do everything who comes as `visitors` allows. Raises Unauthenticated and
    Forbidden.
    """

    def __init__(self, app: ASGIApp, keyring: Keyring, visitors: Visitors, open_docs: bool) -> None:
        self.app, self.keyring, self.visitors, self.open_docs = app, keyring, visitors, open_docs

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "websocket":  # no route takes one: none is open by accident
            await send({"type": "websocket.close", "code": 1008})
            return
        if scope["type"] == "http":
            self._admit(scope)
        await self.app(scope, receive, send)

    def _admit(self, scope: Scope) -> None:
        visit, asked = Visit.of(scope), need(scope["method"], scope["path"], open_docs=self.open_docs)
        try:
            visit.caller = self._who(Headers(scope=scope), visit.by_host)
        except (Unauthenticated, Forbidden):
            # Under the path of a model, even whether there is one is not told to strangers.
            if asked != "nothing" or (visit.alias is not None and not visit.by_host):
                raise
            visit.alias = None  # of hosts, none tells a stranger more than another
        else:
            if asked in ("observer", "operator"):
                visit.caller.must_hold(asked)

    def _who(self, headers: Headers, predictor: bool) -> Caller:
        if self.keyring.on:
            return self.keyring.whose(bearer(headers))
        self.visitors.must_be_fine(headers, predictor)
        return ANYONE


def bearer(headers: Headers) -> str:
    """Raises Unauthenticated where there is none."""
    scheme, _, given = headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not given.strip():
        raise Unauthenticated("You must provide an API key: `Authorization: Bearer KEY`")
    return given.strip()
