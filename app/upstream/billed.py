"""An upstream over an upstream: the time that each attempt takes of a GPU, on the bill."""

import time
from collections.abc import AsyncGenerator, Callable, Iterator
from contextlib import aclosing, contextmanager
from typing import TypeVar

from app.catalogue import Catalogue, Target
from app.upstream import Layer, Upstream
from backends.contract.errors import GatewayError
from backends.contract.tasks import StreamTask, Task

R = TypeVar("R")
C = TypeVar("C")


class Billed(Layer):
    """Share x seconds, from when a loaded variant is asked until its answer ends, or its caller leaves. An
    attempt that fails for no fault of the caller's costs nothing. It lies inside of all that waits, retries
    and falls back, so that waiting for a load is free and every step of a chain is paid for.
    """

    def __init__(
        self, upstream: Upstream, catalogue: Catalogue, clock: Callable[[], float] = time.perf_counter
    ) -> None:
        super().__init__(upstream)
        self._catalogue, self._clock = catalogue, clock

    async def call(self, target: Target, task: Task[R]) -> R:
        with self._paid(target, self._share(target)):
            return await self._upstream.call(target, task)

    def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        source, share = self._upstream.stream(target, task), self._share(target)
        return self._stream(target, share, source) if share else source

    async def _stream(
        self, target: Target, share: float, source: AsyncGenerator[C, None]
    ) -> AsyncGenerator[C, None]:
        with self._paid(target, share):
            async with aclosing(source):
                async for item in source:
                    yield item

    @contextmanager
    def _paid(self, target: Target, share: float) -> Iterator[None]:
        bill, began = target.bill, self._clock()
        try:
            yield
        except GatewayError as error:
            if error.status >= 500:
                share = 0.0
            raise
        finally:
            bill.gpu_s += share * (self._clock() - began)

    def _share(self, target: Target) -> float:
        """Of GPUs; 0 for a variant that a new fleet no longer has."""
        model = self._catalogue.fleet.models.get(target.model)
        variant = model.variants.get(target.variant) if model is not None else None
        return variant.place.share if variant is not None else 0.0
