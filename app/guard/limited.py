"""The limits of the caller's key, before a byte of body is read, and what the request used, after."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard.body import announced
from app.guard.limits import Limiter
from app.guard.needs import spends
from app.telemetry.visit import Visit
from app.usage.entries import Used, used
from backends.contract.errors import GatewayError


class Limited:
    """Lets a request through where its key may have one more; it is one until its answer has been sent. Only
    what asks a model counts. Raises RateLimited."""

    def __init__(self, app: ASGIApp, limiter: Limiter) -> None:
        self.app, self.limiter = app, limiter

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit.of(scope) if scope["type"] == "http" else None
        caller = visit and visit.caller
        if visit is None or not caller or not caller.limits or not spends(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        await self.limiter.enter(caller.key, caller.limits, visit.limits)
        try:
            await self.app(scope, receive, send)
        except GatewayError as error:
            visit.code = error.code  # what stands outside notes it too late for us
            raise
        finally:
            await self.limiter.leave(caller.key, caller.limits, spent(visit, scope).costs())


def spent(visit: Visit, scope: Scope) -> Used:
    """As `used`; the body is as long as it was announced."""
    return used(visit, announced(Headers(scope=scope)) if visit.left else 0)
