"""Cuts sound into the clips that Whisper hears: at most 30 seconds, which is all it can take at once.

The sound of a file passes through in stretches of a minute, so an hour needs no more memory than
that. With a detector of speech the clips are what is spoken, and silence is left out; without one
they follow one another without a gap, cut at the quietest place of their last seconds.
"""

from collections.abc import Callable, Generator
from dataclasses import dataclass
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from backends.audio import windows
from backends.contract.audio import Audio

RATE = 16_000
LONGEST = 30 * RATE  # in samples, as all lengths here
_STRETCH = 2 * LONGEST
_SEARCH = 4 * RATE
_FRAME = RATE // 10
# What is kept of the end of a stretch without speech: a word may begin there.
_MARGIN = RATE // 2

Sound = NDArray[np.float32]
# Where speech is in a sound: (start, end) in samples, in order, each at most LONGEST long.
Detector = Callable[[Sound], list[tuple[int, int]]]


@dataclass(frozen=True, slots=True)
class Clip:
    """`start`: seconds from the beginning of the file. No `sound` (float32, 16 kHz): nothing was
    said up to `start`. The last clip of a file is such a one and tells its duration."""

    start: float
    sound: Sound

    @property
    def end(self) -> float:
        return self.start + len(self.sound) / RATE


def clips(
    audio: Audio, speech: Detector | None, longest_s: float | None = None
) -> Generator[Clip, None, None]:
    """Raises MediaUnsupported (`param="file"`) for what cannot be decoded, MediaTooLong for what plays
    longer than `longest_s`."""
    pending, base = bytearray(), 0
    for window in chain(windows(audio, RATE, 5.0, longest_s), (b"",)):
        pending += window
        last = not window
        if len(pending) < 2 * _STRETCH and not last:
            continue
        sound = np.frombuffer(bytes(pending), "<i2").astype(np.float32) / np.float32(32_768)
        spans, used = _unbroken(sound, last) if speech is None else _spoken(sound, last, speech)
        for start, end in spans:
            yield Clip((base + start) / RATE, sound[start:end].copy())
        base += used
        del pending[: 2 * used]
        if last or not spans:
            yield Clip(base / RATE, np.zeros(0, np.float32))


def _spoken(sound: Sound, last: bool, speech: Detector) -> tuple[list[tuple[int, int]], int]:
    """(clips that are complete, how much of the sound is done with).

    Utterances are joined to clips as long as they may be: each clip costs the model the same.
    """
    groups: list[tuple[int, int]] = []
    for start, end in speech(sound):
        if groups and end - groups[-1][0] <= LONGEST:
            groups[-1] = (groups[-1][0], end)
        else:
            groups.append((start, end))
    if last:
        return groups, len(sound)
    if groups and groups[-1][0] + LONGEST > len(sound):
        unfinished, _ = groups.pop()  # what comes next may belong to it
        return groups, unfinished
    return groups, max(len(sound) - _MARGIN, groups[-1][1] if groups else 0)


def _unbroken(sound: Sound, last: bool) -> tuple[list[tuple[int, int]], int]:
    spans, at = [], 0
    while (left := len(sound) - at) > LONGEST or (last and left):
        end = at + (_quietest(sound[at : at + LONGEST]) if left > LONGEST else left)
        spans.append((at, end))
        at = end
    return spans, at


def _quietest(sound: Sound) -> int:
    """The middle of the frame with the least energy near the end."""
    first = len(sound) - _SEARCH
    frames = sound[first : first + _SEARCH // _FRAME * _FRAME].reshape(-1, _FRAME)
    return first + int((frames**2).sum(axis=1).argmin()) * _FRAME + _FRAME // 2
