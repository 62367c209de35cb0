"""The fleet as it changes, for however many watch: one look a second while anybody does, none else."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping
from dataclasses import asdict
from typing import Any

from app.telemetry.figures import Seen, figures, seen
from app.telemetry.page import Doors

LOOK_S = 1.0
COUNT_S = 5.0  # between two questions to all doors
WINDOW_S = 300.0
# So that a key that was revoked does not watch on, and no door waits for who does when it ends.
LASTS_S = 20.0


class Live:
    """`look`: the state now, as a document. Those who watch share the task that waits for the next one."""

    def __init__(
        self,
        look: Callable[[], Awaitable[bytes]],
        every_s: float = LOOK_S,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._look, self._every_s, self._clock = look, every_s, clock
        self._next: asyncio.Task[bytes] | None = None
        self._due = 0.0

    async def watch(self, lasts_s: float = LASTS_S) -> AsyncGenerator[bytes, None]:
        """The state, and each other one that follows, for `lasts_s` seconds. Raises what a look raised."""
        until, told = self._clock() + lasts_s, b""
        while self._clock() < until:
            found = await asyncio.shield(self._coming())
            if found != told:
                told = found
                yield found

    def _coming(self) -> asyncio.Task[bytes]:
        if self._next is None or self._next.done():
            self._next = asyncio.create_task(self._looked())
            self._next.add_done_callback(_noted)
        return self._next

    async def _looked(self) -> bytes:
        await asyncio.sleep(max(0.0, self._due - self._clock()))
        self._due = self._clock() + self._every_s
        return await self._look()


class Pace:
    """How fast the variants answer, over at most `WINDOW_S` seconds in which somebody watched."""

    def __init__(self, doors: Doors, clock: Callable[[], float] = time.monotonic) -> None:
        self._doors, self._clock = doors, clock
        self._moments: deque[tuple[float, Seen]] = deque()
        self._told: Mapping[str, Any] | None = None

    async def now(self) -> Mapping[str, Any] | None:
        """`seconds` that the figures are of, and `of` each model and variant; None as long as there is but
        one moment to tell of."""
        now = self._clock()
        if not self._moments or now - self._moments[-1][0] >= COUNT_S:
            self._count(now, seen(await self._doors.counted()))
        return self._told

    def _count(self, now: float, counted: Seen) -> None:
        # A look after a pause: what was counted before it is no neighbour of what is now.
        if self._moments and now - self._moments[-1][0] > 3 * COUNT_S:
            self._moments.clear()
        while self._moments and now - self._moments[0][0] > WINDOW_S:
            self._moments.popleft()
        if self._moments:
            (since, before), (last, latest) = self._moments[0], self._moments[-1]
            found = figures(before, latest, counted, now - last)
            of = {
                model: {variant: asdict(one) for variant, one in variants.items()}
                for model, variants in found.items()
            }
            self._told = {"seconds": round(now - since), "of": of}
        else:
            self._told = None
        self._moments.append((now, counted))


def _noted(looked: asyncio.Task[bytes]) -> None:
    """Whoever still waits is told; where all have gone, nobody is missed."""
    if not looked.cancelled():
        looked.exception()
