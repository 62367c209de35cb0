"""How many pixels an image has, from its headers: those of all its frames."""

import struct
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from backends.contract.errors import MediaUnsupported


@dataclass(frozen=True, slots=True)
class Picture:
    """`kind`: of the bytes, whatever was said of them, as in `image/png`."""

    kind: str
    width: int
    height: int
    frames: int = 1

    @property
    def pixels(self) -> int:
        return self.width * self.height * self.frames


def picture(data: bytes) -> Picture:
    """Of a PNG, JPEG, GIF or WebP. Raises MediaUnsupported."""
    for begins, kind, read in _KINDS:
        if data.startswith(begins):
            try:
                found = Picture(kind, *read(data))
            except (struct.error, IndexError, StopIteration):
                break
            if found.width and found.height and found.frames:
                return found
    raise MediaUnsupported("the image is no PNG, JPEG, GIF or WebP")


def _png(data: bytes) -> tuple[int, int, int]:
    kind, width, height = struct.unpack_from(">4sII", data, 12)
    if kind != b"IHDR":
        raise StopIteration
    frames = 1
    for name, at, _ in _chunks(data, 8, ">I4s", padded=False, after=4):
        if name == b"acTL":
            frames = max(frames, *struct.unpack_from(">I", data, at))
        if name == b"IDAT":
            break
    return width, height, frames


def _webp(data: bytes) -> tuple[int, int, int]:
    if data[8:12] != b"WEBP":
        raise StopIteration
    width = height = frames = 0
    for name, at, _ in _chunks(data, 12, "<4sI", padded=True):
        wide = high = 0
        if name == b"VP8 ":
            wide, high = (side & 0x3FFF for side in struct.unpack_from("<HH", data, at + 6))
        elif name == b"VP8L":
            (bits,) = struct.unpack_from("<I", data, at + 1)
            wide, high = (bits & 0x3FFF) + 1, (bits >> 14 & 0x3FFF) + 1
        elif name == b"VP8X":
            first, last, more, most = struct.unpack_from("<HBHB", data, at + 4)
            wide, high = (first | last << 16) + 1, (more | most << 16) + 1
        elif name == b"ANMF":
            frames += 1
        width, height = max(width, wide), max(height, high)
    return width, height, max(1, frames)


def _chunks(
    data: bytes, at: int, head: str, *, padded: bool, after: int = 0
) -> Iterator[tuple[bytes, int, int]]:
    """Name, where its content begins, and how long that is."""
    while at + 8 <= len(data):
        one, other = struct.unpack_from(head, data, at)
        name, size = (other, one) if isinstance(one, int) else (one, other)
        yield name, at + 8, size
        at += 8 + size + after + (size & 1 if padded else 0)


def _gif(data: bytes) -> tuple[int, int, int]:
    """Blocks one after the other; sizes of a frame may be more than those of the whole."""
    width, height, flags = struct.unpack_from("<HHB", data, 6)
    at, frames = 13 + _colours(flags), 0
    while at < len(data) and data[at] != 0x3B:
        if data[at] == 0x2C:
            left, top, wide, high, flags = struct.unpack_from("<HHHHB", data, at + 1)
            width, height, frames = max(width, left + wide), max(height, top + high), frames + 1
            at += 11 + _colours(flags)
        elif data[at] == 0x21:
            at += 2
        else:
            raise StopIteration
        while at < len(data) and data[at]:
            at += 1 + data[at]
        at += 1
    return width, height, frames


def _colours(flags: int) -> int:
    return 3 << (flags & 7) + 1 if flags & 0x80 else 0


def _jpeg(data: bytes) -> tuple[int, int, int]:
    """The largest of what stands before the first scan."""
    at, width, height = 2, 0, 0
    while True:
        while data[at] != 0xFF or data[at + 1] in (0x00, 0xFF):
            at += 1
        marker = data[at + 1]
        if marker == 0xDA:
            return width, height, 1
        if marker == 0x01 or 0xD0 <= marker <= 0xD9:
            at += 2
            continue
        (size,) = struct.unpack_from(">H", data, at + 2)
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            high, wide = struct.unpack_from(">HH", data, at + 5)
            width, height = max(width, wide), max(height, high)
        at += 2 + size


_KINDS: tuple[tuple[bytes, str, Callable[[bytes], tuple[int, int, int]]], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png", _png),
    (b"\xff\xd8\xff", "image/jpeg", _jpeg),
    (b"GIF87a", "image/gif", _gif),
    (b"GIF89a", "image/gif", _gif),
    (b"RIFF", "image/webp", _webp),
)
