"""`/v1/audio/speech`: every format from every engine, as a file or as events, at any pace."""

import io
import json
import math
import time
from base64 import b64decode
from typing import Any

import av
import httpx2
import openai
import pytest

from app.formats.audio import FORMATS, Format
from tests.sounds import Sound, decoded

from .doors import Door

SPEAK = "/v1/audio/speech"
KINDS = {
    "mp3": ("audio/mpeg", "mp3 mpeg_layer_iii"),
    "opus": ("audio/ogg", "ogg opus"),
    "aac": ("audio/aac", "aac"),
    "flac": ("audio/flac", "flac pcm_16"),
    "wav": ("audio/wav", "wav pcm_16"),
    "pcm": ("audio/pcm", "pcm"),
}
WALK = "Let us go for a walk in the park this afternoon, and look at the river. " * 2
ENGINES: dict[str, dict[str, Any]] = {
    "fake": {"model": "fake-speak", "voice": "fake", "input": "!words 60"},
    "espeak-ng": {"model": "espeak-ng", "voice": "nova", "input": WALK},
}


def speak(http: httpx2.Client, **body: Any) -> httpx2.Response:
    answer = http.post(SPEAK, json={**ENGINES["fake"], **body})
    assert answer.status_code == 200, answer.text
    return answer


def heard(http: httpx2.Client, form: Format = "pcm", **body: Any) -> Sound:
    return decoded(speak(http, response_format=form, **body).content, form)


def events(answer: httpx2.Response) -> list[Any]:
    assert answer.headers["content-type"].startswith("text/event-stream")
    told = [line for line in answer.text.split("\n\n") if line and not line.startswith(":")]
    assert all(line.startswith("data: ") for line in told)
    return [json.loads(line.removeprefix("data: ")) for line in told]


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("form", FORMATS)
@pytest.mark.parametrize("streamed", ["audio", "sse"])
def test_another_decoder_hears_what_was_said(
    http: httpx2.Client, engine: str, form: Format, streamed: str
) -> None:
    truth = heard(http, **ENGINES[engine])
    assert truth.seconds > 5
    answer = speak(http, **ENGINES[engine], response_format=form, stream_format=streamed)
    if streamed == "audio":
        assert answer.headers["content-type"] == KINDS[form][0]
        assert answer.headers["transfer-encoding"] == "chunked"
        data = answer.content
    else:
        data = b"".join(b64decode(event.get("audio", "")) for event in events(answer))
    sound = decoded(data, form)
    assert (sound.rate, sound.channels, sound.kind) == (24_000, 1, KINDS[form][1])
    assert sound.seconds == pytest.approx(truth.seconds, rel=0.02)
    assert sound.samples.max() > 4_000


@pytest.mark.parametrize("form", FORMATS)
def test_the_first_sound_leaves_while_the_engine_still_speaks(
    door: Door, http: httpx2.Client, form: Format
) -> None:
    """By the engine's own count of what it works on, not by a clock."""
    body = {**ENGINES["fake"], "input": "!slow 0.6 !words 12", "response_format": form}
    with http.stream("POST", SPEAK, json=body) as answer:
        data = b""
        pieces = answer.iter_raw()
        while not _sounds(data, form):
            data += next(pieces)
        assert door.busy("fake-speak") == 1
        data += b"".join(pieces)
    assert decoded(data, form).seconds == pytest.approx(1.2, abs=0.12)


def _sounds(data: bytes, form: Format) -> bool:
    """Whether there is something to hear in the beginning of a file."""
    if form == "pcm":
        return bool(data)
    try:
        with av.open(io.BytesIO(data), "r") as container:
            return any(frame.samples for frame in container.decode(audio=0))
    except av.FFmpegError:
        return False


def test_a_first_sentence_is_heard_before_the_last_is_made(door: Door, http: httpx2.Client) -> None:
    """espeak is quick: the text is long, and the reader does not hurry."""
    body = {**ENGINES["espeak-ng"], "input": (WALK * 40)[:4096], "response_format": "pcm", "speed": 0.25}
    with http.stream("POST", SPEAK, json=body) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        assert door.busy("espeak-ng") == 1


# --- events ---------------------------------------------------------------------------------------


def test_events_end_with_what_was_used(http: httpx2.Client) -> None:
    told = events(speak(http, input="!words 9", stream_format="sse", response_format="pcm"))
    assert {event["type"] for event in told[:-1]} == {"speech.audio.delta"}
    assert len(told) > 2
    sound = b"".join(b64decode(event["audio"]) for event in told[:-1])
    seconds = len(sound) / 2 / 24_000
    # Characters of the text, and twentieths of a second.
    usage = {"input_tokens": 8, "output_tokens": math.ceil(round(seconds * 20, 2))}
    assert told[-1] == {"type": "speech.audio.done", "usage": {**usage, "total_tokens": 8 + 18}}


def test_events_come_as_they_are_made(door: Door, http: httpx2.Client) -> None:
    body = {**ENGINES["fake"], "input": "!slow 0.6 !words 12", "stream_format": "sse"}
    with http.stream("POST", SPEAK, json=body) as answer:
        lines = answer.iter_lines()  # kept: one that is dropped closes the answer
        assert "speech.audio.delta" in next(lines)
        assert door.busy("fake-speak") == 1


def test_silence_between_events_is_filled(http: httpx2.Client) -> None:
    answer = speak(http, input="!slow 3 !words 2", stream_format="sse")
    assert answer.text.count(": keep-alive\n\n") >= 2
    assert events(answer)[-1]["type"] == "speech.audio.done"


def test_a_failure_on_the_way_is_the_last_event(http: httpx2.Client) -> None:
    told = events(speak(http, input="!slow 0.1 !words 5 !break 2", stream_format="sse"))
    assert told[0]["type"] == "speech.audio.delta"
    assert [event["error"]["code"] for event in told if "error" in event] == ["engine_failed"]
    assert "error" in told[-1]


def test_a_failure_before_the_first_sound_has_a_status(http: httpx2.Client) -> None:
    answer = http.post(SPEAK, json={**ENGINES["fake"], "input": "!bug", "stream_format": "sse"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")


def test_the_sdk_reads_events(sdk: openai.OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="tts", voice="fake", input="!words 3", stream_format="sse", response_format="wav"
    ) as answer:
        told = [json.loads(line.removeprefix("data: ")) for line in answer.iter_lines() if line]
    assert [event["type"] for event in told[-2:]] == ["speech.audio.delta", "speech.audio.done"]


# --- fields ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("speed", [0.25, 0.5, 2, 4])
@pytest.mark.parametrize("engine", ENGINES)
def test_any_engine_speaks_at_any_pace(http: httpx2.Client, engine: str, speed: float) -> None:
    plain, paced = heard(http, **ENGINES[engine]), heard(http, **ENGINES[engine], speed=speed)
    silence = 0.4 if engine == "espeak-ng" else 0.0
    rel = 0.12 if engine == "espeak-ng" else 0.02  # espeak has a pace of its own
    assert (paced.seconds - silence) * speed == pytest.approx(plain.seconds - silence, rel=rel)


def test_null_is_as_good_as_nothing(http: httpx2.Client) -> None:
    nothing = dict.fromkeys(["speed", "response_format", "instructions", "stream_format"])
    answer = speak(http, **nothing)
    assert answer.headers["content-type"] == "audio/mpeg"
    assert decoded(answer.content, "mp3").seconds == pytest.approx(6, rel=0.02)
    assert speak(http, instructions="").content


@pytest.mark.parametrize("engine", ENGINES)
def test_instructions_are_refused_where_they_would_be_ignored(http: httpx2.Client, engine: str) -> None:
    answer = http.post(SPEAK, json={**ENGINES[engine], "instructions": "Whisper."})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "instructions")


def test_a_voice_by_name_or_id(http: httpx2.Client) -> None:
    first = heard(http, **{**ENGINES["espeak-ng"], "voice": {"id": "onyx"}})
    assert first.seconds == pytest.approx(
        heard(http, **{**ENGINES["espeak-ng"], "voice": "onyx"}).seconds, 0.02
    )


def test_two_speak_at_once(door: Door, http: httpx2.Client) -> None:
    body = {**ENGINES["fake"], "input": "!slow 0.1 !words 8", "response_format": "pcm"}
    with http.stream("POST", SPEAK, json=body) as one, http.stream("POST", SPEAK, json=body) as other:
        deadline = time.monotonic() + 10
        while door.busy("fake-speak") < 2 and time.monotonic() < deadline:
            time.sleep(0.01)
        assert len(one.read()) == len(other.read())
