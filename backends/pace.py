"""Speech at another pace and the same pitch, as it comes: FFmpeg's `atempo`."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import aclosing
from fractions import Fraction

import av
from av.filter import Graph

from backends.contract.results import Pcm

FRAME_S = 0.025


class Stretch:
    """Signed 16-bit mono samples at `rate` Hz in, the same at `tempo` (0.25 … 4) times the pace out.
    Holds back some hundredths of a second."""

    def __init__(self, rate: int, tempo: float) -> None:
        self._rate, self._fed = rate, 0
        self._graph = graph = Graph()
        self._source = last = graph.add_abuffer(
            format="s16", sample_rate=rate, layout="mono", time_base=Fraction(1, rate)
        )
        # One filter goes no slower than a half, and above double drops samples instead of blending.
        steps = 1 if 0.5 <= tempo <= 2 else 2
        for _ in range(steps):
            step = graph.add("atempo", f"{tempo ** (1 / steps):.6f}")
            last.link_to(step)
            last = step
        self._sink = graph.add("abuffersink")
        last.link_to(self._sink)
        graph.configure()

    def feed(self, samples: bytes) -> bytes:
        # The filter gives out a frame when it has heard the next: short ones, or it would lag.
        step = 2 * int(self._rate * FRAME_S)
        made = bytearray()
        for at in range(0, len(samples) & ~1, step):
            piece = samples[at : at + step]
            count = len(piece) // 2
            frame = av.AudioFrame(format="s16", layout="mono", samples=count)
            frame.planes[0].update(piece[: count * 2])
            frame.sample_rate, frame.time_base = self._rate, Fraction(1, self._rate)
            frame.pts, self._fed = self._fed, self._fed + count
            self._source.push(frame)
            made += self._ready()
        return bytes(made)

    def finish(self) -> bytes:
        """What was held back."""
        self._source.push(None)
        return self._ready()

    def _ready(self) -> bytes:
        made = bytearray()
        while True:
            try:
                got = self._sink.pull()
            except (EOFError, BlockingIOError):
                return bytes(made)
            assert isinstance(got, av.AudioFrame)
            made += bytes(got.planes[0])[: got.samples * 2]


async def paced(source: AsyncGenerator[Pcm, None], tempo: float) -> AsyncGenerator[Pcm, None]:
    """`source` at `tempo` times its pace. Closing this closes `source`."""
    stretch: Stretch | None = None
    rate = 0
    async with aclosing(source):
        async for piece in source:
            if stretch is None or piece.rate != rate:
                if stretch is not None and (rest := stretch.finish()):
                    yield Pcm(rest, rate)
                stretch, rate = Stretch(piece.rate, tempo), piece.rate
            # A thread: half a second of speech is some milliseconds of work.
            if made := await asyncio.to_thread(stretch.feed, piece.samples):
                yield Pcm(made, rate)
        if stretch is not None and (rest := stretch.finish()):
            yield Pcm(rest, rate)
