"""What was heard, in OpenAI's shapes."""

import json
import math
from typing import Any

from openai.types.audio import Transcription, TranscriptionVerbose

from app.formats.transcript import LANGUAGES, Events, as_json, as_text, as_verbose_json
from backends.contract.results import Heard, Logprob, Segment, Word

FIRST = Segment(0.5, 1.25, " Go forward", (Word("Go", 0.5, 0.7, 0.9), Word(" forward", 0.7, 1.25)))
SECOND = Segment(2.0, 3.0, "ten meters", (), (1, 2), 0.2, -0.3, 1.2, 0.01)
HEARD = [Heard(1.5, (FIRST,), "en"), Heard(2.0), Heard(3.01, (SECOND,), "en")]


def test_text_joins_segments_with_one_space() -> None:
    assert as_text(HEARD) == "Go forward ten meters"


def test_text_of_languages_without_spaces_has_none() -> None:
    heard = [Heard(2.0, (Segment(0, 1, "今日は"), Segment(1, 2, "晴れ")), "ja")]
    assert as_text(heard) == "今日は晴れ"


def test_json_has_text_and_rounded_up_usage() -> None:
    answer = as_json(HEARD)
    assert answer == {"text": "Go forward ten meters", "usage": {"type": "duration", "seconds": 4}}
    assert Transcription.model_validate(answer).text == "Go forward ten meters"


def test_verbose_json_is_whole() -> None:
    answer = as_verbose_json(HEARD)
    assert (answer["task"], answer["language"], answer["duration"]) == ("transcribe", "english", 3.01)
    assert "words" not in answer
    assert [segment["id"] for segment in answer["segments"]] == [0, 1]
    assert answer["segments"][0] == {
        "id": 0, "seek": 50, "start": 0.5, "end": 1.25, "text": " Go forward", "tokens": [],
        "temperature": 0.0, "avg_logprob": 0.0, "compression_ratio": 0.0, "no_speech_prob": 0.0,
    }  # fmt: skip
    assert answer["segments"][1]["avg_logprob"] == -0.3
    assert answer["segments"][1]["tokens"] == [1, 2]
    TranscriptionVerbose.model_validate(answer, strict=True)


def test_verbose_json_has_what_the_granularities_ask() -> None:
    answer = as_verbose_json(HEARD, segments=False, words=True)
    assert "segments" not in answer
    assert answer["words"] == [
        {"word": "Go", "start": 0.5, "end": 0.7},
        {"word": "forward", "start": 0.7, "end": 1.25},
    ]
    assert as_verbose_json([Heard(1.0, (SECOND,), "en")], words=True)["words"] == []


def test_a_translation_is_in_english() -> None:
    answer = as_verbose_json([Heard(1.0, (SECOND,), "de")], to="en")
    assert (answer["task"], answer["language"]) == ("translate", "english")
    japanese = [Heard(2.0, (Segment(0, 1, "It is fine."), Segment(1, 2, "Today.")), "ja")]
    assert as_text(japanese, to="en") == as_json(japanese, to="en")["text"] == "It is fine. Today."


def test_silence_and_unknown_languages_have_their_shape_too() -> None:
    answer = as_verbose_json([Heard(600.0)])
    assert (answer["text"], answer["segments"], answer["duration"]) == ("", [], 600.0)
    assert answer["language"] == "und"
    assert as_json([]) == {"text": "", "usage": {"type": "duration", "seconds": 0}}


def test_every_language_has_one_name() -> None:
    assert len(LANGUAGES) == len(set(LANGUAGES.values())) == 100
    assert (LANGUAGES["en"], LANGUAGES["zh"], LANGUAGES["haw"]) == ("english", "chinese", "hawaiian")


def events(heard: list[Heard], **more: Any) -> list[Any]:
    told = Events(**more)
    lines = b"".join([*(told.more(item) for item in heard), told.done()]).split(b"\n\n")
    assert lines.pop() == b""
    return [json.loads(line.removeprefix(b"data: ")) for line in lines]


def test_events_join_to_the_text() -> None:
    *deltas, done = events([*HEARD, Heard(5.2, (Segment(4, 5, "  "),))])
    assert [event["delta"] for event in deltas] == ["Go forward", " ten meters"]
    assert done == {
        "type": "transcript.text.done",
        "text": as_text(HEARD),
        "usage": {"type": "duration", "seconds": 6},
    }
    assert [event["delta"] for event in events([Heard(2.0, (Segment(0, 1, "今日は"),) * 2, "ja")])[:-1]] == [
        "今日は", "今日は"
    ]  # fmt: skip


def test_probabilities_stand_beside_what_they_are_of() -> None:
    sure, never = Logprob(" ☂", -0.5), Logprob("x", -math.inf)
    segments = Segment(0, 1, "☂", logprobs=(sure,)), Segment(1, 2, "x", logprobs=(never,))
    heard = [Heard(segment.end, (segment,)) for segment in segments]
    first, second, done = events(heard, logprobs=True)
    assert first["logprobs"] == [{"token": " ☂", "bytes": [32, 226, 152, 130], "logprob": -0.5}]
    assert second["logprobs"] == [{"token": "x", "bytes": [120], "logprob": -9999.0}]
    assert done["logprobs"] == first["logprobs"] + second["logprobs"]
    answer = as_json(heard, logprobs=True)
    assert answer["logprobs"] == done["logprobs"]
    told = Transcription.model_validate(answer).logprobs
    assert told is not None
    assert told[0].token == " ☂"
    assert "logprobs" not in as_json(heard)
