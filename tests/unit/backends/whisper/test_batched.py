"""What the model leaves open at a clip's end is closed, and nothing else is touched."""

import pytest

from backends.whisper.batched import LAST, closed

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
