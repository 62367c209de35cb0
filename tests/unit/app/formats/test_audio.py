"""Speech in every format that is offered: it streams, decodes back, and lets go."""

import array
import asyncio
import io
import itertools
import math
import struct
from collections.abc import AsyncGenerator, Iterator

import av
import pytest

from app.formats.audio import FORMATS, MEDIA_TYPES, RATE, Format, encode, encode_whole
from backends.contract.results import Pcm

PIECE_S = 0.5


def tone(seconds: float, rate: int = 22_050, hertz: float = 440) -> Pcm:
    samples = (int(9000 * math.sin(2 * math.pi * hertz * i / rate)) for i in range(int(seconds * rate)))
    return Pcm(array.array("h", samples).tobytes(), rate)


class Source:
    """Pieces of a tone; counts what was asked of it."""

    def __init__(self, count: int, fails_after: int | None = None) -> None:
        self.given, self.closed = 0, False
        self._count, self._fails_after = count, fails_after

    async def pieces(self) -> AsyncGenerator[Pcm, None]:
        try:
            while self.given < self._count:
                if self.given == self._fails_after:
                    raise ZeroDivisionError
                self.given += 1
                yield tone(PIECE_S)
        finally:
            self.closed = True


def decoded(data: bytes, wanted: Format) -> "tuple[array.array[int], int]":
    """Samples and rate."""
    if wanted == "pcm":
        return array.array("h", data), RATE
    with av.open(io.BytesIO(data), "r") as container:
        resampler = av.AudioResampler(format="s16", layout="mono")
        frames = [made for frame in container.decode(audio=0) for made in resampler.resample(frame)]
        samples = array.array("h", b"".join(bytes(f.planes[0])[: f.samples * 2] for f in frames))
        return samples, frames[0].sample_rate


def pitch(samples: "array.array[int]", rate: int) -> float:
    """In Hz, from the upward zero crossings of the middle."""
    middle = samples[len(samples) // 4 : 3 * len(samples) // 4]
    crossings = sum(1 for a, b in itertools.pairwise(middle) if a < 0 <= b)
    return crossings * rate / len(middle)


@pytest.mark.parametrize("wanted", FORMATS)
async def test_streams_and_decodes_back(wanted: Format) -> None:
    source = Source(8)
    chunks, given = [], []
    async for chunk in encode(source.pieces(), wanted):
        chunks.append(chunk)
        given.append(source.given)
    assert given[0] <= 2, "the first bytes come before the last piece is made"
    assert len(chunks) >= 6
    samples, rate = decoded(b"".join(chunks), wanted)
    assert len(samples) / rate == pytest.approx(8 * PIECE_S, abs=0.12)
    assert pitch(samples, rate) == pytest.approx(440, rel=0.02)
    assert source.closed


@pytest.mark.parametrize("wanted", FORMATS)
def test_whole_decodes_back(wanted: Format) -> None:
    samples, rate = decoded(encode_whole([tone(1.0), tone(0.5)], wanted), wanted)
    assert len(samples) / rate == pytest.approx(1.5, abs=0.12)
    assert max(samples) > 4000


@pytest.mark.parametrize("wanted", FORMATS)
async def test_closing_closes_the_source(wanted: Format) -> None:
    source = Source(100)
    stream = encode(source.pieces(), wanted)
    await anext(stream)
    await stream.aclose()
    assert source.closed
    assert source.given < 10


async def test_cancelling_in_the_middle_of_work_is_clean() -> None:
    source = Source(1000)

    async def listen() -> None:
        async for _ in encode(source.pieces(), "mp3"):
            pass

    listening = asyncio.create_task(listen())
    await asyncio.sleep(0.05)
    listening.cancel()
    await asyncio.wait({listening})
    assert listening.cancelled()
    assert source.given < 1000


async def test_a_failing_source_fails_the_stream() -> None:
    source = Source(8, fails_after=3)
    with pytest.raises(ZeroDivisionError):
        async for _ in encode(source.pieces(), "opus"):
            pass
    assert source.closed


async def test_rates_may_change_on_the_way() -> None:
    async def mixed() -> AsyncGenerator[Pcm, None]:
        for rate in (22_050, 22_050, 16_000, 48_000):
            yield tone(0.5, rate)

    data = b"".join([chunk async for chunk in encode(mixed(), "pcm")])
    assert len(data) / 2 / RATE == pytest.approx(2.0, abs=0.02)
    assert pitch(array.array("h", data), RATE) == pytest.approx(440, rel=0.03)


async def test_a_streamed_wav_says_it_does_not_know_its_length_and_a_whole_one_knows() -> None:
    streamed = b"".join([chunk async for chunk in encode(Source(2).pieces(), "wav")])
    assert _data_size(streamed) == struct.unpack_from("<I", streamed, 4)[0] == 0xFFFFFFFF
    whole = encode_whole([tone(1.0)], "wav")
    assert _data_size(whole) == len(whole) - whole.index(b"data") - 8
    assert struct.unpack_from("<I", whole, 4)[0] == len(whole) - 8


async def test_ogg_comes_in_short_pages_and_its_last_says_where_the_speech_ends() -> None:
    streamed = b"".join([chunk async for chunk in encode(Source(5).pieces(), "opus")])
    pages = list(_pages(streamed))
    skipped = struct.unpack_from("<H", streamed, streamed.index(b"OpusHead") + 10)[0]
    ends = [granule for _, granule in pages[2:]]  # two of headers
    assert max(after - before for before, after in itertools.pairwise([0, *ends])) <= 48_000 * 0.12
    assert ends[-1] - skipped == pytest.approx(48_000 * 5 * PIECE_S, abs=2)
    assert [bool(flags & 4) for flags, _ in pages] == [False] * (len(pages) - 1) + [True]


def _pages(ogg: bytes) -> Iterator[tuple[int, int]]:
    """Each page's flags, and the number of samples (48 kHz) at its end."""
    at = 0
    while at < len(ogg):
        mark, _, flags, granule, _, _, _, count = struct.unpack_from("<4sBBqIIIB", ogg, at)
        assert mark == b"OggS"
        yield flags, granule
        at += 27 + count + sum(ogg[at + 27 : at + 27 + count])


def _data_size(wav: bytes) -> int:
    size: int = struct.unpack_from("<I", wav, wav.index(b"data") + 4)[0]
    return size


def test_every_format_has_a_media_type() -> None:
    assert set(MEDIA_TYPES) == set(FORMATS) == {"mp3", "opus", "aac", "flac", "wav", "pcm"}
