"""Requests around a model that needs no weights: batches, turns, health, the end."""

import asyncio
import threading
from collections.abc import Callable, Collection, Sequence
from typing import Any

import numpy as np
import pytest

from app.formats.audio import encode_whole
from backends.contract.engine import Progress
from backends.contract.errors import MediaTooLong, ModelDown
from backends.contract.results import Heard, Pcm, Segment
from backends.contract.tasks import TranscribeTask
from backends.whisper.asked import Asked
from backends.whisper.clips import Clip
from backends.whisper.listening import Listening


class Parrot:
    """Says how long a clip is. `batches`: of whom, and how many clips."""

    translates = tells_logprobs = True

    def __init__(self) -> None:
        self.batches: list[tuple[str, int]] = []
        self.broken = False
        self.go = threading.Event()
        self.go.set()

    def languages(self) -> list[str]:
        return ["de", "en"]

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [(at, at + 1) for at in range(len(text))]

    def warm(self) -> None:
        if self.broken:
            raise RuntimeError("the card is gone")

    def language(self, sound: Any, among: Collection[str]) -> str:
        return min(among or self.languages())

    def hear(
        self, clips: Sequence[Clip], asked: Asked, stopped: Callable[[], bool]
    ) -> list[tuple[Segment, ...]]:
        self.warm()
        assert self.go.wait(10)
        self.batches.append((asked.prompt or "", len(clips)))
        return [(Segment(clip.start, clip.end, f"{len(clip.sound)}"),) for clip in clips]


class Cage(Listening):
    def __init__(self, model: Parrot, batch: int) -> None:
        super().__init__(workers=1, batch=batch, vad=False)
        self._parrot = model

    def _read(self, note: Progress) -> Parrot:
        return self._parrot


async def listening(model: Parrot, batch: int = 4) -> Listening:
    one = Cage(model, batch)
    await one.load(lambda *_: None)
    return one


def minutes(number: float) -> bytes:
    noise = np.random.default_rng(1).integers(-90, 90, int(number * 60 * 16_000), dtype=np.int16)
    return encode_whole([Pcm(noise.tobytes(), 16_000)], "wav")


async def hear(one: Listening, audio: bytes, **asked: Any) -> list[Heard]:
    return [item async for item in one.transcribe(TranscribeTask("r", audio, **asked))]


@pytest.mark.parametrize(("streams", "first"), [(True, [1, 2, 4]), (False, [4])])
async def test_who_reads_along_has_the_beginning_soon(streams: bool, first: list[int]) -> None:
    model = Parrot()
    heard = await hear(await listening(model), minutes(6), streams=streams)
    sizes = [size for _, size in model.batches]
    assert sizes[: len(first)] == first
    assert sum(sizes) == sum(len(item.segments) for item in heard)
    assert heard[-1].position == 360
    assert {item.language for item in heard} == {"de"}


async def test_requests_take_turns_batch_by_batch() -> None:
    model = Parrot()
    one = await listening(model, batch=1)
    model.go.clear()
    both = [asyncio.create_task(hear(one, minutes(4), prompt=name)) for name in "ab"]
    while one.busy < 2:
        await asyncio.sleep(0.001)
    model.go.set()
    await asyncio.gather(*both)
    turns = "".join(name for name, _ in model.batches)
    assert set(turns[: len(turns) // 2]) == {"a", "b"}
    assert turns.count("a") == turns.count("b") > 6


async def test_after_a_failure_only_what_computes_is_healthy() -> None:
    model = Parrot()
    one = await listening(model)
    assert await one.healthy()
    model.broken = True
    with pytest.raises(RuntimeError):
        await hear(one, minutes(0.1))
    assert not await one.healthy()
    model.broken = False
    assert await one.healthy()
    assert one.busy == 0


async def test_closed_is_down_in_the_middle_too() -> None:
    model = Parrot()
    one = await listening(model, batch=1)
    working = one.transcribe(TranscribeTask("r", minutes(4)))
    await anext(working)
    await one.close()
    with pytest.raises(ModelDown):
        await anext(working)
    assert not await one.healthy()


async def test_what_plays_too_long_is_refused() -> None:
    with pytest.raises(MediaTooLong):
        await hear(await listening(Parrot()), minutes(1), longest_s=30)
