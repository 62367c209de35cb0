"""One visit: what is learnt about a request on its way, and the headers that tell it."""

import contextvars
import time
from dataclasses import dataclass, field
from secrets import token_hex

from starlette.datastructures import Headers
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

    `caller`: None for a stranger, where one may ask; `alias` is the path alias the request came through, or
    (`by_host`) the model that its host names;
    `asked` the model's name as the caller wrote it; `code` the error's code; `cut` says why a begun stream
    did not end properly: `client`, or an error's code. `streams`: whether the answer comes as it is made.
    `tokens`: sent out so far; `opening`: those that came first; `latest`: when the last ones came.
    `heard_s`: seconds of audio; `characters`: of a text that is spoken, `spoken_s`: seconds of what was made
    of it. `limits`: headers on how the key stands. Times are monotonic seconds.
    """

    request_id: str
    started: float = field(default_factory=time.perf_counter)
    caller: Caller | None = None
    alias: str | None = None
    by_host: bool = False
    asked: str = ""
    target: Target | None = None
    status: int = 0
    code: str | None = None
    first: float | None = None
    streams: bool = False
    tokens: int = 0
    opening: int = 0
    latest: float = 0.0
    heard_s: float = 0.0
    characters: int = 0
    spoken_s: float = 0.0
    limits: dict[str, str] = field(default_factory=dict)
    usage: Usage = field(default_factory=Usage)
    cut: str | None = None

    def got_first(self) -> None:
        """The first item of the answer is here."""
        if self.first is None:
            self.first = time.perf_counter()

    def got_tokens(self, count: int) -> None:
        """More of a chat is about to go out. The first token is what counts as first: before it comes a
        piece that names the role."""
        if count:
            self.latest = time.perf_counter()
            if not self.tokens:
                self.opening, self.first = count, self.latest
            self.tokens += count

    @property
    def between(self) -> float | None:
        """Seconds from token to token, on average; those that came at once are one."""
        later = self.tokens - self.opening
        return (self.latest - self.first) / later if later and self.first is not None else None

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
        visit: Visit = scope[KEY]
        return visit


class Visits:
    """Begins each visit: takes or makes the request id, and writes it on the way out."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        visit = Visit(sane(Headers(scope=scope).get("x-request-id")) or f"req_{token_hex(16)}")
        scope[KEY] = visit
        token = request_id.set(visit.request_id)

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                visit.status = message["status"]
                message["headers"] = [*message.get("headers", ()), *_signed(visit)]
            await send(message)

        try:
            await self.app(scope, receive, sender)
        finally:
            request_id.reset(token)


def sane(given: str | None) -> str | None:
    """A caller's request id, if fit for logs and headers: short and printable, or not at all."""
    ok = given and len(given) <= 128 and given.isascii() and given.isprintable()
    return given if ok else None


def _signed(visit: Visit) -> list[tuple[bytes, bytes]]:
    told = {
        "x-request-id": visit.request_id,
        **visit.limits,
        "openai-processing-ms": str(round(visit.elapsed() * 1000)),
    }
    if (target := visit.target) is not None:
        told["x-motley-variant"] = target.variant
        told["x-motley-engine"] = target.engine
        if target.node is not None:
            told["x-motley-node"] = target.node
        if target.fingerprint is not None:
            told["x-motley-fingerprint"] = target.fingerprint
        if target.retried is not None:
            told["x-motley-retry"] = target.retried
        if target.passed:
            told["x-motley-fallback"] = target.model
        if target.steps:
            told["x-motley-steps"] = ", ".join(target.steps)
    return [(name.encode(), value.encode("latin-1")) for name, value in told.items()]
