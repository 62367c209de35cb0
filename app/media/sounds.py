"""How long a sound plays, from its headers: of WAV and MP3, OpenAI's formats of sounds in chats.

Others compress silence without end. Uploads may be of any format: there an engine counts while it decodes
(`backends/audio.py`).
"""

import struct
from dataclasses import dataclass

from backends.contract.errors import MediaUnsupported

PCM, FLOAT, ALAW, ULAW, EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
# Below and above nobody records; what resamples from one hertz makes thousands of samples of each.
RATES = range(4_000, 384_001)

# MPEG audio, layer III: kbit/s by the four bits of a frame's head, for version 1 and for 2 and 2.5.
_BITRATES = {
    True: (0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    False: (0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_HZ = {3: (44_100, 48_000, 32_000), 2: (22_050, 24_000, 16_000), 0: (11_025, 12_000, 8_000)}


@dataclass(frozen=True, slots=True)
class Sound:
    """`kind`: of the bytes, whatever was said of them."""

    kind: str
    seconds: float


def sound(data: bytes) -> Sound:
    """Of a WAV of plain samples, or an MP3. Raises MediaUnsupported."""
    found = None
    if data.startswith(b"RIFF") and data[8:12] == b"WAVE":
        found = Sound("audio/wav", _wav_s(data))
    elif data.startswith((b"ID3", b"\xff")):
        found = Sound("audio/mpeg", _mp3_s(data))
    if found is None or not found.seconds:
        raise MediaUnsupported("the sound is no WAV of plain samples, and no MP3")
    return found


def _wav_s(data: bytes) -> float:
    """All that follows the first samples counts as samples. 0 where it is none of ours."""
    at, every = 12, 0
    while at + 8 <= len(data):
        name, size = struct.unpack_from("<4sI", data, at)
        at += 8
        if name == b"fmt " and size >= 16 and at + 16 <= len(data):
            codec, channels, rate, _, frame, bits = struct.unpack_from("<HHIIHH", data, at)
            if codec == EXTENSIBLE and size >= 26 and at + 26 <= len(data):
                (codec,) = struct.unpack_from("<H", data, at + 24)
            plain = codec in (PCM, FLOAT, ALAW, ULAW) and frame == channels * bits // 8
            every = frame * rate if plain and rate in RATES else 0
        elif name == b"data":
            return (len(data) - at) / every if every else 0.0
        at += size + (size & 1)
    return 0.0


def _mp3_s(data: bytes) -> float:
    """Frame by frame. 0 where the first does not follow at once: another format may."""
    at = 0
    if data.startswith(b"ID3") and len(data) >= 10:
        at = 10 + sum((byte & 0x7F) << shift for byte, shift in zip(data[6:10], (21, 14, 7, 0), strict=True))
    total, first = 0.0, at
    while (at := data.find(b"\xff", at)) >= 0 and at + 4 <= len(data):
        seconds, size = _frame(data[at : at + 4])
        if at == first and not size:
            return 0.0
        if not total and at != first:
            return 0.0
        total += seconds
        at += size or 1
    return total


def _frame(head: bytes) -> tuple[float, int]:
    """Seconds and bytes; zeros where this is no head of a frame."""
    version, layer = head[1] >> 3 & 3, head[1] >> 1 & 3
    speed, pitch, padding = head[2] >> 4, head[2] >> 2 & 3, head[2] >> 1 & 1
    if head[1] & 0xE0 != 0xE0 or version not in _HZ or layer != 1 or speed in (0, 15) or pitch == 3:
        return 0.0, 0
    rate, samples = _HZ[version][pitch], 1152 if version == 3 else 576
    return samples / rate, samples // 8 * _BITRATES[version == 3][speed] * 1000 // rate + padding
