"""Transcribes English with pocketsphinx: small, on any CPU, about 30 % word error on real speech.

The library is in `pocketsphinx_child`, in processes of its own: it holds the GIL for as long as
it works. No punctuation, no capitals, no other language.
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from backends.child import Pool
from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import InvalidRequest
from backends.contract.results import Heard, Segment, Word
from backends.contract.tasks import TranscribeTask, Vad, Verb


class PocketSphinx:
    """The English model inside the package; `ModelRef.path` is not used."""

    class Options(BaseModel, extra="forbid"):
        """`workers`: files transcribed at once, a process of 140 MB each. `window_s`: seconds of
        audio between two places where the work can be stopped."""

        workers: int = Field(1, ge=1, le=64)
        window_s: float = Field(0.25, ge=0.05, le=2)

    tasks: ClassVar[frozenset[Verb]] = frozenset({"transcribe"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        return Memory(weights=140_000_000 * options.workers, working=60_000_000 * options.workers)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._pool = Pool(
            "backends.engines.pocketsphinx_child", {"window_s": options.window_s}, size=options.workers
        )

    async def load(self, progress: Progress) -> None:
        progress("loading", None)
        await self._pool.start()

    async def healthy(self) -> bool:
        return self._pool.healthy()

    async def close(self) -> None:
        await self._pool.close()

    @property
    def busy(self) -> int:
        return self._pool.busy

    def facts(self) -> Mapping[str, Any]:
        return {"languages": ["en"], "word_error_rate": "about 30 % on real speech", "word_times": True}

    async def transcribe(self, task: TranscribeTask) -> AsyncGenerator[Heard, None]:
        """An item per utterance, and one every ten seconds of audio without any. Raises
        InvalidRequest for what it cannot honour, MediaUnsupported and MediaTooLong for the file."""
        _refuse(task)
        fields = {"longest_s": task.longest_s}
        async with aclosing(self._pool.stream("transcribe", fields, task.audio)) as items:
            async for item, _ in items:
                segments = tuple(_segment(found, task.words) for found in item["segments"])
                yield Heard(item["position"], segments, "en")


def _refuse(task: TranscribeTask) -> None:
    if task.languages and "en" not in task.languages:
        param = "language" if len(task.languages) == 1 else "languages"
        raise InvalidRequest("this model only understands English (`en`)", param=param)
    if task.to is not None:
        raise InvalidRequest("this model does not translate", param="model")
    if task.prompt:
        raise InvalidRequest("this model cannot be guided by a prompt", param="prompt")
    if task.temperature:
        raise InvalidRequest("this model has no temperature other than 0", param="temperature")
    if task.keywords:
        raise InvalidRequest("this model cannot be told what words to expect", param="keywords")
    if task.logprobs:
        raise InvalidRequest("this model has no probabilities of tokens", param="include")
    if task.vad not in (None, Vad()):  # it always cuts at silences, by a measure of its own
        raise InvalidRequest(
            "this model cuts at silences in its own way: 'chunking_strategy' must be auto",
            param="chunking_strategy",
        )


def _segment(found: Mapping[str, Any], words: bool) -> Segment:
    spoken = tuple(Word(*word) for word in found["words"]) if words else ()
    return Segment(found["start"], found["end"], found["text"], spoken)
