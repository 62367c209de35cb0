"""A steady load on a running Motley, from a thread of its own: requests are sent on time, whether those
before have been answered or not."""

import asyncio
import itertools
import threading
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any

import httpx2


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked, and under which name it is reported."""

    name: str
    path: str
    body: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Seen:
    """`at`: when it was sent (monotonic); `status`: 0 where no answer came."""

    name: str
    at: float
    seconds: float
    status: int
    told: str


class Load:
    """`rate` requests a second, of `asks` in turn, from entering to leaving; `seen` is what came of them."""

    def __init__(self, url: str, asks: Iterable[Ask], rate: float = 20) -> None:
        self.seen: list[Seen] = []
        self._url, self._asks, self._rate = url, itertools.cycle(asks), rate
        self._stop = threading.Event()
        self._thread = threading.Thread(target=lambda: asyncio.run(self._run()))

    def __enter__(self) -> "Load":
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stop.set()
        self._thread.join()

    def failed(self) -> list[Seen]:
        return [one for one in self.seen if one.status != 200]

    def seconds(self, name: str, spans: Sequence[tuple[float, float]]) -> list[float]:
        """How long the requests took that were sent within one of the spans, in order of length."""
        within = (one for one in self.seen if any(begin <= one.at < end for begin, end in spans))
        return sorted(one.seconds for one in within if one.name == name)

    async def _run(self) -> None:
        limits = httpx2.Limits(max_connections=200)
        http = httpx2.AsyncClient(base_url=self._url, timeout=60, limits=limits)
        async with http, asyncio.TaskGroup() as group:
            due = time.monotonic()
            while not self._stop.is_set():
                group.create_task(self._send(http, next(self._asks)))
                due += 1 / self._rate
                await asyncio.sleep(due - time.monotonic())

    async def _send(self, http: httpx2.AsyncClient, ask: Ask) -> None:
        at = time.monotonic()
        try:
            answer = await http.post(ask.path, json=ask.body)
        except httpx2.HTTPError as error:
            self.seen.append(Seen(ask.name, at, time.monotonic() - at, 0, repr(error)))
        else:
            told = "" if answer.status_code == 200 else answer.text[:200]
            self.seen.append(Seen(ask.name, at, time.monotonic() - at, answer.status_code, told))


def percentile(ordered: Sequence[float], share: float) -> float:
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]
