"""Voices made from a recording: made, listed, spoken in, deleted."""

import io
import shutil
import subprocess
import textwrap
from collections.abc import Iterator
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from app.formats.audio import encode_whole
from backends.contract.results import Pcm
from tests.sounds import tone

from .doors import Door

VOICES, SPEAK = "/v1/audio/voices", "/v1/audio/speech"
CONSENT = "I, the speaker, agree that my voice is used for the kitchen."
SAMPLE = encode_whole([tone(7)], "wav")


@pytest.fixture
def made(http: httpx2.Client) -> Iterator[dict[str, Any]]:
    answer = post(http)
    assert answer.status_code == 200, answer.text
    yield answer.json()
    http.delete(f"{VOICES}/{answer.json()['id']}")


def post(
    http: httpx2.Client, sample: Any = SAMPLE, field: str = "audio_sample", **form: Any
) -> httpx2.Response:
    data = {"name": "Kitchen", "consent": CONSENT, **form}
    data = {name: value for name, value in data.items() if value is not None}
    files = {field: ("sample.wav", sample, "audio/wav")} if sample is not None else {"x": ("", b"")}
    return http.post(VOICES, data=data, files=files)


def say(http: httpx2.Client, voice: Any, model: str = "fake-clone", **body: Any) -> httpx2.Response:
    text = {"input": "!words 3", "response_format": "pcm", **body}
    return http.post(SPEAK, json={"model": model, "voice": voice, **text})


def refused(answer: httpx2.Response, status: int, param: str | None, code: str = "invalid_request") -> str:
    error = answer.json()["error"]
    assert (answer.status_code, error["param"], error["code"]) == (status, param, code), answer.text
    return str(error["message"])


def test_a_voice_has_openais_shape(http: httpx2.Client, made: dict[str, Any]) -> None:
    assert made.keys() == {"object", "id", "name", "created_at", "type"}
    assert (made["object"], made["name"], made["type"]) == ("audio.voice", "Kitchen", "audio_sample")
    assert http.get(f"{VOICES}/{made['id']}").json() == made


def test_it_is_spoken_in(http: httpx2.Client, made: dict[str, Any]) -> None:
    """The fake says the beginning of the recording at each step: the bytes reached the engine."""
    for voice in (made["id"], {"id": made["id"]}):
        answer = say(http, voice)
        assert answer.status_code == 200, answer.text
        samples = np.frombuffer(answer.content, "<i2")
        assert len(samples) / 24_000 == pytest.approx(0.3, rel=0.05)
        assert samples.max() > 8_000
    assert say(http, made["id"], speed=2, stream_format="sse").text.count("speech.audio.done") == 1


def test_it_is_listed_with_the_models_that_can(http: httpx2.Client, made: dict[str, Any]) -> None:
    listed = http.get(VOICES).json()["voices"]
    assert {**made, "model": "fake-clone"} in listed
    assert {"id": "fake", "name": "fake", "model": "fake-speak"} in listed
    assert made["id"] in [
        voice["id"] for voice in http.get(VOICES, params={"model": "fake-clone"}).json()["voices"]
    ]
    others = http.get(VOICES, params={"model": "fake-speak"}).json()["voices"]
    assert [voice["id"] for voice in others] == ["fake"]


def test_the_same_recording_under_the_same_name_is_the_same_voice(
    http: httpx2.Client, made: dict[str, Any]
) -> None:
    assert post(http).json() == made
    # … whatever it was wrapped in.
    flac = encode_whole([tone(7, 24_000)], "flac")
    first, again = post(http, encode_whole([tone(7, 24_000)], "wav")), post(http, flac)
    assert first.json() == again.json()
    other = post(http, name="Bathroom").json()
    assert other["id"] != made["id"]
    for voice in (first.json(), other):
        assert http.delete(f"{VOICES}/{voice['id']}").status_code == 200


def test_a_deleted_voice_speaks_no_more(http: httpx2.Client) -> None:
    voice = post(http, name="Short-lived").json()["id"]
    assert say(http, voice).status_code == 200
    gone = http.delete(f"{VOICES}/{voice}").json()
    assert gone == {"id": voice, "deleted": True, "object": "audio.voice.deleted"}
    refused(say(http, voice), 400, "voice")
    for again in (http.delete(f"{VOICES}/{voice}"), http.get(f"{VOICES}/{voice}")):
        refused(again, 404, "voice_id", "voice_not_found")


@pytest.mark.parametrize("model", ["fake-speak", "espeak-ng"])
def test_a_model_that_cannot_says_so(http: httpx2.Client, made: dict[str, Any], model: str) -> None:
    assert "sample" in refused(say(http, made["id"], model), 400, "voice")


def test_the_sdk(sdk: openai.OpenAI) -> None:
    voice = sdk.audio.voices.create(name="SDK", consent=CONSENT, audio_sample=("a.wav", io.BytesIO(SAMPLE)))
    assert (voice.object, voice.type, voice.name) == ("audio.voice", "audio_sample", "SDK")
    sound = sdk.audio.speech.create(model="fake-clone", voice={"id": voice.id}, input="!words 2")
    assert sound.read()
    assert sdk.audio.voices.delete(voice.id).deleted


@pytest.mark.parametrize("form", ["mp3", "opus", "aac", "flac"])
def test_any_container(http: httpx2.Client, form: Any) -> None:
    voice = post(http, encode_whole([tone(8)], form), field="file", name=form, language="de")
    assert voice.status_code == 200, voice.text
    assert http.delete(f"{VOICES}/{voice.json()['id']}").status_code == 200


BAD: dict[str, tuple[dict[str, Any], int, str, str]] = {
    "too short": ({"sample": encode_whole([tone(5)], "wav")}, 400, "audio_sample", "invalid_request"),
    "too long": ({"sample": encode_whole([tone(31)], "wav")}, 400, "audio_sample", "invalid_request"),
    "silent": (
        {"sample": encode_whole([Pcm(bytes(2 * 7 * 24_000), 24_000)], "wav")},
        400, "audio_sample", "invalid_request",
    ),
    "no sound": ({"sample": b"%PDF-1.7 and more"}, 400, "audio_sample", "unsupported_media"),
    "empty": ({"sample": b""}, 400, "audio_sample", "unsupported_media"),
    "no file": ({"sample": None}, 400, "audio_sample", "invalid_request"),
    "a string": ({"sample": None, "audio_sample": "sample.wav"}, 400, "audio_sample", "invalid_request"),
    "too large": ({"sample": bytes(11 * 2**20)}, 413, "audio_sample", "body_too_large"),
    "no name": ({"name": None}, 400, "name", "invalid_request"),
    "a blank name": ({"name": "  "}, 400, "name", "invalid_request"),
    "a long name": ({"name": "x" * 101}, 400, "name", "invalid_request"),
    "no consent": ({"consent": None}, 400, "consent", "invalid_request"),
    "blank consent": ({"consent": " "}, 400, "consent", "invalid_request"),
    "a language": ({"language": "klingon"}, 400, "language", "invalid_request"),
    "a prompt": ({"type": "prompt"}, 400, "type", "invalid_request"),
    "unknown": ({"pitch": "high"}, 400, "pitch", "invalid_request"),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_what_is_no_voice_is_refused(http: httpx2.Client, case: str) -> None:
    given, status, param, code = BAD[case]
    refused(post(http, **given), status, param, code)


def test_ids_are_no_paths(http: httpx2.Client) -> None:
    for voice in ("nobody", "voice_zz", "..%2f..%2fetc%2fpasswd", "voice_" + "0" * 32):
        answer = http.get(f"{VOICES}/{voice}")
        assert answer.status_code == 404, answer.text


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
def test_curl(door: Door, tmp_path: Any) -> None:
    (tmp_path / "sample.wav").write_bytes(SAMPLE)
    script = f"""
        set -e
        id=$(curl -sf "$URL{VOICES}" -H "Authorization: Bearer $KEY" -F name=curl -F "consent=yes, I agree" \\
            -F "audio_sample=@sample.wav;type=audio/x-wav" | sed 's/.*"id":"\\([^"]*\\)".*/\\1/')
        curl -sf "$URL{SPEAK}" -H "Authorization: Bearer $KEY" -H "Content-Type: application/json" \\
            -o out.mp3 \\
            -d "{{\\"model\\": \\"fake-clone\\", \\"input\\": \\"Hello.\\", \\"voice\\": \\"$id\\"}}"
        curl -sf -X DELETE "$URL{VOICES}/$id" -H "Authorization: Bearer $KEY"
    """
    done = subprocess.run(
        ["sh", "-c", textwrap.dedent(script)],
        check=False,
        cwd=tmp_path,
        env={"URL": door.base_url, "KEY": door.key, "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert '"deleted":true' in done.stdout
    assert (tmp_path / "out.mp3").stat().st_size > 500
