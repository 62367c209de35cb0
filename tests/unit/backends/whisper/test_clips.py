"""Cutting sound into clips: nothing lost, nothing twice, times of the whole file."""

import io
import wave
from itertools import pairwise

import numpy as np
import pytest
from numpy.typing import NDArray

from backends.contract.errors import MediaUnsupported
from backends.whisper.clips import LONGEST, RATE, Clip, Sound, clips


def wav(samples: NDArray[np.int16]) -> bytes:
    file = io.BytesIO()
    with wave.open(file, "wb") as writer:
        writer.setnchannels(1)
        writer.setsampwidth(2)
        writer.setframerate(RATE)
        writer.writeframes(samples.tobytes())
    return file.getvalue()


def noise(seconds: float) -> NDArray[np.int16]:
    return np.random.default_rng(1).integers(-9000, 9000, int(seconds * RATE), dtype=np.int16)


def loud(sound: Sound) -> list[tuple[int, int]]:
    """A detector for tests: stretches that are not nought, cut at the longest a clip may be."""
    edges = np.flatnonzero(np.diff(np.concatenate([[0], (sound != 0).astype(int), [0]])))
    return [
        (at, min(at + LONGEST, int(end)))
        for start, end in edges.reshape(-1, 2)
        for at in range(int(start), int(end), LONGEST)
    ]


def cut(samples: NDArray[np.int16], *, speech: bool) -> list[Clip]:
    return list(clips(wav(samples), loud if speech else None))


@pytest.mark.parametrize("speech", [False, True])
@pytest.mark.parametrize("seconds", [0.05, 12.0, 30.0, 61.7, 200.0])
def test_all_of_the_sound_comes_once_and_in_order(seconds: float, speech: bool) -> None:
    samples = noise(seconds)
    samples[samples == 0] = 1
    found = cut(samples, speech=speech)
    heard = np.concatenate([clip.sound for clip in found])
    np.testing.assert_array_equal(heard, samples.astype(np.float32) / 32_768)
    spoken = [clip for clip in found if len(clip.sound)]
    assert all(len(clip.sound) <= LONGEST for clip in spoken)
    assert all(abs(a.end - b.start) < 1e-6 for a, b in pairwise(spoken))
    assert (found[-1].start, len(found[-1].sound)) == (pytest.approx(seconds), 0)


def test_without_a_detector_it_cuts_where_it_is_quiet() -> None:
    samples = noise(50)
    samples[28 * RATE : 28 * RATE + RATE // 5] //= 100
    first = cut(samples, speech=False)[0]
    assert 28 <= first.end <= 28.2


def test_silence_is_left_out_and_times_are_those_of_the_file() -> None:
    samples = np.zeros(600 * RATE, np.int16)
    for start, end in ((2, 5), (7, 9), (55, 70), (300, 301), (598, 600)):
        samples[start * RATE : end * RATE] = 5000
    found = cut(samples, speech=True)
    assert [(clip.start, clip.end) for clip in found if len(clip.sound)] == [
        (2, 9),  # joined: a clip costs the same
        (55, 70),  # across the end of the first stretch
        (300, 301),
        (598, 600),
    ]
    ends = [clip.end for clip in found]
    assert ends == sorted(ends)
    assert ends[-1] == 600
    assert max(b - a for a, b in pairwise(ends)) < 300, "long silences are told of as they pass"


def test_all_silence_has_a_duration_alone() -> None:
    found = cut(np.zeros(5 * RATE, np.int16), speech=True)
    assert [(clip.start, len(clip.sound)) for clip in found] == [(5, 0)]


def test_no_sound_is_refused() -> None:
    with pytest.raises(MediaUnsupported) as refused:
        list(clips(b"not a sound", None))
    assert refused.value.param == "file"
