"""What was heard → OpenAI's transcription shapes."""

import math
from collections.abc import Sequence
from typing import Any

from backends.contract.languages import LANGUAGES
from backends.contract.results import Heard, Segment

# Written without spaces between words, and so between segments.
_SPACELESS = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})


def as_text(heard: Sequence[Heard]) -> str:
    """All that was said, in one line."""
    space = "" if _language(heard) in _SPACELESS else " "
    return space.join(text for segment in _segments(heard) if (text := segment.text.strip()))


def as_json(heard: Sequence[Heard]) -> dict[str, Any]:
    """`CreateTranscriptionResponseJson`."""
    return {"text": as_text(heard), "usage": _usage(heard)}


def as_verbose_json(
    heard: Sequence[Heard], *, task: str = "transcribe", segments: bool = True, words: bool = False
) -> dict[str, Any]:
    """`CreateTranscriptionResponseVerboseJson`; `segments` and `words` as the granularities ask.

    `task`: transcribe or translate. A translation is in English, whatever was spoken.
    """
    code = "en" if task == "translate" else _language(heard)
    answer: dict[str, Any] = {
        "task": task,
        "language": LANGUAGES.get(code, code).replace("_", " "),
        "duration": _duration(heard),
        "text": as_text(heard),
    }
    if words:
        answer["words"] = [
            {"word": word.text, "start": word.start, "end": word.end}
            for segment in _segments(heard)
            for word in segment.words
        ]
    if segments:
        answer["segments"] = [_verbose(number, segment) for number, segment in enumerate(_segments(heard))]
    answer["usage"] = _usage(heard)
    return answer


def _verbose(number: int, segment: Segment) -> dict[str, Any]:
    """Engines other than Whisper have no figures for the last five: clients want them present."""
    return {
        "id": number,
        "seek": round(segment.start * 100),  # in frames of 10 ms, as Whisper counts
        "start": segment.start,
        "end": segment.end,
        "text": segment.text,
        "tokens": list(segment.tokens),
        "temperature": segment.temperature or 0.0,
        "avg_logprob": segment.avg_logprob or 0.0,
        "compression_ratio": segment.compression_ratio or 0.0,
        "no_speech_prob": segment.no_speech_prob or 0.0,
    }


def _segments(heard: Sequence[Heard]) -> list[Segment]:
    return [segment for item in heard for segment in item.segments]


def _language(heard: Sequence[Heard]) -> str:
    """The last word on it, or `und` (ISO 639's undetermined) where nobody could tell."""
    return next((item.language for item in reversed(heard) if item.language), "und")


def _duration(heard: Sequence[Heard]) -> float:
    return heard[-1].position if heard else 0.0


def _usage(heard: Sequence[Heard]) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(_duration(heard))}
