"""Whisper on torch over a tiny checkpoint of random weights: what is asked reaches the model, and
what it says comes back whole. `make test-torch` installs what this suite needs."""

import asyncio
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.formats.audio import encode_whole
from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import EngineFailed, InvalidRequest, MediaUnsupported
from backends.contract.results import Heard, Pcm, Segment
from backends.contract.tasks import TranscribeTask, Vad
from backends.engines.whisper import Whisper
from tests.torch.checkpoint import make

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("whisper"))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine(folder: Path) -> AsyncGenerator[Whisper, None]:
    engine = made(folder)
    await engine.load(lambda *_: None)
    yield engine
    await engine.close()


def made(folder: Path, share: GpuShare | None = None, **options: Any) -> Whisper:
    options = {"threads": 1, "max_new_tokens": 16, "vad": False, "batch": 2, **options}
    model = ModelRef("stt", "transcribe", "file:///model", folder)
    return Whisper(model, Whisper.Options(**options), share or GpuShare())


def tone(seconds: float) -> bytes:
    return encode_whole([Pcm(b"\x00\x10\x00\xf0" * int(8000 * seconds), 16_000)], "wav")


async def hear(engine: Whisper, audio: bytes, **options: Any) -> list[Heard]:
    return [heard async for heard in engine.transcribe(TranscribeTask("r", audio, **options))]


def segments(heard: list[Heard]) -> list[Segment]:
    return [segment for item in heard for segment in item.segments]


def tokens(heard: list[Heard]) -> list[int]:
    return [token for segment in segments(heard) for token in segment.tokens]


async def test_segments_and_words_have_times_of_the_file(engine: Whisper) -> None:
    heard = await hear(engine, tone(70), languages=("en",), words=True)
    found = segments(heard)
    assert found
    assert heard[-1].position == 70
    assert [item.position for item in heard] == sorted(item.position for item in heard)
    assert max(segment.end for segment in found) > 30, "later clips count from the file's beginning"
    for segment in found:
        assert 0 <= segment.start <= segment.end <= 70
        assert segment.text == segment.text.strip() != ""
        assert all(0 <= word.start <= word.end <= 70 and word.text.strip() for word in segment.words)
    words = [word for segment in found for word in segment.words]
    assert "".join(word.text for word in words) == "".join(s.text for s in found).replace(" ", "")


async def test_the_language_is_given_found_or_one_of_several(engine: Whisper) -> None:
    free = (await hear(engine, tone(2)))[-1].language
    assert free in engine.facts()["languages"]
    others = tuple(code for code in ("de", "fr", "ja") if code != free)
    assert (await hear(engine, tone(2), languages=others))[-1].language in others
    german, french = [await hear(engine, tone(2), languages=(code,)) for code in ("de", "fr")]
    assert {item.language for item in german} == {"de"}
    assert tokens(german) != tokens(french)


async def test_translation_prompt_and_keywords_reach_the_model(engine: Whisper) -> None:
    plain, *guided = [
        tokens(await hear(engine, tone(2), languages=("de",), **options))
        for options in ({}, {"to": "en"}, {"prompt": "Kaffee <|nospeech|>"}, {"keywords": ("Tasse",)})
    ]
    assert all(one and one != plain for one in guided)


async def test_a_temperature_is_used(engine: Whisper) -> None:
    found = segments(await hear(engine, tone(2), languages=("en",), temperature=0.9))
    assert {segment.temperature for segment in found} == {0.9}


async def test_silence_says_nothing(engine: Whisper) -> None:
    quiet = encode_whole([Pcm(bytes(2 * 16_000 * 8), 16_000)], "wav")
    heard = await hear(engine, quiet, vad=Vad())
    assert segments(heard) == []
    assert heard[-1].position == 8


@pytest.mark.parametrize(
    ("asked", "param"), [({"logprobs": True}, "include"), ({"languages": ("xx",)}, "language")]
)
async def test_what_it_cannot_do_is_refused(engine: Whisper, asked: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await hear(engine, tone(1), **asked)
    assert refused.value.param == param


async def test_a_bad_file_is_refused(engine: Whisper) -> None:
    with pytest.raises(MediaUnsupported):
        await hear(engine, b"this is no sound at all")


async def test_leaving_ends_the_work(engine: Whisper) -> None:
    working = asyncio.create_task(hear(engine, tone(600), languages=("en",)))
    while not engine.busy:
        await asyncio.sleep(0.001)
    working.cancel()
    await asyncio.wait({working})
    assert working.cancelled()
    assert engine.busy == 0


@pytest.mark.parametrize(("vendor", "device"), [("amd", "cuda"), ("intel", "xpu"), ("nvidia", "cuda")])
async def test_a_card_that_torch_does_not_see_is_named(folder: Path, vendor: Any, device: str) -> None:
    with pytest.raises(EngineFailed, match=f"sees no {device} device"):
        await made(folder, GpuShare(0.5, vendor, 8 * 2**30)).load(lambda *_: None)


async def test_a_wrong_folder_is_named(folder: Path, tmp_path: Path) -> None:
    with pytest.raises(EngineFailed, match=r"no config\.json"):
        await made(tmp_path).load(lambda *_: None)
    assert (
        made(folder)
        .estimate(ModelRef("stt", "transcribe", "", folder), Whisper.Options(), GpuShare())
        .weights
    )
