"""One visit: what is learnt about a request on its way, and the headers that tell it."""

import contextvars
import time
import uuid
from dataclasses import dataclass, field

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.catalogue import Target
from app.guard.scopes import Caller
from backends.contract.errors import ClientGone
from backends.contract.results import Usage

KEY = "motley.visit"

request_id: contextvars.ContextVar[str] = contextvars.ContextVar("request_id", default="")


@dataclass(slots=True)
class Visit:
    """Written by middleware and routes, read by logs, metrics and the response headers.

    `caller`: None for a stranger, where one may ask; `alias` is the path alias the request came through;
    `asked` the model's name as the caller wrote it; `code` the error's code; `cut` says why a begun stream
    did not end properly: `client`, or an error's code. `tokens`: sent out so far; `heard_s`: seconds of
    audio; `characters`: of a text that is spoken; `limits`: headers on how the key stands. Times are
    monotonic seconds.
    """

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    alias: str | None = None
    asked: str = ""
    target: Target | None = None
    status: int = 0
    code: str | None = None
    first: float | None = None
    tokens: int = 0
    heard_s: float = 0.0
    characters: int = 0
    limits: dict[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cut: str | None = None

    def got_first(self) -> None:
        """The first item of the answer is here."""
        if self.first is None:
            self.first = time.perf_counter()

    @property
    def answering(self) -> str:
        """The `model` of an answer: as the caller wrote it, or the fallback's own name."""
        return self.target.model if self.target is not None and self.target.passed else self.asked

    @property
    def left(self) -> bool:
        """The caller did not stay to the end."""
        return self.cut == "client" or self.code == ClientGone.code

    def elapsed(self) -> float:
        return time.perf_counter() - self.started

    @classmethod
    def of(cls, scope: Scope) -> "Visit":
        """The visit of a request. Raises KeyError outside of `Visits`."""
        visit = scope[KEY]
        assert isinstance(visit, cls)
        return visit


class Visits:
    """Begins each visit: takes or makes the request id, and writes it on the way out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(sane(Headers(scope=scope).get("x-request-id")) or f"req_{uuid.uuid4().hex}")
        scope[KEY] = visit
        token = request_id.set(visit.request_id)

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                _sign(visit, MutableHeaders(raw=message.setdefault("headers", [])))
            await send(message)

        try:
            await self.app(scope, receive, sender)
        finally:
            request_id.reset(token)


def sane(given: str | None) -> str | None:
    """A caller's request id, if fit for logs and headers: short and printable, or not at all."""
    ok = given and len(given) <= 128 and given.isascii() and given.isprintable()
    return given if ok else None


def _sign(visit: Visit, headers: MutableHeaders) -> None:
    headers["x-request-id"] = visit.request_id
    headers.raw.extend((name.encode(), value.encode()) for name, value in visit.limits.items())
    headers["openai-processing-ms"] = str(round(visit.elapsed() * 1000))
    if visit.target is not None:
        headers["x-motley-variant"] = visit.target.variant
        headers["x-motley-engine"] = visit.target.engine
        if visit.target.node is not None:
            headers["x-motley-node"] = visit.target.node
        if visit.target.fingerprint is not None:
            headers["x-motley-fingerprint"] = visit.target.fingerprint
        if visit.target.retried is not None:
            headers["x-motley-retry"] = visit.target.retried
        if visit.target.passed:
            headers["x-motley-fallback"] = visit.target.model
        if visit.target.steps:
            headers["x-motley-steps"] = ", ".join(visit.target.steps)
