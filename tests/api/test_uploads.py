"""Many large uploads, one after the other: nothing of them stays."""

import gc
import struct

import httpx2

from .doors import Door

HEAR = "/v1/audio/transcriptions"
RATE, CHANNELS = 192_000, 8
UPLOAD = 20_000_000  # bytes, of a little over three seconds


def surround() -> bytes:
    """A WAV of 32-bit floats, silent."""
    frame = 4 * CHANNELS
    samples = bytes(UPLOAD // frame * frame)
    kind = struct.pack("<HHIIHH", 3, CHANNELS, RATE, RATE * frame, frame, 32)
    chunks = b"fmt " + struct.pack("<I", len(kind)) + kind + b"data" + struct.pack("<I", len(samples))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(samples)) + b"WAVE" + chunks + samples


def resident(door: Door) -> int:
    """Bytes, of the door and of every engine."""
    gc.collect()
    return sum(process.memory_info().rss for process in door.family())


def test_twenty_uploads_leave_nothing_behind(door: Door, http: httpx2.Client) -> None:
    file = ("many channels.wav", surround(), "audio/wav")
    form = {"model": "pocketsphinx-en"}
    seen = []
    for _ in range(20):
        answer = http.post(HEAR, data=form, files={"file": file})
        assert answer.json() == {"text": "", "usage": {"type": "duration", "seconds": 4}}
        seen.append(resident(door))
    warm, end = seen[7], min(seen[-4:])
    assert end - warm < 2 * UPLOAD, seen  # kept, the twelve since would be 240 MB
