"""Whisper's tokens of time: one before and one after each segment, counted in steps from a clip's beginning.

`first` is the token of 0 s here; all from it on are times.
"""

import math
from itertools import pairwise

STEP_S = 0.02
LAST = 1500  # steps: 30 s


def closed(tokens: list[int], seconds: float, first: int) -> list[int]:
    """With the end of a clip of so many seconds after text that the model left open."""
    if not tokens or tokens[-1] >= first:
        return tokens
    began = max((token for token in tokens if token >= first), default=first)
    return [*tokens, max(began, first + min(LAST, math.ceil(seconds / STEP_S)))]


def segments(tokens: list[int], first: int) -> list[tuple[float, float, slice]]:
    """(start in seconds, end, which of the tokens) of all that has text. `tokens` are closed."""
    cuts = [at for at in range(1, len(tokens)) if min(tokens[at - 1 : at + 1]) >= first]
    found = []
    for begin, end in pairwise([0, *cuts, len(tokens)]):
        times = [token - first for token in tokens[begin:end] if token >= first]
        if len(times) < end - begin:
            start = times[0] if tokens[begin] >= first else 0
            found.append((start * STEP_S, times[-1] * STEP_S, slice(begin, end)))
    return found
