"""Transcribes and translates with Whisper on CTranslate2, by faster-whisper: NVIDIA GPUs and CPUs.

The library computes outside the GIL and may be asked by several threads, so it lives in this process.
"""

import asyncio
import logging
import os
import threading
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, ClassVar, Literal, TypeVar

from pydantic import BaseModel, Field

from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import EngineFailed, InvalidRequest, ModelDown
from backends.contract.results import Heard, Segment
from backends.contract.tasks import TranscribeTask, Vad, Verb
from backends.microbatch import to_the_end
from backends.whisper import folder

if TYPE_CHECKING:
    from backends.whisper.clips import Clip
    from backends.whisper.hearing import Asked, Hearing

T = TypeVar("T")

log = logging.getLogger(__name__)

ComputeType = Literal[
    "default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16",
    "int16", "float16", "bfloat16", "float32",
]  # fmt: skip
# What CUDA itself, cuBLAS and cuDNN take of a card; what the libraries take of a CPU's memory.
CUDA_BYTES, CPU_BYTES = 600_000_000, 200_000_000
MOST_BATCH = 8
MOST_PADDING_S = 10.0


class FasterWhisper:
    """Needs `ModelRef.path`, a folder that `ct2-transformers-converter` made."""

    class Options(BaseModel, extra="forbid"):
        """`compute_type`: CTranslate2's; by default int8 on a CPU and the file's own on a GPU.
        `threads`: cores for one file, up to four by default. `workers`: files computed at once.
        `batch`: clips of at most 30 s computed together; by default one on a CPU, and on a GPU as
        many as the share has memory for, eight at most. `vad`: leave silence out, also when a
        request does not ask. `max_new_tokens`: of a clip. The thresholds are Whisper's: a clip
        beyond one is decoded anew at higher temperatures; null turns one off."""

        compute_type: ComputeType | None = None
        threads: int | None = Field(None, ge=1, le=256)
        workers: int = Field(1, ge=1, le=64)
        batch: int | None = Field(None, ge=1, le=64)
        beam_size: int = Field(5, ge=1, le=20)
        vad: bool = True
        max_new_tokens: int | None = Field(None, ge=1, le=224)
        log_prob_threshold: float | None = -1.0
        compression_ratio_threshold: float | None = 2.4
        no_speech_threshold: float | None = 0.6

    tasks: ClassVar[frozenset[Verb]] = frozenset({"transcribe"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        """From the dimensions in the model's file. Nothing if the model is not on this machine."""
        try:
            shape = folder.read(model.path)
        except EngineFailed:
            return Memory()
        clip = shape.working(options.beam_size, half=_on_cuda(share))
        overhead = CUDA_BYTES if _on_cuda(share) else CPU_BYTES
        working = clip * _batch(shape, options, share) * options.workers
        return Memory(shape.weights(_compute_type(options, share)), working + overhead)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._model, self._options, self._share = model, options, share
        self._hearing: Hearing | None = None
        self._gate = asyncio.Semaphore(options.workers)
        # Few threads of its own: each that allocates keeps memory, and the loop's own are many. A
        # file is decoded while another is heard.
        self._threads = ThreadPoolExecutor(2 * options.workers, thread_name_prefix="whisper")
        self._batch = 1
        self._facts: dict[str, Any] = {}
        self._busy = 0
        self._suspect = False

    async def load(self, progress: Progress) -> None:
        """Raises EngineFailed for a folder, package or card that is missing or not the right one, and
        for a share that the model does not fit."""
        loop = asyncio.get_running_loop()

        def note(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(progress, stage, fraction)

        self._hearing = await to_the_end(partial(self._read, note), threads=self._threads)

    def _read(self, note: Progress) -> "Hearing":
        shape = folder.read(self._model.path)
        self._refuse_what_does_not_fit(shape)
        self._batch = _batch(shape, self._options, self._share)
        note("loading", None)
        try:
            from ctranslate2 import get_cuda_device_count

            from backends.whisper.hearing import Hearing, Judgement, Place, Setting
        except ImportError as error:
            raise EngineFailed("this engine needs the packages of motley[faster-whisper]") from error
        options = self._options
        cuda = _on_cuda(self._share)
        if cuda and not get_cuda_device_count():
            raise EngineFailed("CTranslate2 sees no CUDA card here, though the place grants a share of one")
        place = Place(
            device="cuda" if cuda else "cpu",
            devices=range(max(1, int(self._share.share))) if cuda else (0,),
            compute_type=_compute_type(options, self._share),
            threads=options.threads or min(4, os.cpu_count() or 1),
            workers=options.workers,
        )
        judgement = Judgement(
            options.log_prob_threshold, options.compression_ratio_threshold, options.no_speech_threshold
        )
        assert self._model.path is not None
        try:
            hearing = Hearing(
                self._model.path, place, Setting(options.beam_size, options.max_new_tokens, judgement)
            )
        except (RuntimeError, ValueError) as error:
            raise EngineFailed(f"CTranslate2 cannot load the model on {place.device}") from error
        note("warming", None)
        hearing.warm()
        self._facts = self._told(hearing, place.device)
        return hearing

    def _refuse_what_does_not_fit(self, shape: folder.Shape) -> None:
        """CTranslate2 has no limit to set: what would not keep to its share must not start."""
        share = self._share
        needed = self.estimate(self._model, self._options, share)
        granted = share.share * share.vram
        if _on_cuda(share) and granted and needed.weights + needed.working > granted:
            raise EngineFailed(
                f"the model needs about {(needed.weights + needed.working) / 2**30:.1f} GiB of the card; its "
                f"share of {share.share:g} is {granted / 2**30:.1f} GiB"
            )

    def _told(self, hearing: "Hearing", device: str) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "languages": hearing.languages(),
            "translates": hearing.translates,
            "word_times": True,
            "logprobs": True,
            "device": device,
            "compute_type": hearing.compute_type,
            "batch": self._batch,
        }
        if self._share.share and self._share.vendor in ("amd", "intel"):
            note = (
                f"CTranslate2 does not compute on cards of {self._share.vendor}: this model runs on the CPU"
            )
            log.warning("%s; the share of the card is wasted, engine 'whisper' would use it", note)
            facts["note"] = note
        return facts

    async def healthy(self) -> bool:
        """After a failure on a card, only what still computes is healthy: CUDA can be beyond repair
        in a process, and a new one mends it."""
        if self._suspect and self._hearing is not None:
            try:
                await asyncio.to_thread(self._hearing.warm)
            except RuntimeError:
                log.exception("the model does not answer any more")
                return False
            self._suspect = False
        return self._hearing is not None

    async def close(self) -> None:
        """What still runs fails at its next batch."""
        self._hearing = None
        self._threads.shutdown(wait=False)

    @property
    def busy(self) -> int:
        return self._busy

    def facts(self) -> Mapping[str, Any]:
        return self._facts

    async def transcribe(self, task: TranscribeTask) -> AsyncGenerator[Heard, None]:
        """An item per clip of at most 30 s, and one for each longer silence.

        Raises InvalidRequest for what it cannot honour, MediaUnsupported for the file.
        """
        from backends.whisper.clips import clips
        from backends.whisper.hearing import detector

        hearing = self._loaded
        asked = await self._run(partial(_asked, task, hearing))
        vad = task.vad or (Vad() if self._options.vad else None)
        found = clips(task.audio, detector(vad) if vad else None)
        # Who reads along wants the beginning soon; memory and cores are the same for a whole batch.
        size = 1 if task.streams else self._batch
        try:
            with self._computing():
                while batch := await self._run(partial(_next, found, size)):
                    asked, heard = await self._heard(batch, asked, task.languages)
                    for item in heard:
                        yield item
                    size = min(2 * size, self._batch)
        finally:
            found.close()

    async def _heard(
        self, batch: "list[Clip]", asked: "Asked", languages: tuple[str, ...]
    ) -> "tuple[Asked, list[Heard]]":
        """What a batch says; and what was asked, with the language once speech has told it."""
        spoken = [clip for clip in batch if len(clip.sound)]
        said: list[tuple[Segment, ...]] = []
        if spoken:
            async with self._gate:
                hearing, stop = self._loaded, threading.Event()
                try:
                    if not asked.language:
                        heard = await self._run(partial(hearing.language, spoken[0].sound, languages))
                        asked = replace(asked, language=heard)
                    said = await self._run(partial(hearing.hear, spoken, asked, stop.is_set), stop.set)
                except RuntimeError:
                    self._suspect = True
                    raise
        segments = iter(said)
        return asked, [
            Heard(clip.end, next(segments) if len(clip.sound) else (), asked.language or None)
            for clip in batch
        ]

    async def _run(self, work: Callable[[], T], stop: Callable[[], None] | None = None) -> T:
        """Raises ModelDown once closed."""
        assert self._loaded
        return await to_the_end(work, stop, self._threads)

    @property
    def _loaded(self) -> "Hearing":
        if self._hearing is None:
            raise ModelDown("the model is down")
        return self._hearing

    @contextmanager
    def _computing(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1


def _next(found: "Iterator[Clip]", size: int) -> "list[Clip]":
    return list(islice(found, size))


def _asked(task: TranscribeTask, hearing: "Hearing") -> "Asked":
    """Raises InvalidRequest. The language stays empty where the sound must tell it."""
    from backends.whisper.hearing import Asked

    languages = [language.lower() for language in task.languages]
    unknown = sorted({*languages}.difference(hearing.languages()))
    if unknown:
        which = "languages" if len(languages) > 1 else "language"
        raise InvalidRequest(f"this model does not know the language {unknown[0]!r}", param=which)
    if task.to is not None and not hearing.translates:
        raise InvalidRequest("this model knows English alone and does not translate", param="model")
    if task.vad is not None and task.vad.padding_s > MOST_PADDING_S:
        raise InvalidRequest(
            f"more than {MOST_PADDING_S:g} s of padding would leave no room for speech",
            param="chunking_strategy",
        )
    prompt, keywords = hearing.guide(task.prompt, task.keywords)
    return Asked(
        language=languages[0] if len(languages) == 1 else "",
        translate=task.to is not None,
        prompt=prompt,
        keywords=keywords,
        temperature=task.temperature,
        words=task.words,
        logprobs=task.logprobs,
    )


def _on_cuda(share: GpuShare) -> bool:
    return share.share > 0 and share.vendor == "nvidia"


def _compute_type(options: FasterWhisper.Options, share: GpuShare) -> str:
    return options.compute_type or ("default" if _on_cuda(share) else "int8")


def _batch(shape: folder.Shape, options: FasterWhisper.Options, share: GpuShare) -> int:
    """Clips computed together: as many as the share of a card has memory for, one on a CPU."""
    if options.batch or not _on_cuda(share):
        return options.batch or 1
    if not share.vram:  # the fleet does not say how large the card is
        return MOST_BATCH
    room = int(share.share * share.vram) - shape.weights(_compute_type(options, share)) - CUDA_BYTES
    fitting = room // options.workers // shape.working(options.beam_size, half=True)
    return max(1, min(MOST_BATCH, fitting))
