"""Every visit that reached a model is put into the ledger when it has ended."""

import time

from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard.limited import spent
from app.telemetry.visit import Visit
from app.usage.entries import account
from app.usage.ledger import Ledger


class Booked:
    """Stands outside of what makes answers of errors, so that it sees how each ended."""

    def __init__(self, app: ASGIApp, ledger: Ledger) -> None:
        self.app, self.ledger = app, ledger

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                visit = Visit.of(scope)
                found = account(visit, time.time())
                if found is not None:
                    self.ledger.note(found, spent(visit, scope))
