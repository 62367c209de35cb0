"""Some requests and their answers, redacted, as CloudEvents: for evaluation and evidence. Off by default."""

import asyncio
import logging
import os
import random
import uuid
from collections import deque
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Protocol

import httpx
import orjson
from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.guard.needs import infers, spends
from app.telemetry import redact
from app.telemetry.metrics import routed
from app.telemetry.visit import Visit
from backends.contract.errors import GatewayError

LARGEST = 64 * 1024  # bytes kept of a body
MOST = 512  # exchanges that may wait to be written: 64 MiB at the very most
AT_ONCE = 32
SEND_S = 5.0
CLOSE_S = 3.0

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Body:
    """As much as is kept of one. `size`: of all of it, in bytes."""

    kind: str = ""
    kept: bytearray = field(default_factory=bytearray)
    size: int = 0

    def add(self, more: bytes) -> None:
        self.size += len(more)
        self.kept += more[: LARGEST - len(self.kept)]

    def told(self, hide: Collection[str]) -> dict[str, Any]:
        whole = self.size == len(self.kept)
        return {"bytes": self.size, "body": redact.body(bytes(self.kept), self.kind, whole, hide)}


@dataclass(slots=True)
class Exchange:
    """A request and its answer. Who asked is known by the key's id alone."""

    visit: Visit
    path: str
    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    asked: Body = field(default_factory=Body)
    answered: Body = field(default_factory=Body)
    code: str | None = None

    def events(self, hide: Collection[str]) -> list[dict[str, Any]]:
        """CloudEvents 1.0 of types `motley.request` and `motley.response`, of one `requestid`."""
        visit, target = self.visit, self.visit.target
        about: dict[str, Any] = {
            "specversion": "1.0",
            "source": "/motley/door",
            "datacontenttype": "application/json",
            "requestid": redact.text(visit.request_id),
            **({"keyid": visit.caller.key} if visit.caller and visit.caller.key else {}),
            **({"subject": target.model, "variant": target.variant} if target else {}),
        }
        ended = {"status": visit.status, "code": self.code or visit.code, "cut": visit.cut}
        data = (
            ("request", self.began, {"path": self.path, **self.asked.told(hide)}),
            ("response", datetime.now(UTC), {**ended, **self.answered.told(hide)}),
        )
        return [
            {**about, "id": uuid.uuid4().hex, "type": f"motley.{of}", "time": time.isoformat(), "data": told}
            for of, time, told in data
        ]


class Sink(Protocol):
    async def write(self, events: Sequence[dict[str, Any]]) -> None:
        """Raises OSError or httpx.HTTPError."""
        ...

    async def close(self) -> None: ...


class FileSink:
    """A line of JSON each, at the end of a file, which may be moved away at any time."""

    def __init__(self, path: Path) -> None:
        self._path = path

    async def write(self, events: Sequence[dict[str, Any]]) -> None:
        await asyncio.to_thread(self._write, b"".join(orjson.dumps(event) + b"\n" for event in events))

    def _write(self, lines: bytes) -> None:
        with open(self._path, "ab", opener=private) as file:
            file.write(lines)

    async def close(self) -> None: ...


class HttpSink:
    """A batch a POST. Neither proxies nor passwords come from the environment, and nothing is redirected."""

    def __init__(self, url: str) -> None:
        self._url, self._client = url, httpx.AsyncClient(timeout=SEND_S, trust_env=False)

    async def write(self, events: Sequence[dict[str, Any]]) -> None:
        kind = {"content-type": "application/cloudevents-batch+json"}
        answer = await self._client.post(self._url, content=orjson.dumps(list(events)), headers=kind)
        answer.raise_for_status()

    async def close(self) -> None:
        await self._client.aclose()


class Capture:
    """What waits to be written. A request never waits for it: where `MOST` wait, the next is dropped, and
    counted. `count`: of an outcome (written, dropped, failed), so many exchanges."""

    def __init__(
        self, sink: Sink, share: float, hide: Collection[str], count: Callable[[str, int], None]
    ) -> None:
        self._sink, self._share, self._hide, self._count = sink, share, frozenset(hide), count
        self._waiting: deque[Exchange] = deque()
        self._there = asyncio.Event()

    def chosen(self) -> bool:
        return random.random() < self._share

    def offer(self, exchange: Exchange) -> None:
        if len(self._waiting) >= MOST:
            self._count("dropped", 1)
            return
        self._waiting.append(exchange)
        self._there.set()

    async def run(self) -> None:
        while True:
            await self._there.wait()
            await self._write()

    async def close(self) -> None:
        """What waits is written, as far as that goes quickly. After `run` has ended."""
        with suppress(TimeoutError):
            async with asyncio.timeout(CLOSE_S):
                while self._waiting:
                    await self._write()
        self._count("dropped", len(self._waiting))
        await self._sink.close()

    def _events(self, batch: Sequence[Exchange]) -> list[dict[str, Any]]:
        return [event for exchange in batch for event in exchange.events(self._hide)]

    async def _write(self) -> None:
        batch = [self._waiting.popleft() for _ in range(min(AT_ONCE, len(self._waiting)))]
        if not self._waiting:
            self._there.clear()
        try:
            await self._sink.write(await asyncio.to_thread(self._events, batch))
        except asyncio.CancelledError:
            self._waiting.extendleft(reversed(batch))
            raise
        except Exception as error:
            # Not the error's text: it may hold the address, and that a password.
            log.warning("captured events are lost: %s", type(error).__name__)
            self._count("failed", len(batch))
        else:
            self._count("written", len(batch))


def sink(where: str) -> Sink:
    """Of a path or a URL."""
    return HttpSink(where) if "://" in where else FileSink(Path(where))


class Captured:
    """Takes down those exchanges with models that are chosen. Stands inside keys and limits."""

    def __init__(self, app: ASGIApp, capture: Capture) -> None:
        self.app, self.capture = app, capture

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        taken = scope["type"] == "http" and spends(scope["method"], scope["path"]) and self.capture.chosen()
        if not taken:
            await self.app(scope, receive, send)
            return
        exchange = Exchange(Visit.of(scope), scope["path"])
        asked, answered = exchange.asked, exchange.answered
        # In tensors nobody can say in which field a text stands, so that none could be hidden by its name.
        tensors = "tensors" if infers(scope["path"]) else ""
        asked.kind = tensors or Headers(scope=scope).get("content-type", "")

        async def receiver() -> Message:
            message = await receive()
            if message["type"] == "http.request":
                asked.add(message.get("body", b""))
            return message

        async def sender(message: Message) -> None:
            if message["type"] == "http.response.start":
                answered.kind = tensors or Headers(raw=message["headers"]).get("content-type", "")
            else:
                answered.add(message.get("body", b""))
            await send(message)

        try:
            await self.app(scope, receiver, sender)
        except GatewayError as error:
            exchange.code = error.code
            raise
        finally:
            exchange.path = routed(scope)
            self.capture.offer(exchange)


def private(path: str, flags: int) -> int:
    """An opener for files that only this user may read."""
    return os.open(path, flags, 0o600)
