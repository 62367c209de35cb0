"""The listening engine: words and times, segments, refusals, stopping; and the round trip."""

import array
import asyncio
import io
import itertools
import random
import time
import wave
from collections.abc import AsyncGenerator

import pytest
import pytest_asyncio

from app.formats.audio import encode_whole
from backends.contract.engine import GpuShare, ModelRef, Transcribes
from backends.contract.errors import InvalidRequest, MediaTooLong, MediaUnsupported
from backends.contract.results import Heard, Pcm, Segment
from backends.contract.tasks import SpeakTask, TranscribeTask, Vad
from backends.engines.espeak_ng import EspeakNG
from backends.engines.pocketsphinx import PocketSphinx

COFFEE = "i would like to order a cup of coffee please"
WALK = "let us go for a walk in the park this afternoon"
SAFE = [
    (COFFEE, {"order", "cup", "coffee", "please"}),
    (WALK, {"walk", "park", "this", "afternoon"}),
    ("our company will release the new product next week", {"company", "release", "product", "week"}),
]

pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[PocketSphinx, None]:
    model = ModelRef("stt", "transcribe", "builtin://pocketsphinx")
    engine = PocketSphinx(model, PocketSphinx.Options(), GpuShare())
    await engine.load(lambda *_: None)
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speaker() -> AsyncGenerator[EspeakNG, None]:
    speaker = EspeakNG(ModelRef("tts", "speak", "builtin://espeak-ng"), EspeakNG.Options(), GpuShare())
    await speaker.load(lambda *_: None)
    yield speaker
    await speaker.close()


async def spoken(speaker: EspeakNG, text: str) -> list[Pcm]:
    return [piece async for piece in speaker.speak(SpeakTask("r", text, "nova"))]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speech(speaker: EspeakNG) -> list[Pcm]:
    return await spoken(speaker, COFFEE)


def silence(seconds: float) -> Pcm:
    return Pcm(bytes(2 * int(22_050 * seconds)), 22_050)


def wav(*pieces: Pcm) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(22_050)
        writer.writeframes(b"".join(piece.samples for piece in pieces))
    return file.getvalue()


async def hear(engine: PocketSphinx, audio: bytes, **options: object) -> list[Heard]:
    task = TranscribeTask("r", audio, **options)  # type: ignore[arg-type]
    return [heard async for heard in engine.transcribe(task)]


def segments(heard: list[Heard]) -> list[Segment]:
    return [segment for item in heard for segment in item.segments]


@pytest.mark.parametrize(("sentence", "keywords"), SAFE, ids=["coffee", "walk", "company"])
async def test_round_trip(engine: PocketSphinx, speaker: EspeakNG, sentence: str, keywords: set[str]) -> None:
    best = 0
    for _ in range(3):  # espeak never says a thing twice in the same way
        heard = segments(await hear(engine, encode_whole(await spoken(speaker, sentence), "mp3")))
        best = max(best, len(keywords & set(" ".join(segment.text for segment in heard).split())))
        if best >= 3:
            break
    assert best >= 3


async def test_words_have_times(engine: PocketSphinx, speech: list[Pcm]) -> None:
    assert isinstance(engine, Transcribes)
    heard = await hear(engine, wav(silence(2), *speech), words=True, languages=("en",))
    assert heard[-1].position == pytest.approx(2 + sum(len(p.samples) for p in speech) / 44_100, abs=0.05)
    assert {item.language for item in heard} == {"en"}
    found = segments(heard)
    words = [word for segment in found for word in segment.words]
    assert " ".join(word.text for word in words) == " ".join(segment.text for segment in found)
    assert all(word.text.replace("'", "").replace(".", "").isalpha() for word in words)
    assert all(a.end <= b.start + 0.02 for a, b in itertools.pairwise(words))
    assert all(0 <= (word.probability or 0) <= 1 for word in words)
    assert 1.8 < words[0].start < 2.6, "times count from the beginning of the file"
    assert words[-1].end < heard[-1].position
    assert (found[0].start, found[-1].end) == (words[0].start, words[-1].end)


async def test_words_only_when_wanted(engine: PocketSphinx, speech: list[Pcm]) -> None:
    assert all(not segment.words for segment in segments(await hear(engine, wav(*speech))))


async def test_pauses_part_segments(engine: PocketSphinx, speech: list[Pcm]) -> None:
    heard = await hear(engine, wav(*speech, silence(3), *speech))
    assert len(segments(heard)) == 2
    first, second = segments(heard)
    assert second.start - first.end > 2.5


async def test_segments_come_before_the_end_even_without_a_pause(
    engine: PocketSphinx, speech: list[Pcm]
) -> None:
    sound = [Pcm(b"".join(piece.samples for piece in speech)[9_000:-9_000], 22_050)]
    seconds = len(sound[0].samples) / 44_100
    heard = await hear(engine, wav(*(sound * int(27 / seconds))))
    found = segments(heard)
    assert len(found) >= 2
    assert all(segment.end - segment.start <= 21 for segment in found)
    assert all(a.end <= b.start + 0.02 for a, b in itertools.pairwise(found))
    assert len([item for item in heard if item.segments]) >= 2, "each in an item of its own"


async def test_silence_is_heard_as_nothing(engine: PocketSphinx) -> None:
    heard = await hear(engine, wav(silence(35)))
    assert segments(heard) == []
    assert [item.position for item in heard] == pytest.approx([10, 20, 30, 35], abs=0.3)


async def test_noise_ends(engine: PocketSphinx) -> None:
    noise = array.array("h", (random.Random(1).randrange(-9000, 9000) for _ in range(22_050 * 3)))
    heard = await hear(engine, wav(Pcm(noise.tobytes(), 22_050)))
    assert heard[-1].position == pytest.approx(3, abs=0.05)


async def test_an_answer_does_not_depend_on_those_before(engine: PocketSphinx, speech: list[Pcm]) -> None:
    audio = wav(*speech)
    loud = array.array("h", b"".join(piece.samples for piece in speech))
    quiet = Pcm(array.array("h", (sample // 8 for sample in loud)).tobytes(), 22_050)
    before = segments(await hear(engine, audio, words=True))
    await hear(engine, wav(quiet))
    stream = engine.transcribe(TranscribeTask("r", wav(*speech * 5)))
    listening = asyncio.ensure_future(anext(stream))
    await asyncio.sleep(0.2)  # and one that is stopped in the middle of an utterance
    listening.cancel()
    await asyncio.wait({listening})
    await stream.aclose()
    assert segments(await hear(engine, audio, words=True)) == before


async def test_closing_ends_the_work_within_a_window(engine: PocketSphinx, speech: list[Pcm]) -> None:
    sound = [Pcm(b"".join(piece.samples for piece in speech)[9_000:-9_000], 22_050)]
    before = engine._pool.pids
    listening = asyncio.create_task(hear(engine, wav(*(sound * 30))))
    while engine.busy == 0:
        await asyncio.sleep(0.01)
    await asyncio.sleep(0.3)
    started = time.perf_counter()
    listening.cancel()
    await asyncio.wait({listening})
    assert time.perf_counter() - started < 4
    assert engine.busy == 0
    assert engine._pool.pids == before, "it stopped by itself"
    assert segments(await hear(engine, wav(*speech)))


async def test_the_loop_is_free_meanwhile(engine: PocketSphinx, speech: list[Pcm]) -> None:
    listening = asyncio.create_task(hear(engine, wav(*speech)))
    ticks, started = 0, time.perf_counter()
    while not listening.done():
        await asyncio.sleep(0.01)
        ticks += 1
    assert ticks > (time.perf_counter() - started) / 0.01 / 4


@pytest.mark.parametrize("languages", [(), ("en",), ("de", "en")])
async def test_english_is_among_what_may_be_spoken(engine: PocketSphinx, languages: tuple[str, ...]) -> None:
    assert await hear(engine, wav(silence(0.5)), languages=languages, vad=Vad(), streams=True)


@pytest.mark.parametrize(
    ("options", "param"),
    [
        ({"languages": ("de",)}, "language"),
        ({"languages": ("de", "fr")}, "languages"),
        ({"keywords": ("Motley",)}, "keywords"),
        ({"logprobs": True}, "include"),
        ({"vad": Vad(threshold=0.9)}, "chunking_strategy"),
        ({"to": "en"}, "model"),
        ({"prompt": "Motley, Ray"}, "prompt"),
        ({"temperature": 0.4}, "temperature"),
    ],
)
async def test_what_it_cannot_honour_is_refused(
    engine: PocketSphinx, options: dict[str, object], param: str
) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await hear(engine, wav(silence(0.5)), **options)
    assert caught.value.param == param


@pytest.mark.parametrize("audio", [b"", b"a letter, not a recording\n" * 40], ids=["empty", "text"])
async def test_what_is_not_audio_is_refused_across_the_process(engine: PocketSphinx, audio: bytes) -> None:
    with pytest.raises(MediaUnsupported) as caught:
        await hear(engine, audio)
    assert caught.value.param == "file"


async def test_what_plays_too_long_is_refused_across_the_process(engine: PocketSphinx) -> None:
    assert await hear(engine, wav(silence(0.5)), longest_s=0.6)
    with pytest.raises(MediaTooLong) as caught:
        await hear(engine, wav(silence(0.7)), longest_s=0.6)
    assert caught.value.param == "file"


async def test_an_empty_prompt_is_no_prompt(engine: PocketSphinx) -> None:
    assert await hear(engine, wav(silence(0.5)), prompt="", temperature=0.0)
