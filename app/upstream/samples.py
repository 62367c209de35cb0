"""An upstream over an upstream: a replica that lacks the recording of a voice is sent it."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any, TypeVar

from app.catalogue import Target
from app.upstream import Layer, Upstream
from app.voices import Voices
from backends.contract.errors import EngineFailed, InvalidRequest, SampleNeeded
from backends.contract.results import Pcm
from backends.contract.tasks import SpeakTask, StreamTask, Task

R = TypeVar("R")
C = TypeVar("C")


class Samples(Layer):
    """A task goes without the recording; only where the engine does not know the voice, once more
    with it. So replicas need no access to the store, and bytes cross once per voice and replica."""

    def __init__(self, upstream: Upstream, voices: Voices) -> None:
        super().__init__(upstream)
        self._voices = voices

    async def call(self, target: Target, task: Task[R]) -> R:
        return await self._upstream.call(target, task)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        if isinstance(task, SpeakTask) and task.sample is not None:
            spoken: Any = self._speak(target, task)
            return spoken  # type: ignore[no-any-return]
        return self._upstream.stream(target, task)

    async def _speak(self, target: Target, task: SpeakTask) -> AsyncGenerator[Pcm, None]:
        begun = False
        try:
            async with aclosing(self._upstream.stream(target, task)) as spoken:
                async for item in spoken:
                    begun = True
                    yield item
        except SampleNeeded:
            if begun:
                raise EngineFailed("the engine lost the voice it spoke in") from None
        else:
            return
        async with aclosing(self._upstream.stream(target, await self._whole(task))) as spoken:
            async for item in spoken:
                yield item

    async def _whole(self, task: SpeakTask) -> SpeakTask:
        assert task.sample is not None
        sound = await self._voices.sound(task.voice)
        if sound is None:
            raise InvalidRequest("the voice was deleted meanwhile", param="voice")
        return replace(task, sample=replace(task.sample, sound=sound))
