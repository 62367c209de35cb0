"""Speech as it comes from an engine → the audio format a request asks for, as it comes."""

import asyncio
import io
from collections.abc import AsyncGenerator, Iterable
from fractions import Fraction
from typing import Any, Literal, NamedTuple, get_args

import av
from av.audio.resampler import AudioResampler
from av.audio.stream import AudioStream

from backends.contract.results import Pcm

Format = Literal["mp3", "opus", "aac", "flac", "wav", "pcm"]
FORMATS: tuple[Format, ...] = get_args(Format)

MEDIA_TYPES: dict[Format, str] = {
    "mp3": "audio/mpeg",
    "opus": "audio/ogg",
    "aac": "audio/aac",
    "flac": "audio/flac",
    "wav": "audio/wav",
    "pcm": "audio/pcm",
}

RATE = 24_000  # what OpenAI documents for `pcm`, and sends in the others


class _Recipe(NamedTuple):
    """FFmpeg's names: muxer, encoder, sample format; bits a second; options of the muxer."""

    muxer: str
    encoder: str
    sample_format: str
    bit_rate: int | None = None
    options: dict[str, str] = {}  # noqa: RUF012  (never written to)


_RECIPES: dict[Format, _Recipe] = {
    "mp3": _Recipe("mp3", "libmp3lame", "s16p", 64_000),
    # Microseconds: pages of a second, the default, would hold back the first sound.
    "opus": _Recipe("ogg", "libopus", "s16", 32_000, {"page_duration": "100000"}),
    "aac": _Recipe("adts", "aac", "fltp", 64_000),
    "flac": _Recipe("flac", "flac", "s16"),
    "wav": _Recipe("wav", "pcm_s16le", "s16"),
}


async def encode(source: AsyncGenerator[Pcm, None], wanted: Format) -> AsyncGenerator[bytes, None]:
    """The encoded sound, as soon as there is some of it. Closing this closes `source`.

    The length is not known when the header is written: WAV says 0xFFFFFFFF, the others need none.
    """
    encoder = _Encoder(wanted, _Sink())
    working: asyncio.Task[bytes] | None = None
    try:
        async for piece in source:
            # Threads: half a second of MP3 is up to 15 ms of work, during which others would wait.
            working = asyncio.create_task(asyncio.to_thread(encoder.feed, piece))
            if made := await asyncio.shield(working):
                yield made
        working = asyncio.create_task(asyncio.to_thread(encoder.finish))
        if made := await asyncio.shield(working):
            yield made
    finally:
        if working is not None:
            await asyncio.wait({working})  # a thread cannot be stopped, only waited for
        encoder.close()
        await source.aclose()


def encode_whole(pieces: Iterable[Pcm], wanted: Format) -> bytes:
    """The same when all is known beforehand: headers carry the true sizes. Blocks."""
    whole = io.BytesIO()
    encoder = _Encoder(wanted, whole)
    try:
        made = b"".join(map(encoder.feed, pieces)) + encoder.finish()
    finally:
        encoder.close()
    return made or whole.getvalue()


class _Sink(io.RawIOBase):
    """What a streamed answer is: written once, never gone back in."""

    def __init__(self) -> None:
        self._parts: list[bytes] = []

    def writable(self) -> bool:
        return True

    def write(self, part: Any) -> int:
        self._parts.append(bytes(part))
        return len(part)

    def take(self) -> bytes:
        taken = b"".join(self._parts)
        self._parts.clear()
        return taken


class _Encoder:
    """Samples of any rate in; what is ready of the wanted format out (nothing, where the sink
    is one that keeps it)."""

    def __init__(self, wanted: Format, sink: _Sink | io.BytesIO) -> None:
        self._sink = sink
        self._resampler: AudioResampler | None = None
        self._rate = 0
        self._fed = self._made = 0
        self._container: av.container.OutputContainer | None = None
        if wanted == "pcm":
            self._sample_format = "s16"
            return
        recipe = _RECIPES[wanted]
        self._sample_format = recipe.sample_format
        self._container = av.open(sink, "w", format=recipe.muxer, container_options=recipe.options)
        self._stream: AudioStream = self._container.add_stream(recipe.encoder, rate=RATE)  # type: ignore[assignment]
        self._stream.codec_context.layout = "mono"
        self._stream.codec_context.format = recipe.sample_format
        if recipe.bit_rate:
            self._stream.bit_rate = recipe.bit_rate

    def feed(self, piece: Pcm) -> bytes:
        made = b""
        if piece.rate != self._rate:
            made = self._write(self._rest())
            self._resampler = AudioResampler(format=self._sample_format, layout="mono", rate=RATE)
            self._rate, self._fed = piece.rate, 0
        count = len(piece.samples) // 2
        if not count or self._resampler is None:
            return made
        frame = av.AudioFrame(format="s16", layout="mono", samples=count)
        frame.planes[0].update(piece.samples[: count * 2])
        frame.sample_rate, frame.time_base = piece.rate, Fraction(1, piece.rate)
        frame.pts, self._fed = self._fed, self._fed + count
        return made + self._write(self._resampler.resample(frame))

    def finish(self) -> bytes:
        """What was held back, and the trailer."""
        made = self._write(self._rest())
        if self._container is not None:
            self._container.mux(self._stream.encode(None))
            self.close()
            made += self._taken()
        return made

    def close(self) -> None:
        if self._container is not None:
            self._container.close()
            self._container = None

    def _rest(self) -> list[av.AudioFrame]:
        return self._resampler.resample(None) if self._resampler is not None else []

    def _write(self, frames: list[av.AudioFrame]) -> bytes:
        if self._container is None:
            return b"".join(bytes(frame.planes[0])[: frame.samples * 2] for frame in frames)
        for frame in frames:
            # One clock for all. Left to itself, the muxer would not count what Opus takes to settle,
            # and the last page would say that the speech ends 6.5 ms late.
            frame.pts, frame.time_base = self._made, Fraction(1, RATE)
            self._made += frame.samples
            self._container.mux(self._stream.encode(frame))
        return self._taken()

    def _taken(self) -> bytes:
        return self._sink.take() if isinstance(self._sink, _Sink) else b""
