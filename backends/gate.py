"""How many run at once, and who is next of those who wait."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from backends.contract.errors import Overloaded
from backends.contract.tasks import Asker
from backends.turns import Turns


class Gate:
    """`limit` at once; `most` wait, in turns (`Turns`). Both may change: what runs above a lower limit ends
    first."""

    def __init__(self, limit: int, most: int, clock: Callable[[], float] = time.monotonic) -> None:
        self.running = 0
        self._limit, self._most, self._clock = limit, most, clock
        # Of who waits: the seconds it is expected to take once it may run; None: another has its place.
        self._turns = Turns[asyncio.Future[float | None]]()

    @property
    def waiting(self) -> int:
        return self._turns.waiting

    def change(self, limit: int, most: int) -> None:
        self._limit, self._most = limit, most
        self._admit()

    @asynccontextmanager
    async def entered(self, asker: Asker) -> AsyncIterator[None]:
        """While it runs. Raises Overloaded, at once or when another takes the place it waits in."""
        expected = await self._enter(asker)
        began = self._clock()
        try:
            yield
        finally:
            self._leave(asker, expected, self._clock() - began)

    async def _enter(self, asker: Asker) -> float:
        if self.running < self._limit and not self.waiting:
            self.running += 1
            return self._turns.begin(asker)
        if self.waiting >= self._most:
            other = self._turns.crowded_out(asker)
            if other is None:
                raise _full()
            other.set_result(None)
        turn: asyncio.Future[float | None] = asyncio.get_running_loop().create_future()
        self._turns.wait(asker, turn)
        try:
            expected = await asyncio.shield(turn)
        except asyncio.CancelledError:
            if not turn.done():
                self._turns.leave(asker, turn)
            elif (begun := turn.result()) is not None:  # its turn came as it left
                self._leave(asker, begun, 0.0)
            raise
        if expected is None:
            raise _full()
        return expected

    def _leave(self, asker: Asker, expected: float, seconds: float) -> None:
        self.running -= 1
        self._turns.end(asker, expected, seconds)
        self._admit()

    def _admit(self) -> None:
        while self.running < self._limit and (following := self._turns.next()) is not None:
            turn, expected = following
            self.running += 1
            turn.set_result(expected)


def _full() -> Overloaded:
    return Overloaded("the model is at capacity; try again shortly")
