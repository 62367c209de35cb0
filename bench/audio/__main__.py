"""What the door and Ray cost hearing and speaking: the same libraries asked directly and a peer, interleaved.

    python -m bench.audio [PAIRS] [--hours N]

- library: faster-whisper itself in this process, as its own documentation has it;
- engine:  the host around our engine in this process, no HTTP;
- ray:     `motley up`: HAProxy, the door, Ray Serve, a replica;
- peer:    wyoming-faster-whisper, a server around the same library, by its own protocol.

The Whisper is a tiny one of random weights: what is measured is everything around the model, and
hardest, because a real model takes longer. `make bench-audio` sets OMP_WAIT_POLICY=passive for all sides:
threads that spin after their work would be charged to whoever comes next. `--hours N`: how high the
replica's memory climbs over a file of so many hours, beside one of three minutes; alone with PAIRS 0.
"""

import argparse
import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from app.formats.audio import encode_whole
from backends.contract.results import Pcm
from bench import results
from bench.audio.sides import LINE, Sides, Sound, at_once, cut

PEER = "wyoming-faster-whisper"


def main(pairs: int, hours: float) -> None:
    sides = Sides()
    try:
        print(f"{sides.versions()}\nload: {_load()}")
        speech = sides.spoken(LINE * 20)
        minute, half = cut(speech, 60), cut(speech, 30)
        _same(sides, minute)
        if pairs:
            _one_file(sides, minute, pairs)
            _eight_files(sides, half, max(3, pairs // 3))
            _first_sound(sides, pairs)
        if hours:
            _memory(sides, speech, hours)
        print(f"\nload: {_load()}")
    finally:
        sides.close()


def _same(sides: Sides, sound: Sound) -> None:
    """Raises RuntimeError where a server says other words than what is behind it. The engine says more than
    the library of as many tokens: that drops what follows a clip's last timestamp."""
    for server, behind in ((sides.by_ray, sides.by_engine), (sides.by_peer, sides.by_library)):
        if server(sound).split() != behind(sound).split():
            raise RuntimeError("the sides do not compute the same")


def _one_file(sides: Sides, minute: Sound, pairs: int) -> None:
    asked = (sides.by_library, sides.by_engine, sides.by_ray, sides.by_peer)
    took = _interleaved([lambda side=side: side(minute) for side in asked], pairs)  # type: ignore[misc]
    library, engine, ray, peer = (statistics.median(each) for each in took)
    row = {"faster-whisper itself": library, "our engine": engine, "Motley": ray, PEER: peer}
    results.kept("audio-file", "Hearing a file", "ms", {"60 s": row}, rounds=pairs, versions=_versions(sides))
    print(f"\na file of 60 s, ms, median of {pairs}:")
    print(f"library {library:.0f}  engine {engine:.0f}  ray {ray:.0f}  peer {peer:.0f}")
    print(f"door and Ray over the library: {ray - library:+.0f} ms, {100 * (ray / library - 1):+.1f} %")
    print(f"the peer over the library: {peer - library:+.0f} ms, {100 * (peer / library - 1):+.1f} %")
    print(f"ray's speed, of the peer's: {_ratio(took[3], took[2]):.2f}")


def _eight_files(sides: Sides, half: Sound, pairs: int) -> None:
    def in_turn() -> None:
        for _ in range(8):
            sides.by_engine(half)

    took = _interleaved(
        [in_turn, lambda: at_once(sides.by_ray, [half] * 8), lambda: at_once(sides.by_peer, [half] * 8)],
        pairs,
    )
    alone, ray, peer = (statistics.median(each) for each in took)
    row, told = {"our engine, in turn": alone, "Motley": ray, PEER: peer}, _versions(sides)
    title, least = "Hearing eight files at once", {"rounds": pairs, "enough": 5}
    results.kept("audio-eight", title, "ms", {"30 s each": row}, versions=told, **least)
    print(f"\neight files of 30 s, ms, median of {pairs}:")
    print(f"engine, in turn {alone:.0f}  ray, at once {ray:.0f}  peer, at once {peer:.0f}")
    print(
        f"throughput of ray's eight at once: {_ratio(took[0], took[1]):.2f} of the engine in turn, ", end=""
    )
    print(f"{_ratio(took[2], took[1]):.2f} of the peer's")


def _first_sound(sides: Sides, pairs: int) -> None:
    forms = ("pcm", "wav", "mp3", "opus", "aac", "flac")
    sides_of: list[Callable[[], object]] = [sides.first_sound]
    sides_of += [lambda form=form: sides.first_bytes(form) for form in forms]  # type: ignore[misc]
    direct, *asked = (statistics.median(each) for each in _interleaved(sides_of, pairs))
    rows = {form: {"Motley": took} for form, took in zip(forms, asked, strict=True)}
    rows["pcm"] = {"espeak-ng itself": direct, **rows["pcm"]}
    title, told = "First sound of espeak-ng", _versions(sides)
    results.kept("audio-speak", title, "ms", rows, rounds=pairs, versions=told)
    print(f"\nfirst sound of espeak-ng, ms, median of {pairs}:  direct {direct:.1f}")
    print("  ".join(f"{form} {took:.1f}" for form, took in zip(forms, asked, strict=True)) + "  (ray)")
    print(f"pcm over the direct call: {asked[0] - direct:+.1f} ms")


def _memory(sides: Sides, speech: list[Pcm], hours: float) -> None:
    """A minute and a half of speech and silence over and over, as AAC, whose frames need no beginning: the
    file itself must be held, so it is to be small. Three minutes twice: the first warms up."""
    rate, spoken = speech[0].rate, speech[:50]
    silence = bytes(2 * rate * 90 - sum(len(piece.samples) for piece in spoken))
    bit = encode_whole([*spoken, Pcm(silence, rate)], "aac")
    pid, peaks = sides.ray.replica("whisper")["pid"], []
    print()
    for minutes in (3, 3, round(60 * hours)):
        sound = bit * round(minutes / 1.5)
        Path(f"/proc/{pid}/clear_refs").write_text("5")  # the peak begins anew
        began = time.perf_counter()
        sides.by_ray(Sound(b"", sound))
        took = time.perf_counter() - began
        peaks.append(_peak(pid) / 2**20)
        print(f"{minutes} minutes ({len(sound) / 2**20:.1f} MiB) in {took:.0f} s: peak {peaks[-1]:.0f} MiB")
    print(f"the peak of the long file, of the short one's: {peaks[-1] / peaks[-2]:.2f}")


def _peak(pid: int) -> int:
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


def _versions(sides: Sides) -> list[str]:
    return sides.versions().splitlines()


def _load() -> str:
    """Processes that wanted a core, over the last 1, 5 and 15 minutes, and the cores."""
    return f"{' '.join(f'{each:.1f}' for each in os.getloadavg())} on {os.cpu_count()} cores"


def _interleaved(sides: list[Callable[[], object]], pairs: int) -> list[list[float]]:
    """Milliseconds of each round, by side."""
    took: list[list[float]] = [[] for _ in sides]
    for number in range(pairs + 2):
        for side, milliseconds in zip(sides, took, strict=True):
            began = time.perf_counter()
            side()
            if number >= 2:  # the first two warm up
                milliseconds.append(1000 * (time.perf_counter() - began))
    return took


def _ratio(theirs: list[float], ours: list[float]) -> float:
    """How many times as fast as they we are: the median of the rounds."""
    return statistics.median(their / our for their, our in zip(theirs, ours, strict=True))


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", type=int, nargs="?", default=15)
    parser.add_argument("--hours", type=float, default=0)
    given = parser.parse_args()
    main(given.pairs, given.hours)
