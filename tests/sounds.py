"""Sound to send, and what an independent decoder makes of the sound we emit.

That decoder is libsndfile, which shares no code with FFmpeg. It has no AAC: there FFmpeg's own
decoder hears the samples, and the frames' headers, read here, say rate, channels and length.
"""

import io
import wave
from typing import NamedTuple

import av
import numpy as np
import soundfile

from app.formats.audio import Format
from backends.contract.results import Pcm

Samples = np.ndarray[tuple[int, ...], np.dtype[np.int16]]
_ADTS_RATES = (96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000)


class Sound(NamedTuple):
    samples: Samples
    rate: int
    channels: int
    kind: str

    @property
    def seconds(self) -> float:
        return len(self.samples) / self.rate


class _Forwards(soundfile.SoundFile):  # type: ignore[misc]
    """A stream does not say how long it is: it is read to its end, without looking back."""

    def seekable(self) -> bool:
        return False


def decoded(data: bytes, form: Format) -> Sound:
    """Raises what the decoder raises. `kind`: the container and the codec."""
    if form == "pcm":
        return Sound(np.frombuffer(data, "<i2"), 24_000, 1, "pcm")
    if form == "aac":
        return _aac(data)
    with _Forwards(io.BytesIO(data)) as file:
        parts = []
        while len(part := file.read(4096, dtype="int16", always_2d=True)):
            parts.append(part[:, 0])
        return Sound(
            np.concatenate(parts), file.samplerate, file.channels, f"{file.format} {file.subtype}".lower()
        )


def _aac(data: bytes) -> Sound:
    at = blocks = rate = channels = 0
    while at < len(data):
        head = data[at : at + 7]
        assert head[0] == 0xFF, "every frame begins with its mark"
        assert head[1] & 0xF6 == 0xF0
        rate, channels = _ADTS_RATES[head[2] >> 2 & 15], (head[2] & 1) << 2 | head[3] >> 6
        blocks += 1 + (head[6] & 3)
        at += (head[3] & 3) << 11 | head[4] << 3 | head[5] >> 5
    assert at == len(data), "the last frame is whole"
    with av.open(io.BytesIO(data), "r") as container:
        parts = [frame.to_ndarray()[0] for frame in container.decode(audio=0)]
    samples = (np.concatenate(parts) * 32_767).astype(np.int16)
    assert abs(len(samples) - blocks * 1024) <= 2048
    return Sound(samples, rate, channels, "aac")


def tone(seconds: float, rate: int = 22_050, hertz: float = 440) -> Pcm:
    clock = np.arange(int(seconds * rate)) / rate
    return Pcm((9_000 * np.sin(2 * np.pi * hertz * clock)).astype("<i2").tobytes(), rate)


def wav(samples: bytes, rate: int = 16_000, width: int = 2) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setparams((1, width, rate, 0, "NONE", ""))
        writer.writeframes(samples)
    return file.getvalue()


def pitch(samples: Samples, rate: int) -> float:
    """In Hz, from the upward zero crossings of the middle."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    crossings = np.count_nonzero((middle[:-1] < 0) & (middle[1:] >= 0))
    return float(crossings) * rate / len(middle)
