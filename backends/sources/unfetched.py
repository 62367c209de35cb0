"""Stands where an engine will, until the files of its model are on the node."""

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar

from backends.contract.engine import Engine, Progress
from backends.contract.tasks import Verb
from backends.sources.address import Address
from backends.sources.errand import Errand
from backends.sources.store import Hold, sized


class Unfetched:
    """An engine that can do nothing but bring the files; `made` makes the one that takes its place. Until
    `close` nobody removes the files."""

    tasks: ClassVar[frozenset[Verb]] = frozenset()
    busy = 0

    def __init__(self, address: Address, allow_pickle: bool, made: Callable[[Path], Engine]) -> None:
        self.errand, self._made = Errand(address, allow_pickle), made
        self._hold: Hold | None = None

    async def fetched(self, progress: Progress) -> Engine:
        """Raises SourceFailed, and what `made` raises."""
        pace = Pace()
        progress("fetching", None)
        self._hold = await self.errand.run(lambda have, size: progress(*pace.told(have, size)))
        progress("loading", None)
        return self._made(self._hold.path)

    async def load(self, progress: Progress) -> None:
        raise NotImplementedError("its files are not here yet")

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        await self.errand.close()
        if self._hold is not None:
            self._hold.close()

    def facts(self) -> Mapping[str, Any]:
        return {}


class Pace:
    """Bytes so far → what people are told. `clock`: seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._begun: tuple[float, int] | None = None

    def told(self, have: int, size: int | None) -> tuple[str, float | None]:
        """(the stage, how far it is, 0…1)."""
        if not size:
            return (f"fetching, {sized(have)}" if have else "fetching"), None
        now = self._clock()
        if self._begun is None:
            self._begun = now, have
        stage = f"fetching, {sized(have)} of {sized(size)}"
        seconds, brought = now - self._begun[0], have - self._begun[1]
        if seconds > 0 and brought > 0:
            stage += f", {(size - have) * seconds / brought:.0f} s left"
        return stage, have / size
