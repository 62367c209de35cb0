"""Captions that players read: SubRip and WebVTT."""

import pytest

from app.formats.captions import as_srt, as_vtt
from backends.contract.results import Heard, Segment


def heard(*segments: tuple[float, float, str]) -> list[Heard]:
    return [Heard(end, (Segment(start, end, text),)) for start, end, text in segments]


def test_both_forms() -> None:
    said = heard((0.5, 1.25, " Go forward"), (1.25, 3661.001, "ten meters"))
    assert as_srt(said) == (
        "1\n00:00:00,500 --> 00:00:01,250\nGo forward\n\n2\n00:00:01,250 --> 01:01:01,001\nten meters\n\n"
    )
    assert as_vtt(said) == (
        "WEBVTT\n\n00:00:00.500 --> 00:00:01.250\nGo forward\n\n00:00:01.250 --> 01:01:01.001\nten meters\n\n"
    )


def test_silence_is_no_caption() -> None:
    for silence in ([], [Heard(60.0)], heard((0, 1, ""), (1, 2, " \n "))):
        assert (as_srt(silence), as_vtt(silence)) == ("", "WEBVTT\n\n")


@pytest.mark.parametrize(
    ("seconds", "written"),
    [
        (59.9996, "00:01:00,000"),
        (3599.9994, "00:59:59,999"),
        (359_999.5, "99:59:59,500"),
        (360_000.25, "100:00:00,250"),
        (-0.02, "00:00:00,000"),
    ],
)
def test_times(seconds: float, written: str) -> None:
    assert as_srt(heard((seconds, seconds + 1, "x"))).splitlines()[1].startswith(f"{written} --> ")


def test_a_caption_lasts() -> None:
    """WebVTT: an end is after its start, and a start is not before the one above it."""
    said = heard((5, 5, "at once"), (4, 3, "backwards"), (0, 9, "overlapping"))
    assert as_vtt(said).split("\n\n")[1:-1] == [
        "00:00:00.000 --> 00:00:09.000\noverlapping",
        "00:00:04.000 --> 00:00:04.001\nbackwards",
        "00:00:05.000 --> 00:00:05.001\nat once",
    ]


def test_a_text_cannot_end_its_caption() -> None:
    said = heard((0, 1, "one\r\n\r\n two\n\n\u2028three\x0b \n"))
    assert as_srt(said).split("\n", 2)[2] == "one\ntwo\nthree\n\n"
    assert as_vtt(said).count("\n\n") == 2


def test_a_text_cannot_be_markup_or_a_time() -> None:
    said = heard((0, 1, "<b>A&B</b> --> 00:00:09.000"))
    assert as_vtt(said).splitlines()[3] == "&lt;b&gt;A&amp;B&lt;/b&gt; --&gt; 00:00:09.000"
    assert as_srt(said).splitlines()[2] == "<b>A&B</b> -> 00:00:09.000"
