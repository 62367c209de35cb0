"""Images and sounds of any size, without what is in them: only headers are read."""

import base64
import struct
from collections.abc import Iterator


def url(data: bytes, kind: str = "image/png") -> str:
    return f"data:{kind};base64,{base64.b64encode(data).decode()}"


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + bytes(4)


def png(width: int = 3, height: int = 2, frames: int = 0) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0))
    moves = chunk(b"acTL", struct.pack(">II", frames, 0)) if frames else b""
    return b"\x89PNG\r\n\x1a\n" + header + moves + chunk(b"IDAT", b"") + chunk(b"IEND", b"")


def jpeg(width: int = 3, height: int = 2, marker: int = 0xC0) -> bytes:
    app = b"\xff\xe0" + struct.pack(">H", 16) + bytes(14)
    size = struct.pack(">HBHHB", 8, 8, height, width, 0)
    return b"\xff\xd8" + app + b"\xff\xff" + bytes([marker]) + size + b"\xff\xda" + bytes(20)


def gif(width: int = 3, height: int = 2, frames: int = 1, wide: int = 1, colours: bool = True) -> bytes:
    table = bytes(3 * 4) if colours else b""
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x81 if colours else 0, 0, 0) + table
    extension = b"\x21\xf9\x04" + bytes(4) + b"\0"
    frame = b"\x2c" + struct.pack("<HHHHB", 0, 0, wide, 1, 0x81) + bytes(12) + b"\x02" + b"\x02ab" + b"\0"
    return head + (extension + frame) * frames + b"\x3b"


def webp(width: int = 3, height: int = 2, frames: int = 0, form: str = "VP8X") -> bytes:
    def riff(name: bytes, data: bytes) -> bytes:
        return name + struct.pack("<I", len(data)) + data + bytes(len(data) & 1)

    if form == "VP8 ":
        inside = riff(b"VP8 ", bytes(6) + struct.pack("<HH", width, height))
    elif form == "VP8L":
        inside = riff(b"VP8L", b"\x2f" + struct.pack("<I", width - 1 | (height - 1) << 14))
    else:
        sides = (width - 1).to_bytes(3, "little") + (height - 1).to_bytes(3, "little")
        inside = riff(b"VP8X", bytes(4) + sides) + riff(b"ANMF", bytes(17)) * frames
    return riff(b"RIFF", b"WEBP" + inside)


def wav(seconds: float = 1, rate: int = 16_000, codec: int = 1, declared: int | None = None) -> bytes:
    samples = bytes(int(seconds * rate) * 2)
    form = struct.pack("<HHIIHH", codec, 1, rate, rate * 2, 2, 16)
    size = len(samples) if declared is None else declared
    return (
        b"RIFF" + struct.pack("<I", 36 + len(samples)) + b"WAVEfmt " + struct.pack("<I", 16) + form
        + b"data" + struct.pack("<I", size) + samples
    )  # fmt: skip


def mp3(frames: int = 10, tag: int = 0) -> bytes:
    """Of 128 kbit/s at 44.1 kHz: 417 bytes and 26 ms each."""
    head = b"ID3\x04\0\0" + bytes([0, 0, tag >> 7, tag & 127]) + bytes(tag) if tag else b""
    return head + (b"\xff\xfb\x90\x00" + bytes(413)) * frames


def damaged(whole: bytes) -> Iterator[bytes]:
    """At each byte: cut there, and with another byte there."""
    for at in range(len(whole)):
        yield whole[:at]
        yield whole[:at] + b"\xff" + whole[at + 1 :]
        yield whole[:at] + b"\0" + whole[at + 1 :]
