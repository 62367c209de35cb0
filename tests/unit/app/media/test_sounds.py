"""How long a sound plays, from its headers."""

import struct

import pytest

from app.media.sounds import sound
from backends.contract.errors import MediaUnsupported

from .made import damaged, mp3, png, wav


@pytest.mark.parametrize(
    ("data", "kind", "seconds"),
    [
        (wav(2.5), "audio/wav", 2.5),
        (wav(2.5, rate=48_000), "audio/wav", 2.5),
        (wav(2.5, declared=0xFFFFFFFF), "audio/wav", 2.5),  # streamed: nobody knew
        (wav(2.5, declared=0), "audio/wav", 2.5),
        (mp3(100), "audio/mpeg", 100 * 1152 / 44_100),
        (mp3(100, tag=700), "audio/mpeg", 100 * 1152 / 44_100),
    ],
)
def test_sounds(data: bytes, kind: str, seconds: float) -> None:
    found = sound(data)
    assert (found.kind, found.seconds) == (kind, pytest.approx(seconds, rel=0.01))


MORE = struct.pack("<HHIH", 22, 16, 4, 1) + bytes(14)
LONGER = wav(1).replace(struct.pack("<IHH", 16, 1, 1), struct.pack("<IHH", 40, 0xFFFE, 1))
EXTENSIBLE = LONGER.replace(b"data", MORE + b"data", 1)


def test_the_longer_head_of_wav() -> None:
    assert sound(EXTENSIBLE).seconds == 1


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"fLaC" + bytes(60), b"OggS" + bytes(60), png(), wav(0), wav(1)[:30],
        wav(1, rate=1),  # fifteen million of them are half a year
        wav(1, rate=0),
        wav(1, codec=0x11),  # compressed
        wav(1, codec=0x55),
        b"ID3\x04\0\0\0\0\0\x04abcdfLaC" + bytes(60),  # readers look again after the tag
        b"ID3\x04\0\0\0\0\0\x04abcd" + bytes(9) + mp3(),
        b"\xff\xfb\x00\x00" + bytes(400),  # of any rate
        b"\xff",
    ],
)  # fmt: skip
def test_no_sounds(data: bytes) -> None:
    with pytest.raises(MediaUnsupported):
        sound(data)


def test_frames_after_rubbish_count() -> None:
    assert sound(mp3(10) + bytes(500) + mp3(30)).seconds == pytest.approx(40 * 1152 / 44_100)


@pytest.mark.parametrize("whole", [wav(0.001), mp3(2, tag=9), EXTENSIBLE[:80]])
def test_whatever_is_cut_or_changed_ends(whole: bytes) -> None:
    for data in damaged(whole):
        try:
            sound(data)
        except MediaUnsupported:
            continue
