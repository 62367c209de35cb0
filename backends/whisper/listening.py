"""One loaded Whisper and the requests that wait for it: what every engine around such a model does."""

import asyncio
import logging
import threading
from collections.abc import AsyncGenerator, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, TypeVar

from backends.contract.engine import Progress
from backends.contract.errors import ModelDown
from backends.contract.results import Heard, Segment
from backends.contract.tasks import TranscribeTask, Vad
from backends.microbatch import to_the_end
from backends.whisper.asked import Asked, Model, asked

if TYPE_CHECKING:
    from backends.whisper.clips import Clip

T = TypeVar("T")

log = logging.getLogger(__name__)


class Listening:
    """`workers`: files computed at once; the others wait in the order they came, clip by clip."""

    def __init__(self, workers: int) -> None:
        self._model: Model | None = None
        self._gate = asyncio.Semaphore(workers)
        # Few threads of its own: each that allocates keeps memory, and the loop's own are many. A
        # file is decoded while another is heard.
        self._threads = ThreadPoolExecutor(2 * workers, thread_name_prefix="whisper")
        self._suspect = False
        self.busy = 0

    async def load(self, read: Callable[[Progress], Model], progress: Progress) -> None:
        """Raises what `read` raises."""
        loop = asyncio.get_running_loop()

        def note(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(progress, stage, fraction)

        self._model = await to_the_end(partial(read, note), threads=self._threads)

    async def healthy(self) -> bool:
        """After a failure, only what still computes is healthy: a card's context can be beyond
        repair in a process, and a new one mends it."""
        if self._suspect and self._model is not None:
            try:
                await to_the_end(self._model.warm, threads=self._threads)
            except RuntimeError:
                log.exception("the model does not answer any more")
                return False
            self._suspect = False
        return self._model is not None

    def close(self) -> None:
        """What still runs fails at its next batch."""
        self._model = None
        self._threads.shutdown(wait=False)

    async def transcribe(
        self, task: TranscribeTask, batch: int, vad: Vad | None
    ) -> AsyncGenerator[Heard, None]:
        """An item per clip of at most 30 s, and one for each longer silence. `batch`: clips heard
        together. Raises InvalidRequest for what the model cannot honour, MediaUnsupported and MediaTooLong
        for the file.
        """
        from backends.whisper.clips import clips
        from backends.whisper.silero import detector

        wanted = await self._run(partial(asked, task, self._loaded))
        found = clips(task.audio, detector(vad) if vad else None, task.longest_s)
        # Who reads along wants the beginning soon; memory and cores are the same for a whole batch.
        size = 1 if task.streams else batch
        try:
            with self._computing():
                while some := await self._run(partial(_next, found, size)):
                    wanted, heard = await self._heard(some, wanted, task.languages)
                    for item in heard:
                        yield item
                    size = min(2 * size, batch)
        finally:
            found.close()

    async def _heard(
        self, some: "list[Clip]", wanted: Asked, languages: tuple[str, ...]
    ) -> tuple[Asked, list[Heard]]:
        """What some clips say; and what was asked, with the language once speech has told it."""
        spoken = [clip for clip in some if len(clip.sound)]
        said: list[tuple[Segment, ...]] = []
        if spoken:
            async with self._gate:
                model, stop = self._loaded, threading.Event()
                among = [language.lower() for language in languages]
                try:
                    if not wanted.language:
                        language = await self._run(partial(model.language, spoken[0].sound, among))
                        wanted = replace(wanted, language=language)
                    said = await self._run(partial(model.hear, spoken, wanted, stop.is_set), stop.set)
                except RuntimeError:
                    self._suspect = True
                    raise
        segments = iter(said)
        return wanted, [
            Heard(clip.end, next(segments) if len(clip.sound) else (), wanted.language or None)
            for clip in some
        ]

    async def _run(self, work: Callable[[], T], stop: Callable[[], None] | None = None) -> T:
        """Raises ModelDown once closed."""
        assert self._loaded
        return await to_the_end(work, stop, self._threads)

    @property
    def _loaded(self) -> Model:
        if self._model is None:
            raise ModelDown("the model is down")
        return self._model

    @contextmanager
    def _computing(self) -> Iterator[None]:
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


def _next(found: "Iterator[Clip]", size: int) -> "list[Clip]":
    return list(islice(found, size))
