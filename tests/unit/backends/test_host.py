"""The host: admission, the error boundary, and how items are gathered on their way."""

import asyncio
import math
import os
from collections.abc import AsyncGenerator
from typing import Any

import pytest

from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import (
    EngineFailed,
    InvalidRequest,
    ModelDown,
    NotReady,
    Overloaded,
    SampleNeeded,
)
from backends.contract.results import ChatChunk
from backends.contract.state import Footprint
from backends.contract.tasks import ChatTask, EmbedTask, Sample, SpeakTask
from backends.engines.fake import Fake
from backends.host import Host, coalesce

REF = ModelRef("fake", "chat", "builtin://fake")


def chat(script: str) -> ChatTask:
    return ChatTask("r", {"model": "m", "messages": [{"role": "user", "content": script}], "stream": True})


async def loaded(**limits: Any) -> Host:
    host = Host(Fake(REF, Fake.Options(), GpuShare()), **limits)
    await host.load()
    return host


async def read(host: Host, script: str) -> int:
    """How many events it answers."""
    return sum([item.events.count(b"data:") async for batch in host.stream(chat(script)) for item in batch])


async def numbers(*gaps: float) -> AsyncGenerator[int, None]:
    for number, gap in enumerate(gaps):
        await asyncio.sleep(gap)
        yield number


async def test_one_runs_one_waits_the_third_is_refused() -> None:
    host = await loaded(max_ongoing=1, max_queued=1)
    running = asyncio.create_task(read(host, "!slow 0.05 !words 3"))
    await asyncio.sleep(0.02)
    waiting = asyncio.create_task(read(host, "!words 3"))
    await asyncio.sleep(0)
    (replica,) = host.state("here", 1).replicas
    assert (replica.ongoing, replica.queued, replica.busy) == (1, 1, 1)
    with pytest.raises(Overloaded) as refused:
        await read(host, "!words 1")
    assert refused.value.retry_after
    assert await asyncio.gather(running, waiting) == [4, 4]


async def test_one_who_leaves_the_queue_gives_up_the_place() -> None:
    host = await loaded(max_ongoing=1, max_queued=1)
    running = asyncio.create_task(read(host, "!slow 0.05 !words 3"))
    await asyncio.sleep(0.02)
    waiting = asyncio.create_task(read(host, "!words 3"))
    await asyncio.sleep(0)
    waiting.cancel()
    await asyncio.wait({waiting})
    assert await read(host, "!words 1") == 2
    await running


async def test_what_the_engine_does_wrong_is_logged_not_told(caplog: pytest.LogCaptureFixture) -> None:
    host = await loaded()
    with pytest.raises(EngineFailed) as failed:
        await read(host, "!bug")
    assert "secret" not in failed.value.message
    assert "secret" in caplog.text
    assert caplog.records[-1].__dict__["request_id"] == "r"
    assert await read(host, "!words 1") == 2


async def test_before_and_after_its_time() -> None:
    host = Host(Fake(REF, Fake.Options(), GpuShare()))
    with pytest.raises(NotReady):
        await read(host, "hello")
    await host.load()
    await host.close()
    with pytest.raises(ModelDown):
        await read(host, "hello")


async def test_a_load_that_fails_is_told_as_down() -> None:
    class Broken(Fake):
        async def load(self, _progress: Any) -> None:
            raise OSError("/a/path")

    host = Host(Broken(REF, Fake.Options(), GpuShare()))
    with pytest.raises(OSError, match="path"):
        await host.load()
    state = host.state("here", 1)
    assert state.readiness == "down"
    assert "path" not in state.message


async def test_progress_is_told_while_loading() -> None:
    host = Host(Fake(REF, Fake.Options(load_s=0.1), GpuShare()))
    seen: list[tuple[str, float | None]] = []
    await host.load(lambda stage, fraction: seen.append((stage, fraction)))
    assert seen == [("loading", step / 4) for step in range(4)]


@pytest.mark.parametrize("window", [0.0, 0.02, math.inf])
async def test_the_first_token_crosses_at_once_whatever_the_window(window: float) -> None:
    """The chunk with the role and the first one with a token, each as it comes."""
    source = coalesce(numbers(0, 0, 5), window=window, most=64)
    got = [await anext(source), await asyncio.wait_for(anext(source), 2)]
    assert got == [[0], [1]]
    await source.aclose()


@pytest.mark.parametrize(("window", "crossings"), [(0.0, 20), (0.02, 4), (math.inf, 3)])
async def test_the_rest_gather_for_the_window(window: float, crossings: int) -> None:
    batches = [batch async for batch in coalesce(numbers(*[0.0] * 20), window=window, most=64)]
    assert [item for batch in batches for item in batch] == list(range(20))
    assert len(batches) <= crossings


async def test_a_window_without_end_is_cut_by_the_buffer() -> None:
    batches = [batch async for batch in coalesce(numbers(*[0.0] * 20), window=math.inf, most=5)]
    assert [len(batch) for batch in batches[:2]] == [1, 1]
    assert max(len(batch) for batch in batches) == 5
    assert [item for batch in batches for item in batch] == list(range(20))


async def test_an_item_after_a_pause_does_not_wait() -> None:
    source = coalesce(numbers(0, 0.01, 0.03, 0.03, 5), window=0.02, most=64)
    got = [await asyncio.wait_for(anext(source), 2) for _ in range(4)]
    assert got == [[0], [1], [2], [3]]
    await source.aclose()


async def test_a_slow_reader_slows_the_engine() -> None:
    made = 0

    async def source() -> AsyncGenerator[int, None]:
        nonlocal made
        for made in range(1000):
            yield made

    batches = coalesce(source(), window=0.001, most=10)
    await anext(batches)
    await asyncio.sleep(0.02)
    assert made < 20  # one batch read, one ahead
    await batches.aclose()


async def test_closing_closes_the_source_even_in_a_silence() -> None:
    closed = asyncio.Event()

    async def source() -> AsyncGenerator[int, None]:
        try:
            yield 0
            await asyncio.sleep(60)
        finally:
            closed.set()

    batches = coalesce(source(), window=0.001, most=10)
    await anext(batches)
    await batches.aclose()
    assert closed.is_set()


async def test_a_failure_comes_after_the_items_before_it() -> None:
    async def source() -> AsyncGenerator[int, None]:
        yield 0
        yield 1
        raise ValueError("broken")

    got: list[int] = []
    with pytest.raises(ValueError, match="broken"):  # noqa: PT012 - the loop is what raises
        async for batch in coalesce(source(), window=0.001, most=10):
            got.extend(batch)
    assert got == [0, 1]


async def spoken(host: Host, **fields: Any) -> float:
    """Seconds."""
    task = SpeakTask("r", "!words 10", **{"voice": "fake", **fields})
    items = [item async for batch in host.stream(task) for item in batch]
    return sum(len(item.samples) / 2 / item.rate for item in items)


async def test_speech_is_paced_for_engines_that_have_but_one_pace() -> None:
    host = await loaded()
    assert await spoken(host) == pytest.approx(1.0, rel=0.01)
    assert await spoken(host, speed=0.5) == pytest.approx(2.0, rel=0.03)
    assert await spoken(host, speed=4.0) == pytest.approx(0.25, rel=0.03)


@pytest.mark.parametrize(
    ("fields", "param"),
    [({"instructions": "Whisper."}, "instructions"), ({"sample": Sample(b"RIFF")}, "voice")],
)
async def test_what_an_engine_would_ignore_is_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await spoken(await loaded(), **fields)
    assert refused.value.param == param


async def test_an_engine_that_lacks_a_recording_asks_for_it() -> None:
    host = Host(Fake(REF, Fake.Options(samples=True), GpuShare()))
    await host.load()
    with pytest.raises(SampleNeeded):
        await spoken(host, voice="voice_1", sample=Sample())


HALF = GpuShare(0.5, "nvidia", 8 * 2**30)


async def test_a_model_over_its_share_does_not_start() -> None:
    host = Host(Fake(REF, Fake.Options(), HALF), share=HALF, estimate=lambda: Memory(3 * 2**30, 2**30, 2**29))
    with pytest.raises(EngineFailed) as refused:
        await host.load()
    state = host.state("here", 1)
    assert (state.readiness, state.message) == ("down", refused.value.message)
    assert state.message == (
        "the model needs about 4.5 GiB of the card (weights 3.0, working 1.0, overhead 0.5); "
        "its share of 0.5 is 4.0 GiB"
    )
    assert state.replicas[0].footprint == Footprint(4 * 2**30, 9 * 2**29)


@pytest.mark.parametrize(
    ("share", "memory"),
    [
        (HALF, Memory(4 * 2**30)),
        (HALF, None),
        (GpuShare(0.5, "nvidia"), Memory(2**40)),  # the fleet does not say how large the card is
        (GpuShare(), Memory(2**40)),  # the machine's own memory is not divided
    ],
)
async def test_what_fits_or_is_not_known_starts(share: GpuShare, memory: Memory | None) -> None:
    host = Host(Fake(REF, Fake.Options(), share), share=share, estimate=lambda: memory)
    await host.load()
    assert host.state("here", 1).ready


async def test_on_one_card_they_load_one_after_the_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"test-{os.getpid()}")
    loading: list[str] = []

    class Slow(Fake):
        async def load(self, progress: Progress) -> None:
            loading.append("in")
            await asyncio.sleep(0.05)
            loading.append("out")

    class Own(Slow):
        locks = True

    async def load(kind: type[Fake], share: GpuShare) -> None:
        await Host(kind(REF, Fake.Options(), share), share=share).load()

    await asyncio.gather(*(load(Slow, HALF) for _ in range(3)))
    assert loading == ["in", "out"] * 3
    loading.clear()
    await asyncio.gather(load(Own, HALF), load(Own, HALF), load(Slow, GpuShare()))
    assert loading[:3] == ["in"] * 3


async def test_since_when_it_is_idle() -> None:
    host = await loaded(max_ongoing=1)
    assert 0 <= host.idle_s() < 60
    running = asyncio.create_task(read(host, "!slow 0.02 !words 2"))
    waiting = asyncio.create_task(read(host, "!words 1"))
    await asyncio.sleep(0.01)
    host.release()
    assert host.idle_s() == 0
    await running
    assert host.idle_s() == 0
    await waiting
    assert host.idle_s() == math.inf
    host.keep()
    assert 0 <= host.idle_s() < 60


async def test_a_higher_limit_lets_in_who_waits() -> None:
    host = await loaded(max_ongoing=1, max_queued=4)
    asked = [asyncio.create_task(read(host, "!slow 0.02 !words 3")) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert running(host) == (1, 3)
    await host.reconfigure(Fake.Options(), max_ongoing=3, max_queued=4)
    await asyncio.sleep(0.01)
    assert running(host) == (3, 1)
    assert await asyncio.gather(*asked) == [4] * 4


async def test_a_lower_limit_holds_once_what_runs_has_ended() -> None:
    host = await loaded(max_ongoing=3, max_queued=9)
    asked = [asyncio.create_task(read(host, "!slow 0.02 !words 3")) for _ in range(3)]
    await asyncio.sleep(0.01)
    await host.reconfigure(Fake.Options(), max_ongoing=1, max_queued=0)
    assert running(host) == (3, 0)
    with pytest.raises(Overloaded):
        await read(host, "!words 1")
    await host.reconfigure(Fake.Options(), max_ongoing=1, max_queued=9)
    most: list[int] = []

    async def count() -> None:
        while True:
            most.append(running(host)[0])
            await asyncio.sleep(0.001)

    assert await asyncio.gather(*asked) == [4] * 3
    counting = asyncio.create_task(count())
    assert await asyncio.gather(*(read(host, "!slow 0.005 !words 2") for _ in range(4))) == [3] * 4
    counting.cancel()
    assert max(most) == 1


async def test_a_lower_limit_and_a_higher_one_again_leave_the_gate_as_it_was() -> None:
    host = await loaded(max_ongoing=2, max_queued=9)
    asked = [asyncio.create_task(read(host, "!slow 0.02 !words 3")) for _ in range(4)]
    await asyncio.sleep(0.01)
    for limit in (1, 5, 1, 2):
        await host.reconfigure(Fake.Options(), max_ongoing=limit, max_queued=9)
    await asyncio.gather(*asked)
    asked = [asyncio.create_task(read(host, "!slow 0.02 !words 3")) for _ in range(4)]
    await asyncio.sleep(0.01)
    assert running(host) == (2, 2)
    await asyncio.gather(*asked)


async def test_an_option_is_taken_by_the_next_task() -> None:
    host = await loaded()
    assert await read(host, "hello") == 4
    await host.reconfigure(Fake.Options(words=5), max_ongoing=1, max_queued=1)
    assert await read(host, "hello") == 6


def running(host: Host) -> tuple[int, int]:
    (replica,) = host.state("here", 1).replicas
    return replica.ongoing, replica.queued


class Stubborn:
    """Takes its time to stop: `stop` is set when it may. Answers what is called when `ready` is set."""

    surfaces = ("chat",)

    def __init__(self) -> None:
        self.busy, self.stop = 0, asyncio.Event()

    async def load(self, progress: Any) -> None: ...

    async def close(self) -> None: ...

    def facts(self) -> dict[str, Any]:
        return {}

    async def chat(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        self.busy += 1
        try:
            yield ChatChunk(b"x", 1)
            await asyncio.Event().wait()
        finally:
            await asyncio.sleep(0.05)
            self.busy -= 1

    async def embed(self, task: EmbedTask) -> None:
        self.busy += 1
        self.rest = asyncio.create_task(self._rest())
        await asyncio.shield(self.rest)

    async def _rest(self) -> None:
        await self.stop.wait()
        self.busy -= 1


async def test_what_an_engine_does_for_nobody_is_counted() -> None:
    engine = Stubborn()
    host = Host(engine, share=GpuShare(0.5, "nvidia", 1 << 30))  # type: ignore[arg-type]
    await host.load()
    stream = host.stream(ChatTask("a", {"messages": []}))
    await anext(stream)
    assert host.tally.wasted_s == 0
    await stream.aclose()
    assert host.tally.wasted_s >= 0.049
    assert host.tally.engine_s >= host.tally.wasted_s

    before = host.tally.wasted_s
    asked = asyncio.create_task(host.call(EmbedTask("b", ("x",))))
    while not engine.busy:
        await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait({asked})  # at once, but the engine goes on
    while host.tally.wasted_s == before:
        await asyncio.sleep(0.01)
    engine.stop.set()
    while host._after is not None and not host._after.done():
        await asyncio.sleep(0.01)
    at = host.tally.wasted_s
    await asyncio.sleep(0.1)
    assert host.tally.wasted_s == at
    assert sum(host.tally.waits) == 2
    assert host.tally.share == 0.5
    await host.close()


async def test_waits_for_a_place_are_counted() -> None:
    engine = Stubborn()
    host = Host(engine, max_ongoing=1)  # type: ignore[arg-type]
    await host.load()
    first, second = (asyncio.create_task(host.call(EmbedTask(name, ("x",)))) for name in "ab")
    while not engine.busy:
        await asyncio.sleep(0)
    await asyncio.sleep(0.03)
    engine.stop.set()
    await asyncio.gather(first, second)
    assert host.tally.waits[0] == 1
    assert sum(host.tally.waits[2:]) == 1  # longer than 10 ms
    assert host.tally.waited_s >= 0.029
