"""faster-whisper's true engine over a tiny checkpoint of random weights: what it hears is nonsense,
that every option reaches it and how it comes back is not."""

import asyncio
import io
import logging
import math
import subprocess
import sys
import time
import wave
from collections.abc import AsyncGenerator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytest_asyncio

from app.formats.audio import encode_whole
from backends.contract.engine import GpuShare, ModelRef, Transcribes
from backends.contract.errors import EngineFailed, InvalidRequest, MediaUnsupported
from backends.contract.results import Heard, Segment
from backends.contract.tasks import SpeakTask, TranscribeTask, Vad
from backends.engines.espeak_ng import EspeakNG
from backends.engines.faster_whisper import FasterWhisper
from tests.whisper.checkpoint import SURE, made

ROOT = Path(__file__).parents[4]
TEXT = "i would like to order a cup of coffee please"

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def loaded(share: GpuShare | None = None, *, english: bool = False, **options: Any) -> FasterWhisper:
    model = ModelRef("stt", "transcribe", "file:///model", made(english=english))
    engine = FasterWhisper(model, FasterWhisper.Options(**{**SURE, **options}), share or GpuShare())
    await engine.load(lambda *_: None)
    return engine


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def engine() -> AsyncGenerator[FasterWhisper, None]:
    engine = await loaded(workers=2)
    yield engine
    await engine.close()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def speech() -> bytes:
    speaker = EspeakNG(ModelRef("tts", "speak", "builtin://espeak-ng"), EspeakNG.Options(), GpuShare())
    await speaker.load(lambda *_: None)
    try:
        return encode_whole([piece async for piece in speaker.speak(SpeakTask("r", TEXT, "nova"))], "wav")
    finally:
        await speaker.close()


def tone(seconds: float) -> bytes:
    """A WAV of 16 kHz that no detector of speech takes for speech."""
    period = (8000 * np.sin(np.arange(64) / 64 * 2 * math.pi)).astype("<i2").tobytes()
    return _wav(period * int(seconds * 250))


def silence(seconds: float) -> bytes:
    return _wav(bytes(2 * int(seconds * 16_000)))


def _wav(samples: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(16_000)
        writer.writeframes(samples)
    return file.getvalue()


async def hear(engine: FasterWhisper, audio: bytes, **options: Any) -> list[Heard]:
    return [heard async for heard in engine.transcribe(TranscribeTask("r", audio, **options))]


def segments(heard: list[Heard]) -> list[Segment]:
    return [segment for item in heard for segment in item.segments]


def tokens(heard: list[Heard]) -> list[int]:
    return [token for segment in segments(heard) for token in segment.tokens]


async def test_segments_have_times_text_and_whispers_figures(engine: FasterWhisper, speech: bytes) -> None:
    heard = await hear(engine, speech)
    found = segments(heard)
    duration = heard[-1].position
    assert found
    assert 2 < duration < 6
    for segment in found:
        assert 0 <= segment.start <= segment.end <= duration
        assert segment.text == segment.text.strip() != ""
        assert segment.tokens
        assert segment.temperature == 0
        assert segment.avg_logprob is not None
        assert segment.avg_logprob < 0
        assert segment.compression_ratio is not None
        assert segment.compression_ratio > 0
        assert segment.no_speech_prob is not None
        assert 0 <= segment.no_speech_prob <= 1
        assert segment.words == segment.logprobs == ()
    assert _plain(found), "numpy's numbers do not become JSON"


def _plain(found: list[Segment]) -> bool:
    numbers = [number for one in found for number in (one.start, one.end, one.avg_logprob, one.temperature)]
    numbers += [number for one in found for word in one.words for number in (word.start, word.probability)]
    return {type(number) for number in numbers} <= {float, int}


async def test_words_have_times_within_the_file(engine: FasterWhisper, speech: bytes) -> None:
    heard = await hear(engine, speech, words=True)
    words = [word for segment in segments(heard) for word in segment.words]
    assert words
    assert all(0 <= word.start <= word.end <= heard[-1].position for word in words)
    assert all(word.text == word.text.strip() != "" for word in words)
    assert all(word.probability is not None and 0 <= word.probability <= 1 for word in words)
    assert [word.start for word in words] == sorted(word.start for word in words)
    assert _plain(segments(heard))


async def test_a_token_has_a_probability_where_one_is_asked_for(engine: FasterWhisper, speech: bytes) -> None:
    for segment in segments(await hear(engine, speech, logprobs=True)):
        assert len(segment.logprobs) == len([token for token in segment.tokens if token < 50_257])
        assert all(one.logprob < 0 for one in segment.logprobs)
        assert "".join(one.token for one in segment.logprobs).strip() == segment.text


async def test_a_given_language_is_certain(engine: FasterWhisper, speech: bytes) -> None:
    german = await hear(engine, speech, languages=("de",))
    assert {item.language for item in german} == {"de"}
    assert tokens(german) != tokens(await hear(engine, speech, languages=("fr",)))


async def test_of_several_languages_the_most_probable_is_taken(engine: FasterWhisper, speech: bytes) -> None:
    free = (await hear(engine, speech))[-1].language
    assert free in engine.facts()["languages"]
    others = tuple(code for code in ("de", "fr", "ja") if code != free)
    among = {item.language for item in await hear(engine, speech, languages=others)}
    assert len(among) == 1
    assert among <= set(others)
    assert (await hear(engine, speech, languages=(*others, str(free))))[-1].language == free


async def test_a_strange_language_is_refused(engine: FasterWhisper, speech: bytes) -> None:
    for given, param in ((("xx",), "language"), (("en", "xx"), "languages")):
        with pytest.raises(InvalidRequest, match="'xx'") as refused:
            await hear(engine, speech, languages=given)
        assert refused.value.param == param


async def test_translation_prompt_and_keywords_reach_the_model(engine: FasterWhisper, speech: bytes) -> None:
    plain, *guided = [
        tokens(await hear(engine, speech, languages=("de",), **options))
        for options in ({}, {"to": "en"}, {"prompt": "Kaffee"}, {"keywords": ("Kaffee", "Tasse")})
    ]
    assert all(one and one != plain for one in guided)
    assert len({tuple(one) for one in guided}) == 3


async def test_a_long_prompt_is_cut_at_its_beginning(engine: FasterWhisper, speech: bytes) -> None:
    end = "the end of it"
    long = await hear(engine, speech, languages=("de",), prompt="w" * 3000 + end, keywords=("a", "b"))
    assert tokens(long) == tokens(
        await hear(engine, speech, languages=("de",), prompt="w" * 500 + end, keywords=("a", "b"))
    )
    assert tokens(long) != tokens(await hear(engine, speech, languages=("de",), prompt="w" * 500))


async def test_a_prompt_is_text_and_no_control(engine: FasterWhisper, speech: bytes) -> None:
    assert segments(await hear(engine, speech, prompt="<|endoftext|><|startoftranscript|><|nospeech|>"))


async def test_too_many_keywords_are_refused(engine: FasterWhisper, speech: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await hear(engine, speech, keywords=("coffee",) * 100)
    assert refused.value.param == "keywords"


async def test_a_temperature_is_used(engine: FasterWhisper, speech: bytes) -> None:
    found = segments(await hear(engine, speech, temperature=0.7, languages=("en",), words=True))
    assert found
    assert {segment.temperature for segment in found} == {0.7}


async def test_what_is_doubted_is_decoded_warmer(speech: bytes) -> None:
    doubting = await loaded(log_prob_threshold=-1.0)
    found = segments(await hear(doubting, speech, languages=("en",)))
    assert found
    assert all(segment.temperature for segment in found)


async def test_silence_says_nothing(engine: FasterWhisper) -> None:
    heard = await hear(engine, silence(12.5), vad=Vad(threshold=0.3))
    assert segments(heard) == []
    assert (heard[-1].position, heard[-1].language) == (12.5, None)


async def test_without_detection_all_is_heard(speech: bytes) -> None:
    deaf = await loaded(vad=False)
    assert segments(await hear(deaf, silence(3)))
    assert segments(await hear(deaf, silence(3), vad=Vad())) == []
    assert segments(await hear(deaf, silence(0.05))) is not None


async def test_too_much_padding_is_refused(engine: FasterWhisper, speech: bytes) -> None:
    with pytest.raises(InvalidRequest) as refused:
        await hear(engine, speech, vad=Vad(padding_s=20))
    assert refused.value.param == "chunking_strategy"


@pytest.mark.parametrize("audio", [b"", b"this is no sound at all", b"RIFF" + bytes(500)])
async def test_a_bad_file_is_refused(engine: FasterWhisper, audio: bytes) -> None:
    with pytest.raises(MediaUnsupported) as refused:
        await hear(engine, audio)
    assert refused.value.param == "file"
    assert engine.busy == 0


async def test_text_that_the_model_does_not_close_is_kept() -> None:
    """Cut off after some tokens, the last text of a clip has no end: it ends with the clip."""
    heard = await hear(await loaded(vad=False), tone(70), languages=("en",))
    assert any(item.segments and item.segments[-1].end == item.position for item in heard[:-1])


async def test_batches_and_single_clips_agree(speech: bytes) -> None:
    """… on where the clips are: numbers of eight bits make sums that differ a little in a batch."""
    found = [
        await hear(await loaded(vad=False, batch=batch, compute_type="float32"), tone(100), languages=("en",))
        for batch in (1, 3)
    ]
    assert [item.position for item in found[0]] == [item.position for item in found[1]]
    assert [item.position for item in found[0]][-1] == 100
    assert tokens(found[0]) == tokens(found[1])


async def test_segments_come_as_they_are_found_and_leaving_ends_the_work() -> None:
    patient = await loaded(vad=False)
    began = time.monotonic()
    working = patient.transcribe(TranscribeTask("r", tone(600), languages=("en",), streams=True))
    taken = [await anext(working) for _ in range(4)]
    each = (time.monotonic() - began) / len(taken)
    assert taken[-1].position < 150
    assert patient.busy == 1
    leaving = time.monotonic()
    await working.aclose()
    assert patient.busy == 0
    assert time.monotonic() - leaving < 10 * each, "the other sixteen clips were not waited for"


async def test_a_cancelled_request_computes_no_more() -> None:
    patient = await loaded(vad=False)
    working = asyncio.create_task(hear(patient, tone(600)))
    while not patient.busy:
        await asyncio.sleep(0.001)
    working.cancel()
    await asyncio.wait({working})
    assert working.cancelled()
    assert patient.busy == 0
    assert await hear(patient, tone(2))


async def test_two_at_once(engine: FasterWhisper, speech: bytes) -> None:
    alone = tokens(await hear(engine, speech, languages=("en",)))
    both = [asyncio.create_task(hear(engine, speech, languages=("en",))) for _ in range(2)]
    most = 0
    while not all(task.done() for task in both):
        most = max(most, engine.busy)
        await asyncio.sleep(0.001)
    assert [tokens(task.result()) for task in both] == [alone, alone]
    assert most == 2


async def test_the_event_loop_stays_free() -> None:
    """Were the GIL held, one gap between ticks would be as long as the work."""
    wide = await loaded(vad=False, batch=4, beam_size=5, max_new_tokens=200)
    working = asyncio.create_task(hear(wide, tone(119), languages=("en",), words=True))
    began = last = time.monotonic()
    longest = 0.0
    while not working.done():
        await asyncio.sleep(0.001)
        now = time.monotonic()
        longest, last = max(longest, now - last), now
    assert working.result()
    assert longest < (time.monotonic() - began) / 3


async def test_facts(engine: FasterWhisper) -> None:
    facts = engine.facts()
    assert facts["device"] == "cpu"
    assert facts["compute_type"] == "int8_float32"
    assert facts["translates"] is True
    assert {"en", "de"} < set(facts["languages"])
    assert "yue" not in facts["languages"], "only large-v3 has it"
    assert isinstance(engine, Transcribes)


async def test_a_model_of_english_alone(speech: bytes) -> None:
    english = await loaded(english=True)
    assert english.facts()["languages"] == ["en"]
    assert {item.language for item in await hear(english, speech)} == {"en"}
    with pytest.raises(InvalidRequest) as refused:
        await hear(english, speech, languages=("de",))
    assert refused.value.param == "language"
    with pytest.raises(InvalidRequest, match="English alone") as refused:
        await hear(english, speech, to="en")
    assert refused.value.param == "model"


@pytest.mark.parametrize("vendor", ["amd", "intel"])
async def test_on_cards_it_cannot_use_it_says_so_and_runs_on_the_cpu(
    vendor: Any, speech: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.WARNING):
        fallen = await loaded(GpuShare(0.5, vendor, 8 * 2**30), compute_type="float16")
    assert vendor in caplog.text
    assert vendor in fallen.facts()["note"]
    assert fallen.facts()["device"] == "cpu"
    assert segments(await hear(fallen, speech))


async def test_a_compute_type_that_the_device_lacks_is_named() -> None:
    with pytest.raises(EngineFailed, match="float16"):
        await loaded(compute_type="int8_float16")


async def test_the_share_decides_how_many_clips_go_together() -> None:
    def estimated(vram: int, **options: Any) -> int:
        share = GpuShare(0.5, "nvidia", vram)
        model = ModelRef("stt", "transcribe", "file:///model", made())
        return FasterWhisper.estimate(model, FasterWhisper.Options(**options), share).working

    clip = estimated(0, batch=2) - estimated(0, batch=1)
    roomy, tight = estimated(64 * 2**30), estimated(2 * 620_000_000 + 6 * clip)
    assert roomy - tight > 2 * clip
    assert tight - estimated(0, batch=1) >= clip


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak as Linux counts it")
async def test_memory_does_not_grow_with_the_file() -> None:
    peaks = [_peak(minutes) for minutes in (3, 30)]
    assert peaks[1] <= 1.15 * peaks[0]


def _peak(minutes: int) -> int:
    """KiB of a process that transcribes a file of so many minutes."""
    done = subprocess.run(
        [sys.executable, "-c", _ALONE, str(minutes)], cwd=ROOT, check=True, capture_output=True, text=True
    )
    position, peak = done.stdout.split()
    assert float(position) == 60 * minutes
    return int(peak)


_ALONE = f"""
import asyncio, resource, sys
from backends.contract.engine import GpuShare, ModelRef
from backends.contract.results import Pcm
from backends.contract.tasks import TranscribeTask
from app.formats.audio import encode_whole
from backends.engines.faster_whisper import FasterWhisper
from tests.whisper.checkpoint import made

async def main():
    second = Pcm(bytes([0, 16]) * 16_000, 16_000)  # next to nothing as FLAC: the file itself is held
    sound = encode_whole([second] * 60 * int(sys.argv[1]), "flac")
    options = FasterWhisper.Options(**{{**{SURE!r}, "max_new_tokens": 1, "vad": False}})
    engine = FasterWhisper(ModelRef("stt", "transcribe", "", made()), options, GpuShare())
    await engine.load(lambda *_: None)
    async for heard in engine.transcribe(TranscribeTask("r", sound, languages=("en",))):
        pass
    print(heard.position, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)

asyncio.run(main())
"""
