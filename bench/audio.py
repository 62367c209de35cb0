"""What the door and Ray cost hearing and speaking: the same libraries asked directly, interleaved.

    python -m bench.audio [PAIRS] [--hours N]

- library: faster-whisper itself in this process, as its own documentation has it;
- engine:  the host around our engine in this process, no HTTP;
- ray:     `motley up`: HAProxy, the door, Ray Serve, a replica.

The Whisper is a tiny one of random weights: what is measured is everything around the model, and
hardest, because a real model takes longer. `make bench-audio` sets OMP_WAIT_POLICY=passive for all sides:
threads that spin after their work would be charged to whoever comes next. `--hours N`: how high the
replica's memory climbs over a file of so many hours, beside one of three minutes.
"""

import argparse
import asyncio
import io
import statistics
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml
from faster_whisper import BatchedInferencePipeline, WhisperModel

from app.formats.audio import encode_whole
from app.upstream.local import LocalUpstream
from backends.contract.results import Pcm
from backends.contract.tasks import SpeakTask, TranscribeTask
from backends.fleet.schema import Fleet, app_name
from bench.door import Loop
from tests.running import Running
from tests.whisper.checkpoint import made

LINE = "I would like to order a cup of coffee please. Our company will release the new product next week. "
THREADS = 2
# Once through, with what the model first says: random weights would be doubted for ever.
HEARING: dict[str, Any] = {"threads": THREADS, "beam_size": 5, "max_new_tokens": 64, "batch": 1}
SURE: dict[str, Any] = dict.fromkeys(("log_prob", "compression_ratio", "no_speech"))


def fleet(whisper: Path) -> dict[str, Any]:
    place = {"node": "here"}
    scale = {"max_ongoing": 8, "max_queued": 32}
    options = {**HEARING, **{f"{name}_threshold": value for name, value in SURE.items()}}
    return {
        "version": 1,
        "nodes": {"here": {"vendor": "cpu", "cpus": 2, "memory": "4Gi"}},
        "models": {
            "whisper": {
                **{"task": "transcribe", "engine": "faster-whisper", "source": f"file://{whisper}"},
                **{"options": options, "place": place, "scale": scale},
            },
            "espeak-ng": {
                **{"task": "speak", "engine": "espeak-ng", "source": "builtin://espeak-ng"},
                "place": place,
            },
        },
    }


class Sides:
    """Everything that is asked, up and loaded."""

    def __init__(self) -> None:
        whisper = made()
        document = fleet(whisper)
        self.loop, self.upstream = Loop(), LocalUpstream.from_fleet(Fleet.model_validate(document))
        self.loop.run(self._load())
        model = WhisperModel(str(whisper), device="cpu", compute_type="int8", cpu_threads=THREADS)
        self.library = BatchedInferencePipeline(model)
        file = Path(tempfile.mkdtemp()) / "fleet.yaml"
        file.write_text(yaml.safe_dump(document))
        self.ray = Running(file)
        self.http = httpx2.Client(base_url=self.ray.url, timeout=600)

    async def _load(self) -> None:
        await asyncio.gather(*(host.load() for host in self.upstream.hosts.values()))

    def close(self) -> None:
        self.loop.run(self.upstream.close())
        self.http.close()
        self.ray.stop()

    def by_library(self, sound: bytes) -> None:
        segments, _ = self.library.transcribe(
            io.BytesIO(sound),
            **{"language": "en", "batch_size": 1, "beam_size": HEARING["beam_size"], "temperature": 0.0},
            **{"max_new_tokens": HEARING["max_new_tokens"], "without_timestamps": False},
        )
        list(segments)

    def by_engine(self, sound: bytes) -> None:
        self.loop.run(self._heard(sound))

    async def _heard(self, sound: bytes) -> None:
        host = self.upstream.hosts[app_name("whisper", "main")]
        async for _ in host.stream(TranscribeTask("bench", sound, languages=("en",))):
            pass

    def by_ray(self, sound: bytes) -> None:
        asked = {"model": "whisper", "language": "en"}
        files = {"file": ("bench.wav", sound, "audio/wav")}
        self.http.post("/v1/audio/transcriptions", data=asked, files=files).raise_for_status()

    def spoken(self, text: str) -> list[Pcm]:
        pieces: list[Pcm] = []

        async def speak() -> None:
            host = self.upstream.hosts[app_name("espeak-ng", "main")]
            async for batch in host.stream(SpeakTask("bench", text, "nova")):
                pieces.extend(batch)

        self.loop.run(speak())
        return pieces

    def first_sound(self) -> None:
        async def first() -> None:
            stream = self.upstream.hosts[app_name("espeak-ng", "main")].stream(
                SpeakTask("bench", LINE * 4, "nova")
            )
            try:
                await anext(stream)
            finally:
                await stream.aclose()

        self.loop.run(first())

    def first_bytes(self, form: str) -> None:
        asked = {"model": "espeak-ng", "voice": "nova", "input": LINE * 4, "response_format": form}
        with self.http.stream("POST", "/v1/audio/speech", json=asked) as answer:
            answer.raise_for_status()
            next(answer.iter_bytes())


def main(pairs: int, hours: float) -> None:
    sides = Sides()
    try:
        speech = sides.spoken(LINE * 20)
        minute, half = _cut(speech, 60), _cut(speech, 30)
        _one_file(sides, minute, pairs)
        _eight_files(sides, half, max(3, pairs // 3))
        _first_sound(sides, pairs)
        if hours:
            _memory(sides, speech, hours)
    finally:
        sides.close()


def _one_file(sides: Sides, minute: bytes, pairs: int) -> None:
    library, engine, ray = _interleaved(
        [lambda: sides.by_library(minute), lambda: sides.by_engine(minute), lambda: sides.by_ray(minute)],
        pairs,
    )
    print(f"\na file of 60 s, ms, median of {pairs}:")
    print(f"library {library:.0f}  engine {engine:.0f}  ray {ray:.0f}")
    print(f"door and Ray over the library: {ray - library:+.0f} ms, {100 * (ray / library - 1):+.1f} %")


def _eight_files(sides: Sides, half: bytes, pairs: int) -> None:
    def together() -> None:
        with ThreadPoolExecutor(8) as callers:
            list(callers.map(sides.by_ray, [half] * 8))

    def in_turn() -> None:
        for _ in range(8):
            sides.by_engine(half)

    alone, parallel = _interleaved([in_turn, together], pairs)
    print(f"\neight files of 30 s, ms, median of {pairs}:")
    print(f"engine, in turn {alone:.0f}  ray, at once {parallel:.0f}")
    print(f"throughput of the eight at once: {alone / parallel:.2f} of in turn")


def _first_sound(sides: Sides, pairs: int) -> None:
    forms = ("pcm", "wav", "mp3", "opus", "aac", "flac")
    sides_of: list[Callable[[], None]] = [sides.first_sound]
    sides_of += [lambda form=form: sides.first_bytes(form) for form in forms]  # type: ignore[misc]
    direct, *asked = _interleaved(sides_of, pairs)
    print(f"\nfirst sound of espeak-ng, ms, median of {pairs}:  direct {direct:.1f}")
    print("  ".join(f"{form} {took:.1f}" for form, took in zip(forms, asked, strict=True)) + "  (ray)")
    print(f"pcm over the direct call: {asked[0] - direct:+.1f} ms")


def _memory(sides: Sides, speech: list[Pcm], hours: float) -> None:
    """Speech now and then in silence, as FLAC: the file itself must be held, so it is to be small."""
    pid = sides.ray.replica("whisper")["pid"]
    for minutes in (3.0, 60 * hours):
        rate = speech[0].rate
        bit = [*speech[:50], Pcm(bytes(2 * rate * 20), rate)]
        seconds = sum(len(piece.samples) for piece in bit) / 2 / rate
        sound = encode_whole(bit * max(1, round(60 * minutes / seconds)), "flac")
        began = time.perf_counter()
        sides.by_ray(sound)
        took = time.perf_counter() - began
        peak = _peak(pid) / 2**20
        print(f"{minutes:>5.0f} minutes ({len(sound) / 2**20:.1f} MiB) in {took:.0f} s: peak {peak:.0f} MiB")


def _peak(pid: int) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmHWM:"):
            return int(line.split()[1]) * 1024
    return int(psutil.Process(pid).memory_info().rss)


def _cut(speech: list[Pcm], seconds: int) -> bytes:
    rate = speech[0].rate
    samples = b"".join(piece.samples for piece in speech)[: 2 * rate * seconds]
    return encode_whole([Pcm(samples, rate)], "wav")


def _interleaved(sides: list[Callable[[], None]], pairs: int) -> list[float]:
    """Medians in milliseconds."""
    took: list[list[float]] = [[] for _ in sides]
    for number in range(pairs + 2):
        for side, milliseconds in zip(sides, took, strict=True):
            began = time.perf_counter()
            side()
            if number >= 2:  # the first two warm up
                milliseconds.append(1000 * (time.perf_counter() - began))
    return [statistics.median(one) for one in took]


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("pairs", type=int, nargs="?", default=15)
    parser.add_argument("--hours", type=float, default=0)
    given = parser.parse_args()
    main(given.pairs, given.hours)
