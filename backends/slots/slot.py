"""One slot: its hosts come and go as `Turns` decides. Knows no Ray, no HTTP."""

import asyncio
import gc
import logging
import time
from collections.abc import AsyncGenerator, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import aclosing, contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, TypeVar

from backends import heap, torch_device
from backends.contract.engine import Sleeps
from backends.contract.errors import GatewayError, ModelDown, NotReady
from backends.contract.state import Swaps, VariantState
from backends.contract.tasks import StreamTask, Task
from backends.host import Host
from backends.slots.turns import Load, Turns

log = logging.getLogger(__name__)

R = TypeVar("R")
C = TypeVar("C")

# How long one that failed to load is told as down; then a request tries anew.
FAILED_S = 10.0


@dataclass(slots=True)
class _Seat:
    """One that may come. `host`: while it is in the slot; `asleep`: while it is not, but its process is kept
    (`ends`: it is not to be); `left`: what was last told of it there."""

    make: Callable[[], Host]
    host: Host | None = None
    asleep: Host | None = None
    ends: bool = False
    left: VariantState = field(default_factory=lambda: VariantState("cold"))
    failed: float | None = None
    closing_s: float = 0.0
    swaps: Swaps = field(default_factory=dict)


class Slot:
    """Variants by application name, each made anew by its function whenever it comes; `pinned` ones come
    first, and stay.

    Nobody waits here but for loads: a request for one that is not in the slot, or is about to leave it,
    is NotReady, and whoever asked may `load` it and ask again.
    """

    def __init__(
        self, made: Mapping[str, Callable[[], Host]], turns: Turns, pinned: Sequence[str] = ()
    ) -> None:
        self._seats = {app: _Seat(make) for app, make in made.items()}
        self._turns, self._pinned = turns, tuple(pinned)
        self._awaited: dict[str, asyncio.Future[None]] = {}
        self._loading: set[asyncio.Task[None]] = set()
        self._evicting: set[asyncio.Task[None]] = set()
        self._alarm: asyncio.TimerHandle | None = None
        self._closed = False

    async def start(self) -> None:
        """Load what is pinned. Raises what keeps one of them from loading."""
        await asyncio.gather(*map(self.load, self._pinned))

    async def load(self, app: str) -> None:
        """Returns once requests for it may begin. Giving up does not end the load. Raises ModelDown."""
        if not self._turns.possible(app):
            raise ModelDown("the model does not fit into its slot, beside those that stay there")
        self._turns.want(app, time.monotonic())
        self._advance()
        if not self._turns.may(app):
            await asyncio.shield(self._awaited.setdefault(app, asyncio.get_running_loop().create_future()))

    def unload(self, app: str) -> None:
        """Let it go as soon as nothing runs on it. Nothing of one that is pinned."""
        if app not in self._pinned:
            self._seats[app].ends = True
            self._turns.release(app)
            self._advance()

    async def call(self, app: str, task: Task[R]) -> R:
        with self._entered(app) as host:
            return await host.call(task)

    async def stream(self, app: str, task: StreamTask[C]) -> AsyncGenerator[list[C], None]:
        """Batches, as `Host.stream`."""
        with self._entered(app) as host:
            async with aclosing(host.stream(task)) as batches:
                async for batch in batches:
                    yield batch

    def host(self, app: str) -> Host:
        """Raises NotReady for one that is not in the slot, or about to leave it."""
        host = self._seats[app].host
        if host is None or not self._turns.may(app):
            raise NotReady("the model is not in its slot")
        return host

    def hosts(self) -> dict[str, Host]:
        """Those that are in the slot, loading ones too, and those that sleep."""
        found = {app: seat.host or seat.asleep for app, seat in self._seats.items()}
        return {app: host for app, host in found.items() if host is not None}

    def states(self, node: str, pid: int) -> dict[str, VariantState]:
        """Of every variant. `waiting`: for its turn."""
        return {app: self._state(app, seat, node, pid) for app, seat in self._seats.items()}

    async def heal(self) -> None:
        """Let those go that can no longer answer: the next request loads them anew."""
        for app, host in self.hosts().items():
            if self._turns.stage(app) == "ready" and not await host.engine.healthy():
                log.warning("%s is not healthy, and leaves its slot", app)
                self._seats[app].ends = True
                self._turns.release(app, broken=True)
        self._advance()

    async def close(self) -> None:
        self._closed = True
        if self._alarm is not None:
            self._alarm.cancel()
        for loading in self._loading:
            loading.cancel()
        await asyncio.gather(*self._loading, *self._evicting, return_exceptions=True)
        for waits in self._awaited.values():
            waits.cancel()
        await asyncio.gather(*(host.close() for host in self.hosts().values()), return_exceptions=True)

    def _state(self, app: str, seat: _Seat, node: str, pid: int) -> VariantState:
        stage = self._turns.stage(app)
        if seat.host is not None and stage in ("loading", "ready"):
            return replace(seat.host.state(node, pid), swaps=seat.swaps)
        state = replace(seat.left, swaps=seat.swaps)
        if stage in ("queued", "loading"):
            return replace(state, readiness="waiting" if stage == "queued" else "loading", message="")
        left = 0.0 if seat.failed is None else FAILED_S + seat.failed - time.monotonic()
        return replace(state, readiness="down", retry_s=left) if left > 0 else replace(state, message="")

    @contextmanager
    def _entered(self, app: str) -> Iterator[Host]:
        host = self.host(app)
        self._turns.begin(app, time.monotonic())
        try:
            yield host
        finally:
            self._turns.end(app, time.monotonic())
            self._advance()

    def _advance(self) -> None:
        """Begin what there is to begin, and wake those whose model is there."""
        if self._closed:
            return
        now = time.monotonic()
        step = self._turns.step(now)
        for app in step.evict:
            _begin(self._evict(app), self._evicting)
        for load in step.load:
            _begin(self._load(load), self._loading)
        for app in [app for app in self._awaited if self._turns.may(app)]:
            _settle(self._awaited.pop(app))
        if self._alarm is not None:
            self._alarm.cancel()
        loop = asyncio.get_running_loop()
        self._alarm = None if step.again is None else loop.call_later(step.again - now, self._advance)

    async def _evict(self, app: str) -> None:
        seat, began = self._seats[app], time.monotonic()
        assert seat.host is not None
        log.info("unloading %s", app)
        seat.left = replace(seat.host.state("", 0), readiness="cold", replicas=(), message="")
        host, seat.host = seat.host, None
        if await _slept(host, seat):
            seat.asleep = host
        else:
            await _closed(host)
        del host
        await asyncio.to_thread(_give_back)
        seat.closing_s = time.monotonic() - began
        self._turns.gone(app)
        if app in self._pinned:
            self._turns.want(app, time.monotonic())
        self._advance()

    async def _load(self, load: Load) -> None:
        app, seat, began = load.name, self._seats[load.name], time.monotonic()
        log.info("loading %s, instead of %s", app, ", ".join(load.instead) or "none")
        seat.ends = False
        try:
            if not await self._woken(seat):
                seat.host = seat.make()
                await seat.host.load()
        except Exception as error:
            log.exception("%s failed to load", app)
            await self._failed(app, seat, error)
            return
        took, seat.failed = time.monotonic() - began, None
        log.info("loaded %s", app)
        self._count(seat, load, took)
        self._turns.loaded(app, time.monotonic(), took)
        self._advance()

    async def _woken(self, seat: _Seat) -> bool:
        host, seat.asleep = seat.asleep, None
        if host is None or not isinstance(host.engine, Sleeps):
            return False
        try:
            await host.engine.wake()
        except asyncio.CancelledError:
            seat.asleep = host
            raise
        except Exception:
            log.exception("a model does not wake, and is loaded anew")
            await _closed(host)
            return False
        seat.host = host
        return True

    def _count(self, seat: _Seat, load: Load, took: float) -> None:
        """With the time that it took to close those who went for it, as far as that was not at once."""
        source = load.instead[0] if len(load.instead) == 1 else "several" if load.instead else "none"
        closing = max((self._seats[other].closing_s for other in load.instead), default=0.0)
        count, seconds = seat.swaps.get(source, (0, 0.0))
        seat.swaps = {**seat.swaps, source: (count + 1, seconds + closing + took)}

    async def _failed(self, app: str, seat: _Seat, error: Exception) -> None:
        message = error.message if isinstance(error, GatewayError) else "the engine failed to load"
        host, seat.host = seat.host, None
        if host is not None:
            await _closed(host)
        seat.failed, seat.left = time.monotonic(), VariantState("cold", message=message)
        self._turns.gone(app)
        if (waits := self._awaited.pop(app, None)) is not None:
            _settle(waits, ModelDown(f"the model is down: {message}"))
        self._advance()


def _begin(work: Coroutine[Any, Any, None], among: set[asyncio.Task[None]]) -> None:
    task = asyncio.create_task(work)
    among.add(task)
    task.add_done_callback(among.discard)


async def _slept(host: Host, seat: _Seat) -> bool:
    engine = host.engine
    if seat.ends or not isinstance(engine, Sleeps) or not engine.sleeps:
        return False
    try:
        await engine.sleep()
    except Exception:
        log.exception("a model cannot sleep, and is closed")
        return False
    return True


async def _closed(host: Host) -> None:
    try:
        await host.close()
    except Exception:
        log.exception("a model failed to close")


def _settle(waits: asyncio.Future[None], error: Exception | None = None) -> None:
    if waits.done():
        return
    if error is None:
        waits.set_result(None)
    else:
        waits.set_exception(error)
        waits.exception()  # nobody may be there any longer to hear of it


def _give_back() -> None:
    """Memory of what has been closed: engines in this process leave it to the collector, the C library
    and torch, each of which keeps it for the next of the same kind."""
    gc.collect()
    torch_device.give_back()
    heap.trim()
