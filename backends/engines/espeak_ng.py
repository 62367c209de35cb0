"""Speaks with espeak-ng: robotic, instant, in some 140 languages.

The library is in `espeak_ng_child`, in processes of its own. A request names one of OpenAI's
voices, or one of espeak's own: an identifier (`gmw/en-US`), a name (`English (America)`) or a
language (`en-us`), with or without a variant (`en-us+f2`).
"""

from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from typing import Any, ClassVar, NamedTuple

from pydantic import BaseModel, Field

from backends.child import Pool
from backends.contract.engine import Ability, GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import InvalidRequest
from backends.contract.results import Pcm
from backends.contract.tasks import SpeakTask, Verb

OWN_WPM = 175  # espeak's own pace


class Spoken(NamedTuple):
    """What espeak is told: a voice's identifier with or without `+variant`, and words a minute."""

    voice: str
    wpm: int = OWN_WPM


# OpenAI's names. `nova` is the one a recogniser understands best: 27 % of its words are misheard,
# 75 % of those in espeak's plain American voice.
NAMED = {
    "alloy": Spoken("gmw/en-US"),
    "ash": Spoken("gmw/en-US+m3"),
    "ballad": Spoken("gmw/en-GB-x-rp+m7"),
    "cedar": Spoken("gmw/en-US+m7"),
    "coral": Spoken("gmw/en-US+f2"),
    "echo": Spoken("gmw/en-US+m1"),
    "fable": Spoken("gmw/en"),
    "marin": Spoken("gmw/en-US+f1"),
    "nova": Spoken("gmw/en-US+f5", 160),
    "onyx": Spoken("gmw/en-US+m5"),
    "sage": Spoken("gmw/en-US+f3"),
    "shimmer": Spoken("gmw/en-US+f4"),
    "verse": Spoken("gmw/en-GB-x-rp+m2"),
}
EXAMPLES = "alloy, nova, onyx, en-gb, en-us+f2, gmw/en-GB-x-rp"


class EspeakNG:
    """The data inside the package; `ModelRef.path` is not used."""

    class Options(BaseModel, extra="forbid"):
        """`workers`: texts spoken at once, a process of 25 MB each. `silence_s`: seconds of
        silence before and after the speech (players and recognisers clip the first sound).
        `voices`: public names of the fleet's own → voices as a request may name them."""

        workers: int = Field(1, ge=1, le=64)
        silence_s: float = Field(0.2, ge=0, le=5)
        voices: dict[str, str] = {}

    tasks: ClassVar[frozenset[Verb]] = frozenset({"speak"})
    abilities: ClassVar[frozenset[Ability]] = frozenset({"speed"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        return Memory(weights=25_000_000 * options.workers)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._pool = Pool(
            "backends.engines.espeak_ng_child", {"silence_s": options.silence_s}, size=options.workers
        )
        self._mapped = options.voices
        self._named = dict(NAMED)
        self._voices: list[dict[str, str]] = []
        self._identifiers: dict[str, str] = {}
        self._variants: dict[str, str] = {}

    async def load(self, progress: Progress) -> None:
        """Raises InvalidRequest for a voice of the option `voices` that is none."""
        progress("loading", None)
        await self._pool.start()
        async for found, _ in self._pool.stream("describe", {}):
            self._learn(found["voices"], found["variants"])

    async def healthy(self) -> bool:
        return self._pool.healthy()

    async def close(self) -> None:
        await self._pool.close()

    @property
    def busy(self) -> int:
        return self._pool.busy

    def facts(self) -> Mapping[str, Any]:
        """`voices`: every public voice as {id, name, language}, OpenAI's names first."""
        return {
            "voices": self._voices,
            "languages": len({voice["language"] for voice in self._voices}),
            "sample_rate": 22_050,
        }

    async def speak(self, task: SpeakTask) -> AsyncGenerator[Pcm, None]:
        """Pieces of at most half a second, sentence by sentence. Raises InvalidRequest for a
        text without anything to speak (`input`), an unknown voice, a speed out of range."""
        spoken = self._voice(task.voice)
        if not 0.25 <= task.speed <= 4:
            raise InvalidRequest("speed must be from 0.25 to 4.0", param="speed")
        if not task.text.replace("\0", "").strip():
            raise InvalidRequest("there is nothing to speak in the text", param="input")
        fields = {"text": task.text, "voice": spoken.voice, "wpm": spoken.wpm * task.speed}
        async with aclosing(self._pool.stream("speak", fields)) as items:
            async for item, samples in items:
                yield Pcm(samples, item["rate"])

    def _learn(self, voices: list[list[str]], variants: list[str]) -> None:
        # Identifiers are taken last, and so win over another voice's name or language. espeak's
        # own look-up misses languages such as `en-gb`.
        for name in (2, 1, 0):
            self._identifiers.update({voice[name].lower(): voice[0] for voice in reversed(voices)})
        self._variants = {variant.lower(): variant for variant in variants}
        self._named |= {name.lower(): self._voice(voice) for name, voice in self._mapped.items()}
        languages = {identifier: language for identifier, _, language in voices}
        self._voices = [
            {"id": name, "name": name.capitalize(), "language": languages[spoken.voice.partition("+")[0]]}
            for name, spoken in self._named.items()
        ]
        self._voices += [
            {"id": identifier, "name": name, "language": language} for identifier, name, language in voices
        ]

    def _voice(self, wanted: str) -> Spoken:
        if wanted.lower() in self._named:
            return self._named[wanted.lower()]
        base, plus, variant = wanted.lower().partition("+")
        identifier = self._identifiers.get(base)
        if identifier is not None and not plus:
            return Spoken(identifier)
        if identifier is not None and variant in self._variants:  # espeak ignores an unknown one
            return Spoken(f"{identifier}+{self._variants[variant]}")
        raise InvalidRequest(
            f"unknown voice {wanted[:64]!r}; this model has {EXAMPLES} and others",
            param="voice",
        )
