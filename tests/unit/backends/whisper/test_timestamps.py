"""What the model leaves open at a clip's end is closed; and tokens are cut to segments."""

import pytest

from backends.whisper.timestamps import LAST, closed, segments

T = 50_364  # the token of 0 s


@pytest.mark.parametrize(
    ("tokens", "seconds", "expected"),
    [
        ([T, 1, 2, T + 50], 3.0, [T, 1, 2, T + 50]),
        ([T, 1, T + 50, T + 50, 2, 3], 3.0, [T, 1, T + 50, T + 50, 2, 3, T + 150]),
        ([T, 1, 2], 2.99, [T, 1, 2, T + 150]),
        ([1, 2], 30.0, [1, 2, T + LAST]),
        ([T + 200, 1], 3.0, [T + 200, 1, T + 200]),  # never an end before its beginning
        ([], 3.0, []),
    ],
)
def test_closed(tokens: list[int], seconds: float, expected: list[int]) -> None:
    assert closed(tokens, seconds, T) == expected


def test_segments() -> None:
    tokens = [T, 1, 2, T + 50, T + 75, 3, T + 100, T + 100]
    first, second = segments(tokens, T)
    assert first == (0, 1, slice(0, 4))
    assert second == (1.5, 2, slice(4, 7))
    assert segments([1, 2, T + 150], T) == [(0, 3, slice(0, 3))]
    assert segments([T, T + 5], T) == segments([], T) == []
