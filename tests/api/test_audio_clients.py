"""Hearing and speaking as people's clients do it: the SDK, openai-node, curl. Each gets every format,
is told what is wrong with a recording, and ends the work when it leaves."""

import json
import subprocess
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import Any

import openai
import pytest

from app.formats.audio import FORMATS, Format, encode_whole
from tests.clients import programs
from tests.sounds import decoded, tone, wav

from .doors import Door, by_sdk
from .wire import SOON, seconds_until_idle, wait_until_busy

SPEAK, HEAR = "/v1/audio/speech", "/v1/audio/transcriptions"
GOLDEN = Path(__file__).parents[1] / "data" / "transcripts"
SOUND = b"RIFF and more"  # enough for a fake
LONG = "!slow 0.3 !words 60"
JSON = ("-H", "content-type: application/json", "-d")


def node(door: Door, model: str, *parts: str, **more: str) -> dict[str, Any]:
    return programs.told("with_audio.mjs", *parts, url=door.base_url, key=door.key, model=model, **more)


def curl(door: Door, path: str, *more: str) -> list[str]:
    return ["curl", "-sSN", f"{door.base_url}{path}", "-H", f"Authorization: Bearer {door.key}", *more]


# --- what openai-node makes of the formats ---------------------------------------------------------


@pytest.fixture(scope="module")
def hears(door: Door, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    folder = tmp_path_factory.mktemp("sounds")
    (folder / "ünïcode ☂").write_bytes(SOUND)
    parts = ("formats", "stream", "translated")
    return node(door, "fake-transcribe", *parts, sounds=str(folder), prompt=golden("script.txt"))


def golden(name: str) -> Any:
    text = (GOLDEN / name).read_text()
    return json.loads(text) if name.endswith(".json") else text


def test_openai_node_gets_every_format(hears: dict[str, Any]) -> None:
    told = hears["formats"]
    assert (told["text"], told["srt"], told["vtt"]) == tuple(
        map(golden, ("whole.txt", "whole.srt", "whole.vtt"))
    )
    assert told["verbose_json"] == golden("whole.json")
    assert told["json"]["text"] + "\n" == golden("whole.txt")
    assert told["json"] == told["from_memory"]


def test_openai_node_reads_a_stream(hears: dict[str, Any]) -> None:
    lines = "".join(
        f"data: {json.dumps(e, ensure_ascii=False, separators=(',', ':'))}\n\n" for e in hears["stream"]
    )
    assert lines == golden("whole.sse")


def test_openai_node_translates(hears: dict[str, Any]) -> None:
    told, whole = hears["translated"], golden("whole.json")
    assert (told["text"], told["srt"], told["vtt"]) == tuple(
        map(golden, ("whole.txt", "whole.srt", "whole.vtt"))
    )
    assert told["json"]["text"] + "\n" == golden("whole.txt")
    del whole["words"]
    assert told["verbose_json"] == {**whole, "task": "translate"}


def test_openai_node_saves_a_file_and_reads_events(door: Door) -> None:
    told = node(door, "espeak-ng", "saves", "events")
    assert told["saves"]["kind"] == "audio/wav"
    file, seen = decoded(b64decode(told["saves"]["content"]), "wav"), told["events"]
    assert (file.rate, file.channels) == (24_000, 1)
    seconds = seen["bytes"] / 2 / 24_000
    assert (file.seconds - 0.4) * 0.8 == pytest.approx(seconds - 0.4, rel=0.12)  # 0.4 s of silence in each
    assert set(seen["types"][:-1]) == {"speech.audio.delta"}
    assert seen["types"][-1] == "speech.audio.done"
    assert seen["usage"]["output_tokens"] == pytest.approx(seconds * 20, abs=1)


# --- curl ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMATS)
def test_curl_saves_a_file(door: Door, tmp_path: Path, form: Format) -> None:
    body = {"model": "tts", "voice": "fake", "input": "!words 60", "response_format": form}
    file = tmp_path / "spoken"
    subprocess.run(curl(door, SPEAK, *JSON, json.dumps(body), "-o", str(file)), check=True, timeout=60)
    sound = decoded(file.read_bytes(), form)
    assert (sound.rate, sound.channels) == (24_000, 1)
    assert sound.seconds == pytest.approx(6, rel=0.02)


def test_curl_reads_events(door: Door) -> None:
    body = {**{"model": "tts", "voice": "fake", "input": "!words 60"}, "stream_format": "sse"}
    done = subprocess.run(
        curl(door, SPEAK, *JSON, json.dumps(body)), capture_output=True, check=True, timeout=60
    )
    told = [json.loads(line[6:]) for line in done.stdout.split(b"\n\n") if line.startswith(b"data: ")]
    sound = decoded(b"".join(b64decode(event.get("audio", "")) for event in told), "mp3")
    assert sound.seconds == pytest.approx(told[-1]["usage"]["output_tokens"] / 20, rel=0.02)


# --- recordings that are not what one would like --------------------------------------------------

EARS = "pocketsphinx-en"
RECORDINGS: dict[str, tuple[Callable[[], bytes], dict[str, Any]]] = {
    "silent": (
        lambda: wav(bytes(32_000)),
        {"status": 200, "text": "", "usage": {"type": "duration", "seconds": 1}},
    ),
    "truncated": (lambda: encode_whole([tone(9)], "flac")[:30_000], {"status": 200}),
    # Four hours and a second in 14 MB.
    "long": (
        lambda: wav(b"\x80" * 14_401_000, 1_000, 1),
        {"status": 400, "code": "media_too_long", "param": "file"},
    ),
    "wrong": (lambda: b"A letter. " * 400, {"status": 400, "code": "unsupported_media", "param": "file"}),
    "huge": (lambda: bytes(65_000_000), {"status": 413, "code": "body_too_large", "param": None}),
}


@pytest.fixture(scope="module")
def recordings(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recordings")
    for name, (sound, _) in RECORDINGS.items():
        (folder / name).write_bytes(sound())
    return folder


def by_the_sdk(door: Door, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    with by_sdk(door) as sdk:
        for file in folder.iterdir():
            try:
                heard = sdk.audio.transcriptions.create(model=EARS, file=file)
                told[file.name] = {"status": 200, **heard.to_dict()}
            except openai.APIStatusError as error:
                told[file.name] = {"status": error.status_code, "code": error.code, "param": error.param}
    return told


def by_openai_node(door: Door, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = node(door, EARS, "inputs", sounds=str(folder))["inputs"]
    return told


def by_curl(door: Door, folder: Path) -> dict[str, Any]:
    told: dict[str, Any] = {}
    for file in folder.iterdir():
        asked = ("-F", f"model={EARS}", "-F", f"file=@{file}", "-w", "\n%{http_code}")
        done = subprocess.run(
            curl(door, HEAR, *asked), capture_output=True, text=True, check=False, timeout=60
        )
        body, _, status = done.stdout.rpartition("\n")
        answer = json.loads(body)
        told[file.name] = {"status": int(status), **answer.get("error", answer)}
    return told


@pytest.mark.parametrize("client", [by_the_sdk, by_openai_node, by_curl])
def test_strange_recordings(
    door: Door, recordings: Path, client: Callable[[Door, Path], dict[str, Any]]
) -> None:
    told = client(door, recordings)
    for name, (_, expected) in RECORDINGS.items():
        assert {key: told[name][key] for key in expected} == expected, name
    assert 0 < told["truncated"]["usage"]["seconds"] < 9


# --- leaving ----------------------------------------------------------------------------------------


def test_the_sdk_leaves_a_transcription(door: Door, sdk: openai.OpenAI) -> None:
    with sdk.audio.transcriptions.create(
        model="whisper", file=("a.wav", SOUND), prompt=LONG, stream=True
    ) as stream:
        next(iter(stream))
        assert door.busy("fake-transcribe")
    assert seconds_until_idle(door, "fake-transcribe") < SOON


def test_the_sdk_leaves_speech(door: Door, sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {"model": "tts", "voice": "fake", "input": LONG, "response_format": "pcm"}
    with sdk.audio.speech.with_streaming_response.create(**asked) as answer:
        pieces = answer.iter_bytes()  # kept: one that is dropped closes the answer
        assert next(pieces)
        assert door.busy("fake-speak")
    assert seconds_until_idle(door, "fake-speak") < SOON


def test_openai_node_leaves(door: Door, tmp_path: Path) -> None:
    (tmp_path / "a.wav").write_bytes(SOUND)
    hearing = node(door, "fake-transcribe", "leaves_transcription", sounds=str(tmp_path))
    speaking = node(door, "fake-speak", "leaves_speech")
    for left in (hearing["leaves_transcription"], speaking["leaves_speech"]):
        assert left["worked"]
        assert left["seconds"] < SOON


@pytest.mark.parametrize("stream", ["false", "true"])
def test_curl_is_ended_while_it_is_heard(door: Door, tmp_path: Path, stream: str) -> None:
    (tmp_path / "a.wav").write_bytes(SOUND)
    asked = [f"file=@{tmp_path / 'a.wav'}", "model=whisper", f"prompt={LONG}", f"stream={stream}"]
    ended(door, "fake-transcribe", curl(door, HEAR, *(part for field in asked for part in ("-F", field))))


@pytest.mark.parametrize("form", ["audio", "sse"])
def test_curl_is_ended_while_it_listens(door: Door, form: str) -> None:
    body = {"model": "tts", "voice": "fake", "input": LONG, "stream_format": form}
    ended(door, "fake-speak", curl(door, SPEAK, *JSON, json.dumps(body)))


def ended(door: Door, model: str, command: list[str]) -> None:
    caller = subprocess.Popen(command, stdout=subprocess.DEVNULL)
    try:
        wait_until_busy(door, model)
    finally:
        caller.kill()
        caller.wait()
    assert seconds_until_idle(door, model) < SOON
