"""An upstream over an upstream: a variant that keeps failing is left alone for a while, then tried again."""

import asyncio
import time
from collections import deque
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from typing import TypeVar

from app.catalogue import Target
from app.upstream import Layer, Upstream
from backends.contract.errors import (
    EngineFailed,
    GatewayError,
    ModelDown,
    NotReady,
    Overloaded,
    UpstreamTimeout,
)
from backends.contract.state import Circuit as Condition
from backends.contract.state import VariantState
from backends.contract.tasks import StreamTask, Task

R = TypeVar("R")
C = TypeVar("C")

# It opens when at least so many of the last so many answers, within so long, were failures: half of them.
LEAST, LAST, WITHIN_S = 5, 20, 60.0
# How long nobody is let through; twice as long after each trial that fails, up to the second.
OPEN_S, LONGEST_S = 5.0, 60.0
# All that a process had in hand when it ended is one failure.
ONE_END_S = 1.0
# Of its time, what a request must have spent to count as timed out when it is cancelled: the time
# began before the request came here.
NEARLY = 0.9


@dataclass(slots=True)
class Circuit:
    """closed → open when answers keep failing → half-open after a while: one request is let through,
    and its answer closes or opens. Pure: `now` is in monotonic seconds."""

    _answers: deque[tuple[float, bool]] = field(default_factory=lambda: deque(maxlen=LAST))
    _era: int = 0
    _until: float | None = None
    _wait: float = OPEN_S
    _trial: bool = False
    _ended: float = float("-inf")

    def condition(self, now: float) -> Condition:
        if self._until is None:
            return "closed"
        return "open" if now < self._until else "half-open"

    def left(self, now: float) -> float:
        """Seconds until the next is let through; 0 where nothing is known against it."""
        return max(0.0, (self._until or now) - now)

    def enter(self, now: float) -> int | None:
        """None: not let through. Else the era, of which `good`, `bad` or `unknown` is to be told: what was
        let through in another says nothing of this one."""
        condition = self.condition(now)
        if condition == "open" or (condition == "half-open" and self._trial):
            return None
        self._trial = condition == "half-open"
        return self._era

    def good(self, era: int, now: float) -> None:
        if era != self._era:
            return
        if self._until is not None:
            self._turn(None)
            self._wait = OPEN_S
        self._answers.append((now, True))

    def bad(self, era: int, now: float, *, ended: bool = False) -> None:
        """`ended`: the process did, and not just this request failed."""
        if era != self._era:
            return
        if self._until is not None:
            self._open(now)
            return
        if ended:
            if now - self._ended < ONE_END_S:
                return
            self._ended = now
        self._answers.append((now, False))
        recent = [good for at, good in self._answers if now - at <= WITHIN_S]
        failures = recent.count(False)
        if failures >= LEAST and failures * 2 >= len(recent):
            self._open(now)

    def unknown(self, era: int) -> None:
        """It ended without telling anything: the next may try."""
        if era == self._era:
            self._trial = False

    def _open(self, now: float) -> None:
        self._turn(now + self._wait)
        self._wait = min(self._wait * 2, LONGEST_S)

    def _turn(self, until: float | None) -> None:
        self._until, self._era, self._trial = until, self._era + 1, False
        self._answers.clear()


class Circuits(Layer):
    """A circuit per variant. While it is open its state is `down`, so that the catalogue gives its share
    to others, the model's fallbacks answer, or the caller gets a 503 at once.

    The engine's failures and timeouts count, and the end of its process; the caller's mistakes are
    answers; being at capacity, or loading, is neither.
    """

    def __init__(self, upstream: Upstream, clock: Callable[[], float] = time.monotonic) -> None:
        super().__init__(upstream)
        self._clock = clock
        self._circuits: dict[str, Circuit] = {}

    def states(self) -> Mapping[str, VariantState]:
        return self._over(self._upstream.states())

    async def inspect(self) -> Mapping[str, VariantState]:
        return self._over(await self._upstream.inspect())

    async def call(self, target: Target, task: Task[R]) -> R:
        with self._through(target):
            return await self._upstream.call(target, task)

    async def stream(self, target: Target, task: StreamTask[C]) -> AsyncGenerator[C, None]:
        with self._through(target) as answered:
            async with aclosing(self._upstream.stream(target, task)) as items:
                async for item in items:
                    answered()
                    yield item

    @contextmanager
    def _through(self, target: Target) -> Iterator[Callable[[], None]]:
        """Yields what to call once an answer begins. Raises ModelDown where nobody is let through."""
        circuit = self._circuits.setdefault(target.app, Circuit())
        began = self._clock()
        era = circuit.enter(began)
        if era is None:
            raise ModelDown(
                f"The model `{target.model}` failed too often; it is being tried again",
                retry_after=circuit.left(began) or 1,
            )
        trial, known = circuit.condition(began) == "half-open", False

        def answered() -> None:
            nonlocal known
            if trial and not known:  # whoever waits for the end of it waits too long
                circuit.good(era, self._clock())
            known = True

        try:
            yield answered
        except (asyncio.CancelledError, GeneratorExit):
            if known:
                circuit.good(era, self._clock())
            elif self._clock() - began >= NEARLY * target.alone_s:
                circuit.bad(era, self._clock())
            raise
        except ModelDown:
            circuit.bad(era, self._clock(), ended=True)
            raise
        except (Overloaded, NotReady):
            raise
        except (EngineFailed, UpstreamTimeout):
            circuit.bad(era, self._clock())
            raise
        except GatewayError as error:
            if error.status < 500:
                circuit.good(era, self._clock())
            raise
        else:
            circuit.good(era, self._clock())
        finally:
            circuit.unknown(era)

    def _over(self, states: Mapping[str, VariantState]) -> Mapping[str, VariantState]:
        now = self._clock()
        conditions = {app: circuit.condition(now) for app, circuit in self._circuits.items() if app in states}
        if set(conditions.values()) <= {"closed"}:
            return states
        return {
            **states,
            **{
                app: self._told(states[app], condition, self._circuits[app].left(now))
                for app, condition in conditions.items()
                if condition != "closed" and states[app].ready
            },
        }

    def _told(self, state: VariantState, condition: Condition, left: float) -> VariantState:
        if condition == "half-open":
            return replace(state, circuit=condition)
        said = "it failed too often and is left alone for a while"
        return replace(state, circuit=condition, readiness="down", message=said, retry_s=left)
