"""What was heard → OpenAI's transcription shapes, whole and as events. Captions are in `captions`.

`to` is the language that was asked for: a translation is in it, whatever was spoken.
"""

import math
from collections.abc import Iterable, Sequence
from typing import Any

import orjson

from backends.contract.languages import LANGUAGES
from backends.contract.results import Heard, Logprob, Segment

# Written without spaces between words, and so between segments.
_SPACELESS = frozenset({"bo", "ja", "km", "lo", "my", "th", "yue", "zh"})
# OpenAI's number for what is next to impossible; JSON has no infinity.
_LEAST = -9999.0


def as_text(heard: Sequence[Heard], *, to: str | None = None) -> str:
    """All that was said."""
    line, language = Line(), to or spoken(heard)
    for segment in segments_of(heard):
        line.add(segment, language)
    return line.text


def as_json(heard: Sequence[Heard], *, to: str | None = None, logprobs: bool = False) -> dict[str, Any]:
    """`CreateTranscriptionResponseJson`, or a translation's."""
    answer: dict[str, Any] = {"text": as_text(heard, to=to)}
    if logprobs:
        answer["logprobs"] = _logprobs(one for segment in segments_of(heard) for one in segment.logprobs)
    return {**answer, "usage": _usage(_duration(heard))}


def as_verbose_json(
    heard: Sequence[Heard], *, to: str | None = None, segments: bool = True, words: bool = False
) -> dict[str, Any]:
    """`CreateTranscriptionResponseVerboseJson`, or a translation's; `segments` and `words` as the
    granularities ask."""
    code = to or spoken(heard)
    answer: dict[str, Any] = {
        "task": "translate" if to else "transcribe",
        "language": LANGUAGES.get(code, code).replace("_", " "),
        "duration": _duration(heard),
        "text": as_text(heard, to=to),
    }
    if words:
        answer["words"] = [
            {"word": word.text.strip(), "start": word.start, "end": word.end}
            for segment in segments_of(heard)
            for word in segment.words
        ]
    if segments:
        answer["segments"] = [_verbose(number, segment) for number, segment in enumerate(segments_of(heard))]
    answer["usage"] = _usage(_duration(heard))
    return answer


def segments_of(heard: Sequence[Heard]) -> list[Segment]:
    return [segment for item in heard for segment in item.segments]


class Line:
    """Segments one after the other, as they are read."""

    def __init__(self) -> None:
        self.text = ""

    def add(self, segment: Segment, language: str | None) -> str:
        """What the segment adds, with the space before it; "" where it says nothing."""
        piece = segment.text.strip()
        if piece and self.text and language not in _SPACELESS:
            piece = f" {piece}"
        self.text += piece
        return piece


class Events:
    """`transcript.text.delta` for each segment as it is found, then `transcript.text.done`. The deltas
    joined are the text of the end. As server-sent events, ready to go."""

    def __init__(self, *, to: str | None = None, logprobs: bool = False) -> None:
        self._line = Line()
        self._language = to
        self._to = to
        self._duration = 0.0
        self._logprobs: list[dict[str, Any]] | None = [] if logprobs else None

    def more(self, item: Heard) -> bytes:
        """Empty for an item that says nothing new."""
        self._duration = item.position
        self._language = self._to or item.language or self._language
        return b"".join(map(self._delta, item.segments))

    def done(self) -> bytes:
        end: dict[str, Any] = {"type": "transcript.text.done", "text": self._line.text}
        if self._logprobs is not None:
            end["logprobs"] = self._logprobs
        return _event({**end, "usage": _usage(self._duration)})

    def _delta(self, segment: Segment) -> bytes:
        piece = self._line.add(segment, self._language)
        event: dict[str, Any] = {"type": "transcript.text.delta", "delta": piece}
        if self._logprobs is not None:
            event["logprobs"] = _logprobs(segment.logprobs)
            self._logprobs += event["logprobs"]
        return _event(event) if piece else b""


def _event(body: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(body) + b"\n\n"


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


def _logprobs(found: Iterable[Logprob]) -> list[dict[str, Any]]:
    return [
        {"token": one.token, "bytes": list(one.token.encode()), "logprob": max(one.logprob, _LEAST)}
        for one in found
    ]


def spoken(heard: Sequence[Heard]) -> str:
    """The last word on it, or `und` (ISO 639's undetermined) where nobody could tell."""
    return next((item.language for item in reversed(heard) if item.language), "und")


def _duration(heard: Sequence[Heard]) -> float:
    return heard[-1].position if heard else 0.0


def _usage(seconds: float) -> dict[str, Any]:
    return {"type": "duration", "seconds": math.ceil(seconds)}
