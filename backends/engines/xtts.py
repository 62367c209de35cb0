"""Speaks with XTTS v2, in its own speakers' voices and in voices made from a recording.

The model is in `xtts_child`, in a process and an environment of its own. It computes for one piece
of text at a time; pieces (sentences, or parts of long ones) of requests that run at once take turns,
first come, first served, so that a long text does not hold up a short one.
"""

from collections import OrderedDict
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, Literal, NamedTuple

from pydantic import BaseModel, Field

from backends.child import Pool
from backends.contract.engine import Ability, GpuShare, Memory, ModelRef, Progress, Vendor
from backends.contract.errors import InvalidRequest, NotReady, SampleNeeded
from backends.contract.results import Pcm
from backends.contract.tasks import Sample, SpeakTask, Verb
from backends.interpreters import other
from backends.sentences import split

PYTHON = "MOTLEY_XTTS_PYTHON"
ENVIRONMENT = {
    # A replica serves what its source resolved to; nothing is fetched behind the operator's back.
    "HF_HUB_OFFLINE": "1",
    "TRANSFORMERS_OFFLINE": "1",
    "TRANSFORMERS_VERBOSITY": "error",
}
DEVICES: Mapping[Vendor, str] = {"cpu": "cpu", "nvidia": "cuda", "amd": "cuda", "intel": "xpu"}

# What the runtime, the cache of an answer and the vocoder take beside the weights: an allowance.
WORKING_BYTES = 3 * 2**29

# The runtime's context and libraries.
CONTEXT_BYTES = 2**29

# A recording's latents take 130 kB.
VOICES_KEPT = 256


class Spoken(NamedTuple):
    """`speaker`: one of the model's own, or None where `latents` say how to sound."""

    speaker: str | None
    language: str
    latents: bytes = b""


class Xtts:
    """`ModelRef.path`: the folder with config.json, model.pth, vocab.json, speakers_xtts.pth."""

    class Options(BaseModel, extra="forbid"):
        """What the fleet says of languages and voices; the rest is the model's own configuration."""

        python: str | None = Field(
            None, description="The interpreter of XTTS's environment on the node; else MOTLEY_XTTS_PYTHON."
        )
        language: str = Field("en", description="What is spoken where a voice says nothing else.")
        languages: dict[str, str] = Field({}, description="Speakers, or names of voices → their languages.")
        voices: dict[str, str] = Field({}, description="Names of voices → the model's speakers.")
        chunk_tokens: int = Field(
            20, ge=5, le=200, description="Tokens of speech, of 46 ms each, per piece: fewer come sooner."
        )
        start_timeout_s: float = Field(600, gt=0, description="Seconds a start may take.")
        env: dict[str, str] = Field({}, description="Further variables of the child's environment.")

    tasks: ClassVar[frozenset[Verb]] = frozenset({"speak"})
    abilities: ClassVar[frozenset[Ability]] = frozenset({"sample"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory | None:
        weights = model.path / "model.pth" if model.path else None
        if weights is None or not weights.is_file():
            return None
        return Memory(weights.stat().st_size, WORKING_BYTES)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._model, self._options, self._share = model, options, share
        self._pool: Pool | None = None
        self._known: dict[str, Spoken] = {}
        self._names: dict[str, str] = {}
        self._languages: tuple[str, ...] = ()
        self._limits: dict[str, int] = {}
        self._rate = 0
        self._latents: OrderedDict[str, bytes] = OrderedDict()

    async def load(self, progress: Progress) -> None:
        """Raises InvalidRequest for an interpreter, a source, a voice or a language that cannot be,
        RuntimeError when the child does not start."""
        if self._model.path is None:
            raise InvalidRequest("the source names no folder of a model", param="source")
        interpreter = other(self._options.python, PYTHON, {**ENVIRONMENT, **self._options.env})
        gpu = self._share.vendor != "cpu" and self._share.share > 0
        pool = Pool(
            "backends.engines.xtts_child",
            {
                "path": str(self._model.path),
                "device": DEVICES[self._share.vendor] if gpu else "cpu",
                "fraction": _fraction(self._share),
                "chunk_tokens": self._options.chunk_tokens,
            },
            grace=10.0,  # a piece of speech is computed in one go
            start_s=self._options.start_timeout_s,
            interpreter=interpreter,
        )
        progress("loading", None)
        await pool.start()
        try:
            async for found, _ in pool.stream("describe", {}):
                self._learn(found)
        except BaseException:
            await pool.close()
            raise
        self._pool = pool

    async def healthy(self) -> bool:
        return self._pool is not None and self._pool.healthy()

    async def close(self) -> None:
        if self._pool is not None:
            await self._pool.close()

    @property
    def busy(self) -> int:
        return self._pool.busy if self._pool else 0

    @property
    def pids(self) -> tuple[int, ...]:
        """The child's; another one after a restart."""
        return self._pool.pids if self._pool else ()

    def facts(self) -> Mapping[str, Any]:
        """`voices` as {id, name, language}, names of the fleet first; `samples`: voices made from a
        recording are spoken in, too."""
        return {
            "voices": [
                {"id": name, "name": spoken.speaker, "language": spoken.language}
                for name, spoken in self._known.items()
            ],
            "languages": list(self._languages),
            "sample_rate": self._rate,
            "samples": True,
        }

    async def speak(self, task: SpeakTask) -> AsyncGenerator[Pcm, None]:
        """A piece of some 0.9 s at a time, by default. Raises InvalidRequest for a text without
        anything to speak (`input`) and for an unknown voice, SampleNeeded for one to be learnt."""
        if self._pool is None:
            raise NotReady("the model is loading")
        pieces = split(task.text, 250)
        if not any(map(_speakable, pieces)):
            raise InvalidRequest("there is nothing to speak in the text", param="input")
        spoken = await self._voice(self._pool, task)
        if self._limits.get(spoken.language, 250) < 250:
            pieces = split(task.text, self._limits[spoken.language])
        for piece in filter(_speakable, pieces):
            fields = {"text": piece, "speaker": spoken.speaker, "language": spoken.language}
            async with aclosing(self._pool.stream("speak", fields, spoken.latents)) as items:
                async for _, samples in items:
                    yield Pcm(samples, self._rate)

    async def _voice(self, pool: Pool, task: SpeakTask) -> Spoken:
        if task.sample is None:
            known = self._names.get(task.voice.lower())
            if known is None:
                some = ", ".join([*self._known][:3])
                raise InvalidRequest(
                    f"unknown voice {task.voice[:64]!r}; this model has {some} and others", param="voice"
                )
            return self._known[known]
        language = _plain(task.sample.language or self._options.language)
        if language not in self._languages:
            raise InvalidRequest(f"this model does not speak the voice's language, {language}", param="voice")
        return Spoken(None, language, await self._latents_of(pool, task.voice, task.sample))

    async def _latents_of(self, pool: Pool, voice: str, sample: Sample) -> bytes:
        """How a recording sounds, in the model's own terms. Kept here, and not in the child: it
        survives a restart, and the first of a text's pieces is not the last to have it."""
        if voice in self._latents:
            self._latents.move_to_end(voice)
            return self._latents[voice]
        if sample.sound is None:
            raise SampleNeeded("the recording of the voice is needed")
        async with aclosing(pool.stream("learn", {}, sample.sound)) as items:
            async for _, latents in items:
                self._latents[voice] = latents
                while len(self._latents) > VOICES_KEPT:
                    self._latents.popitem(last=False)
                return latents
        raise RuntimeError("the child learnt nothing")

    def _learn(self, found: Mapping[str, Any]) -> None:
        self._rate, self._limits = found["rate"], found["limits"]
        self._languages = tuple(dict.fromkeys(map(_plain, found["languages"])))
        speakers = {speaker.lower(): speaker for speaker in found["speakers"]}
        named = {name: self._speaker(speakers, name, wanted) for name, wanted in self._options.voices.items()}
        named |= {speaker: speaker for speaker in found["speakers"] if speaker not in named}
        for name in self._options.languages:
            if name not in named:
                raise InvalidRequest(f"{name!r} is no voice of this model", param="languages")
        self._known = {
            name: Spoken(speaker, self._language(name, speaker)) for name, speaker in named.items()
        }
        self._names = {name.lower(): name for name in self._known}

    def _speaker(self, speakers: Mapping[str, str], name: str, wanted: str) -> str:
        if wanted.lower() not in speakers:
            raise InvalidRequest(f"{wanted!r}, for {name!r}, is no speaker of this model", param="voices")
        return speakers[wanted.lower()]

    def _language(self, name: str, speaker: str) -> str:
        given = self._options.languages
        language = _plain(given.get(name, given.get(speaker, self._options.language)))
        if language not in self._languages:
            param: Literal["languages", "language"] = (
                "languages" if name in given or speaker in given else "language"
            )
            raise InvalidRequest(f"this model does not speak {language}", param=param)
        return language


def _fraction(share: GpuShare) -> float:
    """The part of the GPU's memory that torch may take: the share, less what torch does not count."""
    part = min(share.share, 1.0)
    return max(part - CONTEXT_BYTES / share.vram, part / 2) if share.vram else part


def _plain(language: str) -> str:
    """`zh-cn` → `zh`."""
    return language.lower().partition("-")[0]


def _speakable(piece: str) -> bool:
    """XTTS makes up words for a piece that has none."""
    return any(map(str.isalnum, piece))
