"""What is read from a model's logits, and added to them, between two tokens.

Probabilities are the model's own: before bias, penalties, temperature and constraints.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

# JSON has no infinity; OpenAI writes this for a token that cannot come.
NEVER = -9999.0


@dataclass(frozen=True, slots=True)
class Score:
    """A chosen token, its log-probability, and the likeliest (token, log-probability) beside it."""

    token: bytes
    logprob: float
    top: tuple[tuple[bytes, float], ...] = ()


class Scorer:
    """`spell`: token id → its bytes. `alternatives`: how many to tell beside each chosen one."""

    def __init__(self, alternatives: int, spell: Callable[[int], bytes]) -> None:
        self._alternatives, self._spell = alternatives, spell

    def read(self, logits: Any) -> Any:
        """Logits of one position (numpy, by token) → log-probabilities."""
        import numpy as np

        shifted = logits.astype(np.float64) - logits.max()
        return shifted - np.log(np.exp(shifted).sum())

    def score(self, logprobs: Any, token: int) -> Score:
        top: tuple[tuple[bytes, float], ...] = ()
        if self._alternatives:
            # A stable sort, so that equals come in the order of their ids.
            best = (-logprobs).argsort(kind="stable")[: self._alternatives]
            top = tuple((self._spell(int(one)), max(float(logprobs[one]), NEVER)) for one in best)
        return Score(self._spell(token), max(float(logprobs[token]), NEVER), top)


class Steering:
    """`logit_bias` and the penalties, which count what this answer has said so far."""

    def __init__(self, bias: Mapping[int, float], presence: float, frequency: float) -> None:
        self._bias = list(bias.items())
        self._presence, self._frequency = presence, frequency
        self._said: dict[int, int] = {}

    def steer(self, logits: Any) -> None:
        """Changes the logits of one position in place."""
        for token, more in self._bias:
            logits[token] += more
        if self._presence or self._frequency:
            for token, times in self._said.items():
                logits[token] -= self._presence + times * self._frequency

    def chose(self, token: int) -> None:
        self._said[token] = self._said.get(token, 0) + 1
