"""Takes a recording of a voice from an upload: what runs in the child of `app.voices`."""

import io
import wave
from array import array
from collections.abc import Generator, Mapping
from typing import Any

from backends.audio import windows
from backends.contract.audio import Audio
from backends.contract.errors import InvalidRequest
from backends.worker import Item

RATE = 24_000
SHORTEST_S, LONGEST_S = 6.0, 30.0
# A container's own idea of its length is off by a frame or two of the codec.
SLACK_S = 0.1
SILENT = 300  # the loudest sample of what counts as silence, of 32,767


def start(_: Mapping[str, Any]) -> "Recorder":
    return Recorder()


class Recorder:
    def take(self, _fields: Any, upload: Audio) -> Generator[Item | None, None, None]:
        """One item: `{"seconds"}`, and WAV of 16 bits, mono, at 24 kHz. Raises MediaUnsupported,
        and InvalidRequest for one that is too short, too long or silent."""
        sound = bytearray()
        for window in windows(upload, RATE):
            sound += window
            yield None
            if len(sound) / 2 / RATE > LONGEST_S + SLACK_S:
                raise InvalidRequest(f"the recording is longer than {LONGEST_S:g} seconds")
        seconds = len(sound) / 2 / RATE
        if seconds < SHORTEST_S - SLACK_S:
            raise InvalidRequest(
                f"the recording is {seconds:.1f} seconds long, and must be from {SHORTEST_S:g} to"
                f" {LONGEST_S:g}"
            )
        samples = array("h", bytes(sound))
        if -SILENT < min(samples) <= max(samples) < SILENT:
            raise InvalidRequest("there is nothing to hear in the recording")
        yield {"seconds": round(seconds, 3)}, _wav(bytes(sound))


def _wav(sound: bytes) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as written:
        written.setnchannels(1)
        written.setsampwidth(2)
        written.setframerate(RATE)
        written.writeframes(sound)
    return file.getvalue()
