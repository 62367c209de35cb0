"""Another pace, the same pitch, as it comes."""

from collections.abc import AsyncGenerator

import numpy as np
import pytest

from backends.contract.results import Pcm
from backends.pace import paced
from tests.sounds import pitch, tone

PIECE_S, PIECES = 0.5, 12


class Source:
    def __init__(self, *pieces: Pcm) -> None:
        self.pieces, self.given, self.closed = pieces, 0, False

    async def stream(self) -> AsyncGenerator[Pcm, None]:
        try:
            for piece in self.pieces:
                self.given += 1
                yield piece
        finally:
            self.closed = True


@pytest.mark.parametrize("tempo", [0.25, 0.4, 0.5, 0.8, 1.5, 2.0, 3.0, 4.0])
async def test_the_duration_changes_and_the_pitch_does_not(tempo: float) -> None:
    source = Source(*[tone(PIECE_S)] * PIECES)
    pieces = [piece async for piece in paced(source.stream(), tempo)]
    assert {piece.rate for piece in pieces} == {22_050}
    samples = np.frombuffer(b"".join(piece.samples for piece in pieces), "<i2")
    assert len(samples) / 22_050 == pytest.approx(PIECES * PIECE_S / tempo, rel=0.02)
    assert pitch(samples, 22_050) == pytest.approx(440, rel=0.02)
    assert source.closed


async def test_it_comes_before_all_has_been_said() -> None:
    source = Source(*[tone(PIECE_S)] * PIECES)
    stream = paced(source.stream(), 0.5)
    await anext(stream)
    assert source.given == 1
    await stream.aclose()
    assert source.closed


async def test_a_rate_that_changes() -> None:
    source = Source(tone(1, 22_050), tone(1, 16_000))
    pieces = [piece async for piece in paced(source.stream(), 2.0)]
    for rate in (22_050, 16_000):
        told = sum(len(piece.samples) // 2 for piece in pieces if piece.rate == rate)
        assert told / rate == pytest.approx(0.5, rel=0.05)


async def test_next_to_nothing_is_not_lost() -> None:
    pieces = [piece async for piece in paced(Source(tone(0.2)).stream(), 0.5)]
    assert sum(len(piece.samples) for piece in pieces) / 2 / 22_050 == pytest.approx(0.4, rel=0.1)
