"""Cut much input into batches of a bounded size, and run the batches of many callers in turn."""

import asyncio
from collections.abc import Callable, Sequence
from concurrent.futures import Executor
from typing import TypeVar

T = TypeVar("T")


def batches(lengths: Sequence[int], most_tokens: int, most: int) -> list[list[int]]:
    """Indices into `lengths` (tokens per item), grouped so that little is padded.

    A batch holds at most `most` items and, padded to its longest, at most `most_tokens` tokens;
    an item longer than that goes alone. The longest come first: memory reaches its height with
    the first batch and is reused by the rest.
    """
    order = sorted(range(len(lengths)), key=lambda index: -lengths[index])
    cut: list[list[int]] = []
    for index in order:
        longest = lengths[cut[-1][0]] if cut else 0
        if not cut or len(cut[-1]) == most or (len(cut[-1]) + 1) * longest > most_tokens:
            cut.append([])
        cut[-1].append(index)
    return cut


async def to_the_end(
    work: Callable[[], T], stop: Callable[[], None] | None = None, threads: Executor | None = None
) -> T:
    """Run blocking `work` in a thread, of the event loop's own or of `threads`. A cancelled caller
    calls `stop` and still waits for the thread: when this returns or raises, nothing computes any more."""
    running = asyncio.get_running_loop().run_in_executor(threads, work)
    left: asyncio.CancelledError | None = None
    while not running.done():
        try:
            await asyncio.wait({running})
        except asyncio.CancelledError as leaving:
            left = leaving
            if stop is not None:
                stop()
    if left is not None:
        running.exception()  # what a stopped run raises interests nobody
        raise left
    return running.result()


class Turns:
    """Lets one batch compute at a time. Callers get their turns in the order they ask, so one with
    a thousand batches to go alternates with one that has a single batch."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()  # FIFO

    async def take(self, work: Callable[[], T], stop: Callable[[], None] | None = None) -> T:
        """Wait for a turn and run `work` in a thread; the turn ends when the thread has ended."""
        async with self._lock:
            return await to_the_end(work, stop)
