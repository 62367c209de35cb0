"""The limits of the caller's key, before a byte of body is read, and what the request used, after."""

from collections.abc import Mapping

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.guard.limits import Kind, Limiter
from app.guard.needs import spends
from app.telemetry.visit import Visit

BYTES_A_TOKEN = 4  # of English, about


class Limited:
    """Lets a request through where its key may have one more; it is one until its answer has been sent. Only
    what asks a model counts. Raises RateLimited."""

    def __init__(self, app: ASGIApp) -> None:
        self.app, self.limiter = app, Limiter()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        visit = Visit.of(scope) if scope["type"] == "http" else None
        caller = visit and visit.caller
        if visit is None or not caller or not caller.limits or not spends(scope["method"], scope["path"]):
            await self.app(scope, receive, send)
            return
        async with self.limiter.admitted(caller.key, caller.limits, visit.limits):
            try:
                await self.app(scope, receive, send)
            finally:
                length = Headers(scope=scope).get("content-length", "")
                used = spent(visit, int(length) if length.isdecimal() else 0)
                await self.limiter.charge(caller.key, caller.limits, used)


def spent(visit: Visit, length: int) -> Mapping[Kind, float]:
    """What a visit that has ended used. Of one whose caller left the engine tells no usage: what was sent out
    counts, and for the prompt the `length` of the body, in bytes."""
    tokens = visit.usage.prompt_tokens + visit.usage.completion_tokens
    if not tokens and visit.target is not None and visit.target.task == "chat" and visit.left:
        tokens = visit.tokens + length // BYTES_A_TOKEN
    return {"tokens": tokens, "audio_seconds": visit.heard_s, "characters": visit.characters}
