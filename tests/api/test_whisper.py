"""Whisper's true code, over a tiny checkpoint, through a door: what it alone tells and does. That its
formats have the shapes of every engine's is in `test_transcriptions`."""

from collections.abc import Iterator

import openai
import pytest

from app.formats.audio import encode_whole
from tests.sounds import tone

from .doors import Door, by_sdk

SECONDS = 45
TONE = ("tone.wav", encode_whole([tone(SECONDS)], "wav"), "audio/wav")


@pytest.fixture
def sdk(whisper: Door) -> Iterator[openai.OpenAI]:
    with by_sdk(whisper) as client:
        yield client


def test_verbose_json_has_whispers_figures_and_both_granularities(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(
        model="whisper",
        file=TONE,
        language="de",
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert heard.language == "german"
    assert float(heard.duration) == SECONDS
    assert heard.segments
    assert heard.words
    assert all(0 <= one.start <= one.end <= SECONDS and one.tokens for one in heard.segments)
    assert all(one.avg_logprob < 0 and one.compression_ratio > 0 for one in heard.segments)
    assert all(0 <= one.start <= one.end <= SECONDS for one in heard.words)
    assert heard.text == " ".join(one.text.strip() for one in heard.segments)


def test_the_language_is_found(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper", file=TONE, response_format="verbose_json")
    assert heard.language not in ("", "und")


def test_logprobs(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper", file=TONE, include=["logprobs"])
    assert heard.logprobs
    assert all(
        one.token is not None and one.logprob is not None and one.logprob < 0 for one in heard.logprobs
    )


def test_a_translation_is_another_text(sdk: openai.OpenAI) -> None:
    spoken = sdk.audio.transcriptions.create(model="whisper", file=TONE, language="de")
    with pytest.warns(DeprecationWarning, match="deprecated"):  # the SDK's own opinion of translations
        english = sdk.audio.translations.create(model="whisper", file=TONE)
    assert english.text not in ("", spoken.text)


def test_what_the_model_tells_of_itself(sdk: openai.OpenAI) -> None:
    told = sdk.models.retrieve("whisper").model_dump()
    assert "'device': 'cpu'" in str(told)
