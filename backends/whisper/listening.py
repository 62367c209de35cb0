"""What every engine around one loaded Whisper does: requests that wait for it, health, the end."""

import asyncio
import logging
import threading
from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from backends.contract.engine import Progress
from backends.contract.errors import ModelDown
from backends.contract.results import Heard, Segment
from backends.contract.tasks import TranscribeTask, Vad, Verb
from backends.microbatch import to_the_end
from backends.whisper.asked import Asked, Model, asked

if TYPE_CHECKING:
    from backends.whisper.clips import Clip

T = TypeVar("T")

log = logging.getLogger(__name__)


class Listening(ABC):
    """The half of an engine that does not know its library.

    `workers`: files computed at once; the others wait in the order they came, clip by clip. `batch`:
    clips heard together. `vad`: leave silence out, also when a request does not ask.
    """

    tasks: ClassVar[frozenset[Verb]] = frozenset({"transcribe"})

    def __init__(self, *, workers: int, batch: int, vad: bool) -> None:
        self._batch, self._vad = batch, vad
        self._facts: dict[str, Any] = {}
        self._whisper: Model | None = None
        self._gate = asyncio.Semaphore(workers)
        # Few threads of its own: each that allocates keeps memory, and the loop's own are many. A
        # file is decoded while another is heard.
        self._threads = ThreadPoolExecutor(2 * workers, thread_name_prefix="whisper")
        self._suspect = False
        self.busy = 0

    @abstractmethod
    def _read(self, note: Progress) -> Model:
        """Imports, reads and warms the model, and learns its facts. Blocking, in a thread."""

    async def load(self, progress: Progress) -> None:
        """Raises EngineFailed for a folder, package or card that is missing or not the right one, and
        for a share that the model does not fit."""
        loop = asyncio.get_running_loop()

        def note(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(progress, stage, fraction)

        self._whisper = await to_the_end(partial(self._read, note), threads=self._threads)

    async def healthy(self) -> bool:
        """After a failure, only what still computes is healthy: a card's context can be beyond
        repair in a process, and a new one mends it."""
        if self._suspect and self._whisper is not None:
            try:
                await to_the_end(self._whisper.warm, threads=self._threads)
            except RuntimeError:
                log.exception("the model does not answer any more")
                return False
            self._suspect = False
        return self._whisper is not None

    async def close(self) -> None:
        """What still runs fails at its next batch."""
        self._whisper = None
        self._threads.shutdown(wait=False)

    def facts(self) -> Mapping[str, Any]:
        return self._facts

    async def transcribe(self, task: TranscribeTask) -> AsyncGenerator[Heard, None]:
        """An item per clip of at most 30 s, and one for each longer silence. Raises InvalidRequest for
        what the model cannot honour, MediaUnsupported and MediaTooLong for the file.
        """
        from backends.whisper.clips import clips
        from backends.whisper.silero import detector

        wanted = await self._run(partial(asked, task, self._loaded))
        vad = task.vad or (Vad() if self._vad else None)
        found = clips(task.audio, detector(vad) if vad else None, task.longest_s)
        # Who reads along wants the beginning soon; memory and cores are the same for a whole batch.
        size = 1 if task.streams else self._batch
        try:
            with self._computing():
                while some := await self._run(partial(_next, found, size)):
                    wanted, heard = await self._heard(some, wanted, task.languages)
                    for item in heard:
                        yield item
                    size = min(2 * size, self._batch)
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
        if self._whisper is None:
            raise ModelDown("the model is down")
        return self._whisper

    @contextmanager
    def _computing(self) -> Iterator[None]:
        self.busy += 1
        try:
            yield
        finally:
            self.busy -= 1


def _next(found: "Iterator[Clip]", size: int) -> "list[Clip]":
    return list(islice(found, size))
