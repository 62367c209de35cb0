"""The engine `xtts` around its child, for which a stand-in speaks: voices, languages, turns, deaths.

The real child is asked in `tests/xtts`.
"""

import asyncio
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest

from backends.contract.engine import GpuShare, ModelRef, Speaks
from backends.contract.errors import EngineFailed, GatewayError, InvalidRequest, SampleNeeded
from backends.contract.results import Pcm
from backends.contract.tasks import Sample, SpeakTask
from backends.engines.xtts import CONTEXT_BYTES, WORKING_BYTES, Xtts
from backends.host import Host
from tests.xtts.standing import engine, noted

Make = Callable[..., Awaitable[Xtts]]
GIB = 2**30


@pytest.fixture
async def make(tmp_path: Path) -> AsyncIterator[Make]:
    async with AsyncExitStack() as stack:

        async def made(**options: Any) -> Xtts:
            one = engine(tmp_path, **options)
            stack.push_async_callback(one.close)
            await one.load(lambda *_: None)
            return one

        yield made


def said(text: str, voice: str = "Ana Florence", sample: Sample | None = None) -> SpeakTask:
    return SpeakTask("r", text, voice, sample=sample)


async def everything(stream: AsyncGenerator[Pcm, None]) -> bytes:
    return b"".join([piece.samples async for piece in stream])


async def test_speaks_piece_by_piece(make: Make, tmp_path: Path) -> None:
    one = await make()
    assert isinstance(one, Speaks)
    pieces = [piece async for piece in one.speak(said("Hello there. How are you? 12 – !"))]
    assert {(piece.rate, len(piece.samples)) for piece in pieces} == {(24_000, 4_800)}
    assert [job["text"] for job in noted(tmp_path, "speak")] == ["Hello there.", "How are you?", "12 – !"]
    assert one.busy == 0


async def test_it_lives_apart(make: Make, tmp_path: Path) -> None:
    await make()
    (started,) = noted(tmp_path, "start")
    assert started["path_of_ours"] is None
    assert (started["device"], started["chunk_tokens"]) == ("cpu", 20)


@pytest.mark.parametrize("name", ["ana florence", "Ana Florence", "alloy", "ALLOY"])
async def test_voices_by_name(make: Make, name: str, tmp_path: Path) -> None:
    one = await make(voices={"alloy": "ana florence"})
    assert await everything(one.speak(said("Hello.", name)))
    assert noted(tmp_path, "speak")[0]["speaker"] == "Ana Florence"


async def test_voices_and_languages_are_listed(make: Make) -> None:
    one = await make(voices={"alloy": "Craig Gutsy"}, languages={"alloy": "de", "Ana Florence": "zh-cn"})
    assert one.facts() == {
        "voices": [
            {"id": "alloy", "name": "Craig Gutsy", "language": "de"},
            {"id": "Ana Florence", "name": "Ana Florence", "language": "zh"},
            {"id": "Craig Gutsy", "name": "Craig Gutsy", "language": "en"},
        ],
        "languages": ["en", "de", "zh", "ja"],
        "sample_rate": 24_000,
        "samples": True,
    }


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"voices": {"alloy": "Nobody"}}, "voices"),
        ({"language": "tlh"}, "language"),
        ({"languages": {"Craig Gutsy": "tlh"}}, "languages"),
        ({"languages": {"Nobody": "de"}}, "languages"),
        ({"python": ""}, "python"),
    ],
)
async def test_options_that_cannot_be(make: Make, options: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await make(**options)
    assert refused.value.param == param


async def test_our_own_interpreter_is_refused(make: Make) -> None:
    with pytest.raises(InvalidRequest, match="own environment"):
        await make(python=sys.executable)


@pytest.mark.parametrize(
    ("task", "param"),
    [
        (said("Hello.", "nobody"), "voice"),
        (said("Hello.", "voice_1", Sample(b"RIFF", "tlh")), "voice"),
        (said("…"), "input"),
        (said(" \n "), "input"),
    ],
)
async def test_what_cannot_be_spoken_is_refused(make: Make, task: SpeakTask, param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await everything((await make()).speak(task))
    assert refused.value.param == param


async def test_a_recording_is_asked_for_and_learnt_once(make: Make, tmp_path: Path) -> None:
    one = await make()
    with pytest.raises(SampleNeeded):
        await everything(one.speak(said("Hello.", "voice_1", Sample())))
    first = await everything(one.speak(said("Hello.", "voice_1", Sample(b"Ann", "de"))))
    again = await everything(one.speak(said("Hello.", "voice_1", Sample(None, "de"))))
    other = await everything(one.speak(said("Hello.", "voice_2", Sample(b"Bob"))))
    assert first == again != other
    assert len(noted(tmp_path, "learn")) == 2
    assert [job["language"] for job in noted(tmp_path, "speak")] == ["de", "de", "en"]


async def test_a_long_text_is_cut_as_its_language_needs(make: Make, tmp_path: Path) -> None:
    one = await make(languages={"Craig Gutsy": "ja"})
    text = "word, " * 100
    await everything(one.speak(said(text, "Ana Florence")))
    assert 200 < max(len(job["text"]) for job in noted(tmp_path, "speak")) <= 250
    (tmp_path / "notes").unlink()
    await everything(one.speak(said(text, "Craig Gutsy")))
    assert max(len(job["text"]) for job in noted(tmp_path, "speak")) <= 71


async def test_those_who_speak_at_once_take_turns_by_the_sentence(make: Make, tmp_path: Path) -> None:
    one = await make()
    long = asyncio.create_task(everything(one.speak(said("One !slow. Two !slow. Three !slow. Four !slow."))))
    while not one.busy:
        await asyncio.sleep(0.005)
    await everything(one.speak(said("Short.", "Craig Gutsy")))
    assert not long.done()
    await long
    texts = [job["text"] for job in noted(tmp_path, "speak")]
    assert texts == ["One !slow.", "Short.", "Two !slow.", "Three !slow.", "Four !slow."]


async def test_leaving_ends_the_work(make: Make) -> None:
    one = await make()
    stream = one.speak(said("!slow " * 40))
    await anext(stream)
    assert one.busy == 1
    async with asyncio.timeout(5):
        await stream.aclose()
    assert one.busy == 0
    assert await everything(one.speak(said("Hello.")))


async def test_a_child_that_ends_is_replaced_and_voices_are_still_known(tmp_path: Path) -> None:
    one = engine(tmp_path)
    host = Host(one)
    await host.load()
    try:
        await everything(one.speak(said("Hello.", "voice_1", Sample(b"Ann"))))
        before = one.pids
        with pytest.raises(EngineFailed):
            [batch async for batch in host.stream(said("Good !die"))]
        assert await everything(one.speak(said("Hello.", "voice_1", Sample())))
        assert one.pids != before
        assert await one.healthy()
    finally:
        await host.close()


async def test_a_bug_is_the_engines(make: Make) -> None:
    one = await make()
    with pytest.raises(RuntimeError):
        await everything(one.speak(said("!bug")))
    assert await everything(one.speak(said("Hello.")))


async def test_a_gpu_that_is_not_there_is_said(make: Make, tmp_path: Path) -> None:
    with pytest.raises(GatewayError, match="no GPU"):
        await make(share=GpuShare(0.5, "amd", 8 * GIB))
    (started,) = noted(tmp_path, "start")
    assert started["device"] == "cuda"
    assert started["fraction"] == pytest.approx(0.5 - CONTEXT_BYTES / (8 * GIB))


async def test_without_files_it_does_not_load() -> None:
    one = Xtts(ModelRef("tts", "speak", "builtin://x"), Xtts.Options(python="elsewhere"), GpuShare())
    with pytest.raises(InvalidRequest) as refused:
        await one.load(lambda *_: None)
    assert refused.value.param == "source"


def test_the_estimate_is_the_files_and_an_allowance(tmp_path: Path) -> None:
    (tmp_path / "model.pth").write_bytes(bytes(1000))
    estimate = Xtts.estimate(ModelRef("tts", "speak", "", tmp_path), Xtts.Options(), GpuShare())
    assert (estimate.weights, estimate.working) == (1000, WORKING_BYTES)
