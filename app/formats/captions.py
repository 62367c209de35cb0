"""What was heard → captions: SubRip (`.srt`) and WebVTT, https://www.w3.org/TR/webvtt1/.

A segment without text has no caption. Captions stand in the order they begin, as WebVTT demands;
those that overlap stay as they are, and both are shown.
"""

from collections.abc import Iterator, Sequence

from app.formats.transcript import segments_of
from backends.contract.results import Heard

_MARKUP = str.maketrans({"&": "&amp;", "<": "&lt;", ">": "&gt;"})


def as_srt(heard: Sequence[Heard]) -> str:
    """Numbered from 1; there is no way to write an arrow in a text but another arrow."""
    return "".join(
        f"{number}\n{_clock(start, ',')} --> {_clock(end, ',')}\n{text.replace('-->', '->')}\n\n"
        for number, (start, end, text) in enumerate(_captions(heard), 1)
    )


def as_vtt(heard: Sequence[Heard]) -> str:
    return "WEBVTT\n\n" + "".join(
        f"{_clock(start, '.')} --> {_clock(end, '.')}\n{text.translate(_MARKUP)}\n\n"
        for start, end, text in _captions(heard)
    )


def _captions(heard: Sequence[Heard]) -> Iterator[tuple[int, int, str]]:
    """`(start, end, text)` in milliseconds. A caption lasts at least one; an empty line would end it."""
    for segment in sorted(segments_of(heard), key=lambda one: one.start):
        lines = (line.strip() for line in segment.text.splitlines())
        if text := "\n".join(filter(None, lines)):
            start = max(0, round(segment.start * 1000))
            yield start, max(start + 1, round(segment.end * 1000)), text


def _clock(milliseconds: int, point: str) -> str:
    seconds, thousandths = divmod(milliseconds, 1000)
    minutes, seconds = divmod(seconds, 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours:02}:{minutes:02}:{seconds:02}{point}{thousandths:03}"
