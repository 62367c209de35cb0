"""The speaking engine: voices, pace, pieces, refusals."""

import array
import asyncio
import re
import sys
import time
from collections.abc import AsyncGenerator
from pathlib import Path

import pytest
import pytest_asyncio

from backends.contract.engine import GpuShare, ModelRef, Speaks
from backends.contract.errors import InvalidRequest
from backends.contract.results import Pcm
from backends.contract.tasks import SpeakTask
from backends.engines.espeak_ng import NAMED, EspeakNG

OPENAI = re.findall(r"\w+", "alloy ash ballad cedar coral echo fable marin nova onyx sage shimmer verse")
SENTENCE = "Let us go for a walk in the park this afternoon, and look at the river."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[EspeakNG, None]:
    engine = EspeakNG(ModelRef("tts", "speak", "builtin://espeak-ng"), EspeakNG.Options(), GpuShare())
    await engine.load(lambda *_: None)
    yield engine
    await engine.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


async def speak(engine: EspeakNG, text: str = SENTENCE, voice: str = "nova", speed: float = 1.0) -> list[Pcm]:
    return [piece async for piece in engine.speak(SpeakTask("r", text, voice, speed))]


def seconds(pieces: list[Pcm]) -> float:
    return sum(len(piece.samples) / 2 / piece.rate for piece in pieces)


def loudest(pieces: list[Pcm]) -> int:
    return max(array.array("h", b"".join(piece.samples for piece in pieces)))


async def refusal(engine: EspeakNG, **given: object) -> InvalidRequest:
    with pytest.raises(InvalidRequest) as caught:
        await speak(engine, **given)  # type: ignore[arg-type]
    return caught.value


async def test_speaks(engine: EspeakNG) -> None:
    assert isinstance(engine, Speaks)
    pieces = await speak(engine)
    assert {piece.rate for piece in pieces} == {22_050}
    assert 3 < seconds(pieces) < 8
    assert all(len(piece.samples) / 2 <= 0.5 * piece.rate for piece in pieces)
    assert loudest(pieces) > 5_000
    assert engine.busy == 0


async def test_is_silent_for_a_moment_at_both_ends(engine: EspeakNG) -> None:
    sound = b"".join(piece.samples for piece in await speak(engine))
    edge = int(22_050 * 0.19) * 2
    assert not any(sound[:edge])
    assert not any(sound[-edge:])


@pytest.mark.parametrize("voice", [*OPENAI, "gmw/en-US", "en-us+f2", "EN-GB", "English (America)", "de"])
async def test_every_voice_speaks(engine: EspeakNG, voice: str) -> None:
    assert loudest(await speak(engine, "Good evening.", voice)) > 3_000


async def test_openais_voices_are_all_there_and_all_different() -> None:
    assert sorted(NAMED) == OPENAI
    assert len(set(NAMED.values())) == len(OPENAI)


async def test_voices_are_listed(engine: EspeakNG) -> None:
    facts = engine.facts()
    assert [voice["id"] for voice in facts["voices"][: len(OPENAI)]] == OPENAI
    assert {"id": "gmw/en-US", "name": "English (America)", "language": "en-us"} in facts["voices"]
    assert len({voice["id"] for voice in facts["voices"]}) == len(facts["voices"])
    assert facts["languages"] > 50


@pytest.mark.parametrize("speed", [0.25, 0.4, 0.5, 2.0, 4.0])
async def test_speed_scales_the_duration(engine: EspeakNG, speed: float) -> None:
    """Below half its pace espeak itself goes no slower; the rest is stretched."""
    silence = 0.4
    plain = seconds(await speak(engine)) - silence
    paced = seconds(await speak(engine, speed=speed)) - silence
    assert paced * speed == pytest.approx(plain, rel=0.12)


async def test_sentences_come_one_by_one(engine: EspeakNG) -> None:
    long = SpeakTask("r", " ".join([SENTENCE] * 25), "nova", 0.3)
    shares = []
    for _ in range(3):  # the machine may be busy with something else once
        started = time.perf_counter()
        first = None
        async for _ in engine.speak(long):
            first = first or time.perf_counter() - started
        assert first is not None
        shares.append(first / (time.perf_counter() - started))
    assert min(shares) < 0.3


async def test_closing_ends_the_work(engine: EspeakNG) -> None:
    stream = engine.speak(SpeakTask("r", " ".join([SENTENCE] * 200), "nova", 0.25))
    await anext(stream)
    assert engine.busy == 1
    started = time.perf_counter()
    await stream.aclose()
    assert time.perf_counter() - started < 3
    assert engine.busy == 0
    assert await speak(engine)


async def test_requests_at_once_are_answered_apart(engine: EspeakNG) -> None:
    short, long = await asyncio.gather(speak(engine, "Yes."), speak(engine, SENTENCE * 3))
    assert seconds(short) * 3 < seconds(long)


@pytest.mark.parametrize("text", ["", "   ", "\n\t", "\0", "...", "-", " — "])
async def test_nothing_to_speak_is_refused(engine: EspeakNG, text: str) -> None:
    assert (await refusal(engine, text=text)).param == "input"


async def test_a_null_character_does_not_cut_the_text(engine: EspeakNG) -> None:
    assert seconds(await speak(engine, f"Yes\0. {SENTENCE}")) > 3


@pytest.mark.parametrize("voice", ["", "nobody", "en-us+nobody", "nova+f2", "+f2", "../../etc/passwd"])
async def test_an_unknown_voice_is_refused_with_suggestions(engine: EspeakNG, voice: str) -> None:
    error = await refusal(engine, voice=voice)
    assert error.param == "voice"
    assert "nova" in error.message


@pytest.mark.parametrize("speed", [0.0, 0.2, 4.1, -1.0, float("nan")])
async def test_speed_out_of_range_is_refused(engine: EspeakNG, speed: float) -> None:
    assert (await refusal(engine, speed=speed)).param == "speed"


async def test_a_data_path_that_is_too_long_for_the_library(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A package elsewhere on the path, whose data lie deeper than espeak can go."""
    import espeakng_loader

    deep = tmp_path / ("d" * 120) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "data").symlink_to(espeakng_loader.get_data_path())
    package = tmp_path / "elsewhere" / "espeakng_loader"
    package.mkdir(parents=True)
    (package / "__init__.py").write_text(
        f"def get_library_path(): return {espeakng_loader.get_library_path()!r}\n"
        f"def get_data_path(): return {str(deep / 'data')!r}\n"
    )
    monkeypatch.setattr(sys, "path", [str(package.parent), *sys.path])
    engine = EspeakNG(ModelRef("tts", "speak", ""), EspeakNG.Options(), GpuShare())
    try:
        await engine.load(lambda *_: None)
        assert loudest(await speak(engine)) > 5_000
    finally:
        await engine.close()


async def test_names_of_the_fleet() -> None:
    """Its own, and OpenAI's given to others."""
    options = EspeakNG.Options(voices={"Kitchen": "de", "alloy": "fable"})
    engine = EspeakNG(ModelRef("tts", "speak", ""), options, GpuShare())
    try:
        await engine.load(lambda *_: None)
        assert loudest(await speak(engine, "Guten Abend.", "kitchen")) > 3_000
        listed = {voice["id"]: voice["language"] for voice in engine.facts()["voices"]}
        assert (listed["kitchen"], listed["alloy"]) == ("de", "en-gb")
    finally:
        await engine.close()


async def test_a_name_for_a_voice_that_is_none_is_refused_at_the_start() -> None:
    options = EspeakNG.Options(voices={"alloy": "nobody"})
    engine = EspeakNG(ModelRef("tts", "speak", ""), options, GpuShare())
    with pytest.raises(InvalidRequest, match="nobody"):
        await engine.load(lambda *_: None)
    await engine.close()
