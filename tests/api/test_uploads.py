"""What uploads cost: nothing of them stays, and no recording is held as samples."""

import gc
import io
import os
import re
import struct
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO

import av
import httpx2
import psutil
import pytest

from backends.serve.janitor import MARK

from .doors import Door

HEAR = "/v1/audio/transcriptions"
RATE, CHANNELS = 192_000, 8
UPLOAD = 20_000_000  # bytes, of a little over three seconds


def surround(size: int = UPLOAD) -> bytes:
    """A WAV of 32-bit floats, silent."""
    frame = 4 * CHANNELS
    samples = bytes(size // frame * frame)
    kind = struct.pack("<HHIIHH", 3, CHANNELS, RATE, RATE * frame, frame, 32)
    chunks = b"fmt " + struct.pack("<I", len(kind)) + kind + b"data" + struct.pack("<I", len(samples))
    return b"RIFF" + struct.pack("<I", 4 + len(chunks) + len(samples)) + b"WAVE" + chunks + samples


# Whom an upload passes through. Ray's own processes, and replicas that nobody asks, grow by some 20 kB a
# second each, whether or not anything is sent.
CARRIERS = ("ServeReplica:door", "pocketsphinx", "haproxy")


def memory(door: Door, figure: str) -> int:
    """Bytes, of the door and of the engine: `RssAnon` now, `VmHWM` at the peak of each.

    Not `VmRSS`: pages of Ray's object store are counted there once touched, freed and used again or not.
    """
    gc.collect()
    total = 0
    for process in door.family():
        with suppress(OSError, psutil.NoSuchProcess):  # it has ended meanwhile
            ours = process.pid == os.getpid() or any(name in " ".join(process.cmdline()) for name in CARRIERS)
            if not ours:
                continue
            status = Path(f"/proc/{process.pid}/status").read_text()
            total += sum(int(found) * 1024 for found in re.findall(rf"{figure}:\s+(\d+) kB", status))
    return total


def test_uploads_leave_nothing_behind(
    door: Door, http: httpx2.Client, request: pytest.FixtureRequest
) -> None:
    """Twenty; two hundred by `make test-soak`."""
    file = ("many channels.wav", surround(), "audio/wav")
    form = {"model": "pocketsphinx-en"}
    seen = []
    for _ in range(request.config.getoption("--uploads")):
        answer = http.post(HEAR, data=form, files={"file": file})
        assert answer.json() == {"text": "", "usage": {"type": "duration", "seconds": 4}}
        seen.append(memory(door, "RssAnon"))
    warm, end = seen[7], min(seen[-4:])
    print(
        f"\nMB after {len(seen)} uploads of {UPLOAD / 1e6:.0f} MB:",
        *(round(each / 1e6) for each in seen[7::12]),
    )
    assert end - warm < 2 * UPLOAD, seen  # kept, the twelve since would be 240 MB


def silence(minutes: int) -> bytes:
    """A FLAC, whose samples are 1.9 MB a minute."""
    file = io.BytesIO()
    with av.open(file, "w", format="flac") as container:
        stream = container.add_stream("flac", rate=16_000)
        stream.codec_context.layout, stream.codec_context.format = "mono", "s16"
        for _ in range(minutes):
            frame = av.AudioFrame(format="s16", layout="mono", samples=960_000)
            frame.planes[0].update(bytes(1_920_000))
            frame.sample_rate = 16_000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def most(door: Door, http: httpx2.Client, sound: bytes | BinaryIO, seconds: int) -> int:
    """The peak of memory while a recording is heard."""
    for process in door.family():
        with suppress(OSError):
            Path(f"/proc/{process.pid}/clear_refs").write_text("5")  # the peak begins anew
    answer = http.post(HEAR, data={"model": "pocketsphinx-en"}, files={"file": sound})
    assert answer.json() == {"text": "", "usage": {"type": "duration", "seconds": seconds}}
    return memory(door, "VmHWM")


def test_half_an_hour_takes_no_more_memory_than_three_minutes(door: Door, http: httpx2.Client) -> None:
    short, long = silence(3), silence(30)
    most(door, http, short, 180)
    before = most(door, http, short, 180)
    assert most(door, http, long, 1800) - before < 25_000_000  # of samples there are 58 MB


def test_a_large_upload_is_held_by_nobody(door: Door, http: httpx2.Client, tmp_path: Path) -> None:
    """Of what it is larger than another, less than half is seen in all who carry it together: it lies in a
    file, and is decoded from there."""
    peaks = []
    for size, seconds in ((UPLOAD, 4), (UPLOAD, 4), (3 * UPLOAD, 10)):
        (tmp_path / "sound.wav").write_bytes(surround(size))
        with (tmp_path / "sound.wav").open("rb") as file:  # this process may be the door's
            peaks.append(most(door, http, file, seconds))
    assert peaks[2] - peaks[1] < UPLOAD, peaks


def test_it_is_sent_to_who_cannot_reach_the_file(door: Door, http: httpx2.Client) -> None:
    """As from another machine: the door's socket is not there. (In one process nothing has to be reached.)"""
    homes = set()
    for process in door.family():
        with suppress(psutil.Error):  # it has ended meanwhile
            homes.add(process.environ().get(MARK, "/nowhere"))
    there = [socket for home in homes for socket in Path(home).glob("lane-*/s")]
    for socket in there:
        socket.rename(socket.with_name("away"))
    try:
        answer = http.post(HEAR, data={"model": "pocketsphinx-en"}, files={"file": surround()})
    finally:
        for socket in there:
            socket.with_name("away").rename(socket)
    assert answer.json() == {"text": "", "usage": {"type": "duration", "seconds": 4}}
