"""Speech and transcription."""

import io
import os
import wave

import httpx2
import openai
import pytest

SPEAK, HEAR = "/v1/audio/speech", "/v1/audio/transcriptions"
SOUND = ("a.wav", b"RIFF and what follows", "audio/wav")


def speak(http: httpx2.Client, **body: object) -> httpx2.Response:
    answer = http.post(SPEAK, json={"model": "fake-speak", "input": "hello", "voice": "fake", **body})
    assert answer.status_code == 200, answer.text
    return answer


def test_the_sdk_saves_a_wav(sdk: openai.OpenAI) -> None:
    with sdk.audio.speech.with_streaming_response.create(
        model="tts", voice="fake", input="!words 5", response_format="wav"
    ) as answer:
        assert answer.headers["content-type"] == "audio/wav"
        sound = answer.read()
    with wave.open(io.BytesIO(sound)) as file:
        assert (file.getnchannels(), file.getsampwidth()) == (1, 2)
        # A stream cannot know its length: the header says as much as it can, the bytes are there.
        assert len(sound) > 2 * file.getframerate() * 0.4


def test_mp3_is_the_default_and_pcm_is_bare(http: httpx2.Client) -> None:
    mp3 = speak(http)
    assert mp3.headers["content-type"] == "audio/mpeg"
    assert mp3.content[:3] == b"ID3" or mp3.content[0] == 0xFF
    pcm = speak(http, response_format="pcm", input="!words 2")
    assert pcm.headers["content-type"].startswith("audio/")
    # 0.2 s of speech at OpenAI's 24 kHz, 16 bits
    assert len(pcm.content) == pytest.approx(0.2 * 24_000 * 2, rel=0.05)


@pytest.mark.parametrize(
    ("form", "kind", "magic"),
    [("opus", "audio/ogg", b"OggS"), ("flac", "audio/flac", b"fLaC"), ("aac", "audio/aac", b"\xff\xf1")],
)
def test_other_formats(http: httpx2.Client, form: str, kind: str, magic: bytes) -> None:
    answer = speak(http, response_format=form)
    assert answer.headers["content-type"] == kind
    assert answer.content.startswith(magic)


def test_a_voice_by_id(http: httpx2.Client) -> None:
    assert speak(http, voice={"id": "fake"}, speed=2, stream_format="audio").content


def test_4096_characters(http: httpx2.Client) -> None:
    assert speak(http, input="x" * 4096, response_format="pcm").content


def hear(http: httpx2.Client, **form: object) -> httpx2.Response:
    answer = http.post(HEAR, data={"model": "fake-transcribe", **form}, files={"file": SOUND})
    assert answer.status_code == 200, answer.text
    return answer


def test_the_sdk_transcribes(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper", file=SOUND)
    assert heard.text == "word0 word1 word2"


def test_text(http: httpx2.Client) -> None:
    answer = hear(http, response_format="text")
    assert answer.headers["content-type"].startswith("text/plain")
    assert answer.text.strip() == "word0 word1 word2"


def test_verbose_json(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(model="whisper", file=SOUND, response_format="verbose_json")
    assert heard.text == "word0 word1 word2"
    assert float(heard.duration) == 3.0
    assert heard.language
    assert [(s.start, s.end, s.text.strip()) for s in heard.segments or []][1] == (1.0, 2.0, "word1")
    assert not heard.words


def test_word_times(sdk: openai.OpenAI) -> None:
    heard = sdk.audio.transcriptions.create(
        model="whisper",
        file=SOUND,
        response_format="verbose_json",
        timestamp_granularities=["word", "segment"],
    )
    assert [(word.word, word.start, word.end) for word in heard.words or []][2] == ("word2", 2.0, 2.5)
    assert heard.segments


def test_word_times_alone(http: httpx2.Client) -> None:
    body = hear(http, response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()
    assert len(body["words"]) == 3
    assert "segments" not in body


@pytest.mark.parametrize("name", ["ünïcode ☂.wav", "upload", "no extension"])
def test_file_names_do_not_matter(http: httpx2.Client, name: str) -> None:
    files = {"file": (name, b"RIFF", "application/octet-stream")}
    assert http.post(HEAR, data={"model": "whisper"}, files=files).json()["text"]


def test_an_upload_of_20_mb(http: httpx2.Client) -> None:
    files = {"file": ("long.wav", os.urandom(20_000_000), "audio/wav")}
    answer = http.post(HEAR, data={"model": "whisper", "language": "", "prompt": "!words 2"}, files=files)
    assert answer.json()["text"] == "word0 word1"
