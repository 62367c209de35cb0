"""Whisper's true code, over a tiny checkpoint, through the door: every format that it must feed.

It has a door of its own whatever `--door` says: the other doors' fleet is of what ships with Motley.
"""

import time
from collections.abc import Iterator
from typing import Any

import openai
import pytest
from openai.types.audio import TranscriptionTextDeltaEvent, TranscriptionTextDoneEvent

from app.formats.audio import encode_whole
from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.contract.results import Pcm
from backends.fleet.schema import Fleet
from tests.whisper.checkpoint import made

from .doors import Served

SECONDS = 45
TONE = ("tone.wav", encode_whole([Pcm(b"\x00\x10\x00\xf0" * 8000 * SECONDS, 16_000)], "wav"))
# Random weights are never sure of anything.
OPTIONS: dict[str, Any] = {
    **{"vad": False, "threads": 1, "beam_size": 1, "max_new_tokens": 24},
    **{"log_prob_threshold": None, "compression_ratio_threshold": None, "no_speech_threshold": None},
}


@pytest.fixture(scope="module")
def sdk() -> Iterator[openai.OpenAI]:
    model = {"task": "transcribe", "engine": "faster-whisper", "source": f"file://{made()}"}
    fleet = Fleet.model_validate({
        "version": 1,
        "nodes": {"here": {}},
        "models": {"whisper": {**model, "options": OPTIONS, "place": {"node": "here"}}},
    })  # fmt: skip
    upstream = LocalUpstream.from_fleet(fleet)
    served = Served(create_app(Settings(_env_file=None), fleet, upstream))
    while not all(state.ready for state in upstream.states().values()):
        assert not any(state.readiness == "down" for state in upstream.states().values())
        time.sleep(0.01)
    with openai.OpenAI(base_url=f"{served.base_url}/v1", api_key="none", max_retries=0) as client:
        yield client
    served.close()


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


def test_captions(sdk: openai.OpenAI) -> None:
    for form, begins in (("srt", "1\n00:00:"), ("vtt", "WEBVTT\n\n00:0")):
        text: Any = sdk.audio.transcriptions.create(model="whisper", file=TONE, response_format=form)  # type: ignore[call-overload]
        assert text.startswith(begins)
        assert " --> " in text


def test_logprobs(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper", file=TONE, include=["logprobs"])
    assert heard.logprobs
    assert all(
        one.token is not None and one.logprob is not None and one.logprob < 0 for one in heard.logprobs
    )


def test_a_stream_tells_what_it_hears(sdk: openai.OpenAI) -> None:
    events = list(sdk.audio.transcriptions.create(model="whisper", file=TONE, stream=True))
    *deltas, done = events
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert len(deltas) > 1
    assert "".join(one.delta for one in deltas if isinstance(one, TranscriptionTextDeltaEvent)) == done.text


def test_a_translation_is_another_text(sdk: openai.OpenAI) -> None:
    spoken = sdk.audio.transcriptions.create(model="whisper", file=TONE, language="de")
    with pytest.warns(DeprecationWarning, match="deprecated"):  # the SDK's own opinion of translations
        english = sdk.audio.translations.create(model="whisper", file=TONE)
    assert english.text not in ("", spoken.text)


def test_what_the_model_tells_of_itself(sdk: openai.OpenAI) -> None:
    told = sdk.models.retrieve("whisper").model_dump()
    assert "'device': 'cpu'" in str(told)
