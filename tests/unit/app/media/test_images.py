"""How many pixels an image would become, from its headers."""

import pytest

from app.media.images import picture
from backends.contract.errors import MediaUnsupported

from .made import damaged, gif, jpeg, png, wav, webp

# Of one transparent pixel, as browsers take them.
REAL = bytes.fromhex("47494638396101000100800000ffffff00000021f90401000000002c00000000010001000002024401003b")


@pytest.mark.parametrize(
    ("data", "kind", "width", "height", "frames"),
    [
        (png(7, 5), "image/png", 7, 5, 1),
        (png(7, 5, frames=12), "image/png", 7, 5, 12),
        (jpeg(4000, 3000), "image/jpeg", 4000, 3000, 1),
        (jpeg(40, 30, marker=0xC2), "image/jpeg", 40, 30, 1),
        (gif(7, 5), "image/gif", 7, 5, 1),
        (gif(7, 5, frames=3, colours=False), "image/gif", 7, 5, 3),
        (gif(7, 5, wide=900), "image/gif", 900, 5, 1),
        (REAL, "image/gif", 1, 1, 1),
        (webp(7, 5, form="VP8 "), "image/webp", 7, 5, 1),
        (webp(7, 5, form="VP8L"), "image/webp", 7, 5, 1),
        (webp(7, 5), "image/webp", 7, 5, 1),
        (webp(16000, 5, frames=9), "image/webp", 16000, 5, 9),
    ],
)
def test_pictures(data: bytes, kind: str, width: int, height: int, frames: int) -> None:
    found = picture(data)
    assert (found.kind, found.width, found.height, found.frames) == (kind, width, height, frames)
    assert found.pixels == width * height * frames


@pytest.mark.parametrize(
    "data",
    [
        b"", b"x", b"<svg/>", b"BM" + bytes(60), b"II*\0" + bytes(60), wav(), png()[:20], png(0, 5),
        b"\x89PNG\r\n\x1a\n" + bytes(40), jpeg()[:20], b"\xff\xd8\xff" + bytes(99), gif(0, 0, frames=0),
        gif(frames=0), gif()[:11], b"GIF89a" + bytes(7) + b"?", b"RIFF\0\0\0\0WEBP", webp()[:20],
    ],
)  # fmt: skip
def test_no_pictures(data: bytes) -> None:
    with pytest.raises(MediaUnsupported):
        picture(data)


@pytest.mark.parametrize("whole", [png(frames=3), jpeg(), gif(frames=2), webp(frames=2), webp(form="VP8L")])
def test_whatever_is_cut_or_changed_ends(whole: bytes) -> None:
    """No exception but the contract's, and no end of looking."""
    for data in damaged(whole):
        try:
            picture(data)
        except MediaUnsupported:
            continue
