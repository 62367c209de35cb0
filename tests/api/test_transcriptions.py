"""Transcriptions and translations: every format and field, the same shapes from every engine."""

import io
import itertools
import json
import subprocess
from pathlib import Path
from typing import Any

import av
import httpx2
import openai
import pytest
from openai.types.audio import (
    TranscriptionTextDeltaEvent,
    TranscriptionTextDoneEvent,
    TranscriptionVerbose,
    TranslationVerbose,
)

from app.formats.audio import encode_whole
from tests.sounds import tone, wav

from .doors import Door, by_http, by_sdk
from .wire import SOON, Caller, seconds_until_idle

HEAR, TRANSLATE = "/v1/audio/transcriptions", "/v1/audio/translations"
GOLDEN = Path(__file__).parents[1] / "data" / "transcripts"
SCRIPT = (GOLDEN / "script.txt").read_text()
KINDS = {
    "json": "application/json",
    "text": "text/plain; charset=utf-8",
    "srt": "application/x-subrip",
    "vtt": "text/vtt; charset=utf-8",
    "verbose_json": "application/json",
}
STUB = ("a.wav", b"RIFF and more", "audio/wav")


def post(http: httpx2.Client, path: str = HEAR, file: Any = STUB, **form: Any) -> httpx2.Response:
    return http.post(path, data={"model": "fake-transcribe", **form}, files={"file": file})


def events(answer: httpx2.Response) -> list[Any]:
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "text/event-stream; charset=utf-8"
    *lines, end = answer.text.split("\n\n")
    assert end == ""
    return [json.loads(line.removeprefix("data: ")) for line in lines if not line.startswith(":")]


# --- one transcript, known to the letter ---------------------------------------------------------


BOTH = {"timestamp_granularities[]": ["word", "segment"]}
WHOLE: list[tuple[str, dict[str, Any]]] = [
    ("whole.txt", {"response_format": "text"}),
    ("whole.srt", {"response_format": "srt"}),
    ("whole.vtt", {"response_format": "vtt"}),
    ("whole.json", {"response_format": "verbose_json", **BOTH}),
    ("whole.sse", {"stream": "true"}),
]


def is_golden(content: bytes, name: str) -> bool:
    if name.endswith(".json"):
        content = (json.dumps(json.loads(content), indent=1, ensure_ascii=False) + "\n").encode()
    return content == (GOLDEN / name).read_bytes()


@pytest.mark.parametrize(("name", "form"), WHOLE)
def test_golden(http: httpx2.Client, name: str, form: dict[str, Any]) -> None:
    answer = post(http, prompt=SCRIPT, **form)
    assert answer.status_code == 200, answer.text
    assert is_golden(answer.content, name)


@pytest.mark.parametrize(("name", "form"), WHOLE)
def test_curl(door: Door, tmp_path: Path, name: str, form: dict[str, Any]) -> None:
    """A file without a name that says anything, and no client that knows better."""
    sound = tmp_path / "ünïcode ☂"
    sound.write_bytes(STUB[1])
    fields = [("model", "whisper"), ("file", f"@{sound}"), ("prompt", f"<{GOLDEN / 'script.txt'}")]
    for field, value in form.items():
        fields += [(field, one) for one in ([value] if isinstance(value, str) else value)]
    with_fields = [part for field, value in fields for part in ("-F", f"{field}={value}")]
    paths = [HEAR] if form.keys() - {"response_format"} else [HEAR, TRANSLATE]
    for path in paths:
        curl = ["curl", "-sSfN", f"{door.base_url}{path}", "-H", f"Authorization: Bearer {door.key}"]
        done = subprocess.run([*curl, *with_fields], capture_output=True, check=True, timeout=60)
        assert is_golden(done.stdout, name)


# --- the same shapes from every engine -----------------------------------------------------------

SENTENCES = ("I would like to order a cup of coffee please.", "Go forward.")


@pytest.fixture(scope="session")
def speech(door: Door) -> bytes:
    """Two sentences, with a pause between."""
    said = b""
    with by_http(door) as http:
        for sentence in SENTENCES:
            body = {"model": "espeak-ng", "voice": "nova", "input": sentence, "response_format": "pcm"}
            said += http.post("/v1/audio/speech", json=body).content + bytes(24_000 * 2)
    return wav(said, 24_000)


class Room:
    """One model behind a door, asked once for each form. `asked` goes with every request."""

    def __init__(self, door: Door, model: str, sound: bytes, **asked: Any) -> None:
        self.door, self.model, self.sound, self.asked = door, model, sound, asked
        self._answers: dict[str, httpx2.Response] = {}

    def ask(self, **form: Any) -> httpx2.Response:
        key = repr(form)
        if key not in self._answers:
            file = ("no extension", self.sound, "application/octet-stream")
            with by_http(self.door) as http:
                self._answers[key] = post(http, model=self.model, file=file, **self.asked, **form)
        assert self._answers[key].status_code == 200, self._answers[key].text
        return self._answers[key]


@pytest.fixture(scope="session")
def rooms(door: Door, whisper: Door, speech: bytes) -> dict[str, Room]:
    """What Whisper hears of a tone is nonsense, but of the right shape, in more than one clip."""
    return {
        "scripted": Room(door, "fake-transcribe", speech, prompt=SCRIPT),
        "pocketsphinx": Room(door, "pocketsphinx-en", speech),
        "faster-whisper": Room(whisper, "whisper", encode_whole([tone(45)], "wav"), language="en"),
    }


@pytest.fixture(params=["scripted", "pocketsphinx", "faster-whisper"])
def room(request: pytest.FixtureRequest, rooms: dict[str, Room]) -> Room:
    return rooms[request.param]


@pytest.mark.parametrize("form", KINDS)
def test_a_format_has_its_type(room: Room, form: str) -> None:
    answer = room.ask(response_format=form)
    assert answer.headers["content-type"] == KINDS[form]
    assert answer.text.strip()


def test_verbose_json_has_its_shape(room: Room) -> None:
    answer = room.ask(response_format="verbose_json", **BOTH).json()
    TranscriptionVerbose.model_validate(answer, strict=True)
    segments, words = answer["segments"], answer["words"]
    assert [segment["id"] for segment in segments] == list(range(len(segments)))
    assert all(set(segment) == FIGURES for segment in segments)
    assert len(segments) > 1
    assert (answer["task"], answer["language"]) == ("transcribe", "english")
    assert " ".join(word["word"] for word in words) == " ".join(answer["text"].split())
    assert answer["duration"] >= max(word["end"] for word in words)
    assert answer["usage"]["type"] == "duration"
    assert 0 <= answer["usage"]["seconds"] - answer["duration"] < 1


FIGURES = {
    "id", "seek", "start", "end", "text", "tokens", "temperature", "avg_logprob", "compression_ratio",
    "no_speech_prob",
}  # fmt: skip


def test_granularities_choose_what_is_there(room: Room) -> None:
    words = room.ask(response_format="verbose_json", **{"timestamp_granularities[]": "word"}).json()
    plain = room.ask(response_format="verbose_json").json()
    assert ("words" in words, "segments" in words) == (True, False)
    assert ("words" in plain, "segments" in plain) == (False, True)


@pytest.mark.parametrize(("form", "decoder"), [("srt", "srt"), ("vtt", "webvtt")])
def test_captions_are_read_by_a_player(room: Room, form: str, decoder: str) -> None:
    """FFmpeg's own demuxers: as many as there are segments with a text, at their times."""
    told = room.ask(response_format="verbose_json").json()["segments"]
    spoken = sorted((one for one in told if one["text"].strip()), key=lambda one: one["start"])
    captions = io.BytesIO(room.ask(response_format=form).content)
    with av.open(captions, format=decoder) as container:
        packets = [packet for packet in container.demux() if packet.size]
        assert container.streams[0].time_base == packets[0].time_base
        starts = [float(packet.pts * packet.time_base) for packet in packets]
    assert starts == pytest.approx([one["start"] for one in spoken], abs=0.001)
    assert all(packet.duration > 0 for packet in packets)


def test_a_stream_says_the_same(room: Room) -> None:
    *deltas, done = events(room.ask(stream="true"))
    assert {delta["type"] for delta in deltas} == {"transcript.text.delta"}
    assert done["type"] == "transcript.text.done"
    assert "".join(delta["delta"] for delta in deltas) == done["text"]
    whole = room.ask(response_format="json").json()
    assert (done["text"], done["usage"]) == (whole["text"], whole["usage"])
    assert len(deltas) > 1


def test_the_sdk_reads_a_stream(room: Room) -> None:
    with by_sdk(room.door) as sdk:
        *deltas, done = sdk.audio.transcriptions.create(
            model=room.model, file=room.sound, stream=True, response_format="text", **room.asked
        )
    assert all(isinstance(delta, TranscriptionTextDeltaEvent) for delta in deltas)
    assert isinstance(done, TranscriptionTextDoneEvent)
    assert done.text == "".join(delta.delta for delta in deltas if delta.type == "transcript.text.delta")
    assert done.usage is not None
    assert done.usage.type == "duration"  # type: ignore[comparison-overlap]


@pytest.mark.parametrize("form", ["text", "srt", "vtt"])
def test_the_sdk_gets_text(room: Room, form: Any) -> None:
    with by_sdk(room.door) as sdk:
        said = sdk.audio.transcriptions.create(
            model=room.model, file=("ünï ☂", room.sound), response_format=form, **room.asked
        )
    assert isinstance(said, str)
    assert said == room.ask(response_format=form).text


# --- what was asked for reaches the engine -------------------------------------------------------


def asked(text: str) -> dict[str, Any]:
    return dict(json.loads(text))


def test_fields_reach_the_engine(sdk: openai.OpenAI) -> None:
    plain = asked(sdk.audio.transcriptions.create(model="whisper", file=STUB, prompt="!asked").text)
    assert plain == {
        "audio": len(STUB[1]), "languages": [], "keywords": [], "temperature": 0, "words": False,
        "logprobs": False, "vad": None, "to": None, "streams": False, "longest_s": 14_400,
    }  # fmt: skip
    full = sdk.audio.transcriptions.create(
        model="whisper", file=STUB, prompt="!asked", temperature=0.5, language="de", keywords=["Motley", "☂"],
        include=["logprobs"],
        chunking_strategy={"type": "server_vad", "threshold": 0.25, "silence_duration_ms": 700},
    )  # fmt: skip
    assert asked(full.text) == {
        **plain, "languages": ["de"], "keywords": ["Motley", "☂"], "temperature": 0.5, "logprobs": True,
        "vad": {"threshold": 0.25, "padding_s": 0.3, "silence_s": 0.7},
    }  # fmt: skip
    assert full.logprobs
    assert "".join(one.token or "" for one in full.logprobs) == full.text


@pytest.mark.parametrize("language", ["de", "DE", "de-AT", "german", " German"])
def test_a_language_goes_by_several_names(http: httpx2.Client, language: str) -> None:
    answer = post(http, prompt="!asked", language=language)
    assert asked(answer.json()["text"])["languages"] == ["de"]
    several = post(http, prompt="!asked", **{"languages[]": [language, "haitian creole", "de"]})
    assert asked(several.json()["text"])["languages"] == ["de", "ht"]


@pytest.mark.parametrize(
    "form",
    [
        {"chunking_strategy": "auto"},
        {"chunking_strategy": '{"type": "server_vad"}'},
        {"chunking_strategy[type]": "server_vad", "chunking_strategy[threshold]": "0.5"},
    ],
)
def test_silences_in_three_spellings(http: httpx2.Client, form: dict[str, str]) -> None:
    answer = post(http, prompt="!asked", **form)
    assert asked(answer.json()["text"])["vad"] == {"threshold": 0.5, "padding_s": 0.3, "silence_s": 0.2}


def test_probabilities_in_a_stream(http: httpx2.Client) -> None:
    *deltas, done = events(post(http, stream="true", prompt="!words 2", **{"include[]": "logprobs"}))
    one = {"token": "word0", "bytes": list(b"word0"), "logprob": -0.25}
    assert deltas[0]["logprobs"] == [one]
    assert done["logprobs"] == [one, deltas[1]["logprobs"][0]]


# --- translations --------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore:deprecated:DeprecationWarning")
def test_translations(http: httpx2.Client, sdk: openai.OpenAI) -> None:
    for form, kind in KINDS.items():
        answer = post(http, TRANSLATE, response_format=form)
        assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    said = sdk.audio.translations.create(model="whisper", file=STUB, prompt="!asked", temperature=0.5)
    task = asked(said.text)
    assert (task["to"], task["temperature"], task["languages"]) == ("en", 0.5, [])
    verbose = sdk.audio.translations.create(model="whisper", file=STUB, response_format="verbose_json")
    assert isinstance(verbose, TranslationVerbose)
    assert (verbose.language, verbose.text, verbose.duration) == ("english", "word0 word1 word2", 3)
    assert len(verbose.segments or []) == 3
    by_alias = http.post(f"/whisper{TRANSLATE}", files={"file": STUB})
    assert by_alias.json()["text"] == "word0 word1 word2"
    for name in ("srt", "vtt"):
        same = (post(http, path, response_format=name).text for path in (HEAR, TRANSLATE))
        assert len(set(same)) == 1


@pytest.mark.parametrize(
    "field", ["language", "stream", "timestamp_granularities[]", "include[]", "keywords[]"]
)
def test_a_translation_takes_less(http: httpx2.Client, field: str) -> None:
    answer = post(http, TRANSLATE, **{field: "true"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, field.removesuffix("[]"))


def test_a_model_that_cannot_translate_says_so(http: httpx2.Client, speech: bytes) -> None:
    answer = post(http, TRANSLATE, file=("a.wav", speech), model="pocketsphinx-en")
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


# --- what an engine cannot do, and files that are none -------------------------------------------


@pytest.mark.parametrize(
    ("form", "param"),
    [
        ({"language": "fr"}, "language"),
        ({"languages[]": ["de", "fr"]}, "languages"),
        ({"keywords[]": "Motley"}, "keywords"),
        ({"include[]": "logprobs"}, "include"),
        ({"prompt": "So far"}, "prompt"),
        ({"temperature": "0.4"}, "temperature"),
        ({"chunking_strategy": '{"type": "server_vad", "threshold": 0.9}'}, "chunking_strategy"),
    ],
)
@pytest.mark.parametrize("stream", ["false", "true"])
def test_what_an_engine_cannot_do(
    http: httpx2.Client, speech: bytes, form: dict[str, Any], param: str, stream: str
) -> None:
    answer = post(http, file=("a.wav", speech), model="pocketsphinx-en", stream=stream, **form)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_what_an_engine_does_anyway(http: httpx2.Client) -> None:
    form = {"languages[]": ["de", "en"], "chunking_strategy": "auto"}
    answer = post(http, file=("a.wav", wav(bytes(32_000))), model="pocketsphinx-en", **form)
    assert answer.status_code == 200
    assert answer.json() == {"text": "", "usage": {"type": "duration", "seconds": 1}}


def video(speech: bytes) -> bytes:
    """A film with the sentences as its sound."""
    file = io.BytesIO()
    with av.open(io.BytesIO(speech)) as sound, av.open(file, "w", format="matroska") as film:
        picture, track = film.add_stream("mpeg4", rate=10), film.add_stream("libopus", rate=48_000)
        picture.width = picture.height = 16
        for _ in range(20):
            film.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
        for frame in itertools.chain(sound.decode(audio=0), [None]):
            film.mux(track.encode(frame))
        film.mux(picture.encode(None))
    return file.getvalue()


def test_a_film_is_listened_to(http: httpx2.Client, speech: bytes) -> None:
    answer = post(http, file=("film.mkv", video(speech)), model="pocketsphinx-en")
    assert answer.status_code == 200, answer.text
    assert len({"order", "cup", "coffee", "please"} & set(answer.json()["text"].split())) >= 2


def test_half_a_file_is_half_heard(http: httpx2.Client, speech: bytes) -> None:
    answer = post(http, file=("a.wav", speech[: len(speech) // 2]), model="pocketsphinx-en")
    assert 0 < answer.json()["usage"]["seconds"] < len(speech) / 48_000


@pytest.mark.parametrize("stream", ["false", "true"])
def test_files_that_are_no_sound(http: httpx2.Client, stream: str) -> None:
    for data in (b"A letter. " * 400, b"\0" * 5000, wav(b"")):
        answer = post(http, file=("song.mp3", data), model="pocketsphinx-en", stream=stream)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, "file", "unsupported_media")
    nothing = post(http, file=("song.mp3", b""), stream=stream).json()["error"]
    assert nothing["param"] == "file"


@pytest.mark.parametrize("stream", ["false", "true"])
def test_a_file_that_plays_for_too_long(http: httpx2.Client, stream: str) -> None:
    """Four hours and a second in 14 MB: what counts is how long it plays, not its size."""
    long = wav(b"\x80" * 14_401_000, 1_000, 1)
    for model, script in (("pocketsphinx-en", {}), ("whisper", {"prompt": "!at 14400 14401 x"})):
        answer = post(http, file=("a.wav", long), model=model, stream=stream, **script)
        error = answer.json()["error"]
        assert (answer.status_code, error["param"], error["code"]) == (400, "file", "media_too_long")


# --- streams -------------------------------------------------------------------------------------


def test_segments_come_as_they_are_found(door: Door) -> None:
    body: dict[str, Any] = {"data": {"model": "whisper", "stream": "true"}, "files": {"file": STUB}}
    body["data"]["prompt"] = "!slow 0.3 !words 60"
    with Caller(door, HEAR, **body) as caller:
        caller.until(b'"delta":" word1"')
        assert door.busy("fake-transcribe")
        assert b"transcript.text.done" not in caller.seen
    assert seconds_until_idle(door, "fake-transcribe") < SOON


def test_silence_is_kept_alive(door: Door) -> None:
    form = {"model": "whisper", "stream": "true", "prompt": "!slow 1 !words 2"}
    with Caller(door, HEAR, data=form, files={"file": STUB}) as caller:
        caller.until(b"keep-alive")


def test_a_failure_on_the_way_is_one_event(http: httpx2.Client, sdk: openai.OpenAI) -> None:
    *deltas, error = events(post(http, stream="true", prompt="!words 5 !break 2"))
    assert [delta["delta"] for delta in deltas] == ["word0", " word1"]
    assert list(error) == ["error"]
    assert error["error"]["code"] == "engine_failed"
    stream = sdk.audio.transcriptions.create(
        model="whisper", file=STUB, stream=True, prompt="!words 5 !break 2"
    )
    with pytest.raises(openai.APIError, match="failed"):
        list(stream)


@pytest.mark.parametrize(("script", "status"), [("!bug", 502), ("!overloaded", 503)])
def test_a_failure_before_has_a_status(http: httpx2.Client, script: str, status: int) -> None:
    assert post(http, stream="true", prompt=script).status_code == status
