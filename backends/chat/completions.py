"""OpenAI's older `completions`: plain texts to continue, without roles and without a template.

A prompt is the caller's whole prompt: names of control tokens in it are read as those tokens, as
whoever writes a template by hand needs them to be.
"""

from collections.abc import Mapping, Sequence
from itertools import accumulate
from typing import Any

from backends.chat import fields
from backends.chat.asked import MOST_CHOICES, Asked, sampling
from backends.chat.chunks import Answer, Piece
from backends.chat.logits import Score
from backends.contract.errors import InvalidRequest

HONOURED = frozenset({
    "model", "prompt", "echo", "max_tokens", "temperature", "top_p", "n", "best_of", "stream",
    "stream_options", "logprobs", "stop", "seed", "logit_bias", "presence_penalty", "frequency_penalty",
})  # fmt: skip
INERT = frozenset({"user"})
NEUTRAL: Mapping[str, tuple[Any, ...]] = {"suffix": ("",)}
MOST_ALTERNATIVES = 5
TOKENS = 16  # OpenAI's own default


def read(body: Mapping[str, Any]) -> Asked:
    """Raises InvalidRequest for a field that is refused or a value out of its range."""
    fields.decide(body, HONOURED, INERT, NEUTRAL)
    prompts = _prompts(body.get("prompt"))
    n = fields.whole(body, "n", 1, MOST_CHOICES) or 1
    if len(prompts) * n > MOST_CHOICES:
        param = "prompt" if n == 1 else "n"
        raise InvalidRequest(f"'prompt' and 'n' ask for more than {MOST_CHOICES} choices", param=param)
    if fields.whole(body, "best_of", 1) not in (None, n):
        raise InvalidRequest("'best_of' must be what 'n' is: choices are not ranked here", param="best_of")
    alternatives = fields.whole(body, "logprobs", 0, MOST_ALTERNATIVES)
    echo = fields.flag(body, "echo")
    if echo and alternatives is not None:
        raise InvalidRequest("'echo' tells no 'logprobs' of the prompt on this model", param="echo")
    most = fields.whole(body, "max_tokens", 0)
    return Asked(
        messages=None,
        prompts=prompts,
        most=TOKENS if most is None else most,
        n=n,
        alternatives=alternatives,
        echo=echo,
        **sampling(body),
    )


def _prompts(value: Any) -> tuple[str, ...]:
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not given:
        raise InvalidRequest("'prompt' must be a string or a list of strings", param="prompt")
    if not all(isinstance(one, str) for one in given):
        raise InvalidRequest("'prompt' must hold strings: token ids are not offered", param="prompt")
    if not all(given):
        raise InvalidRequest("'prompt' must not be empty", param="prompt")
    return tuple(fields.text(one, "prompt") for one in given)


def answer(wanted: Asked, prompt_tokens: int, fingerprint: str) -> Answer:
    return Answer(
        wanted.model,
        prompt_tokens,
        streams=wanted.streams,
        usage_event=wanted.usage_event,
        fingerprint=fingerprint,
        choices=[
            TextChoice(
                at * wanted.n + number,
                prompt if wanted.echo else "",
                None if wanted.alternatives is None else wanted.alternatives > 0,
            )
            for at, prompt in enumerate(wanted.prompts)
            for number in range(wanted.n)
        ],
        prefix="cmpl",
        kind="text_completion",
        chunk="text_completion",
    )


class TextChoice:
    """One choice, beginning with `echoed`. `scored`: None without logprobs, else with
    alternatives or without."""

    def __init__(self, index: int, echoed: str, scored: bool | None) -> None:
        self._index, self._echoed, self._scored = index, echoed, scored
        self._texts: list[str] = []
        self._scores: list[Score] = []
        self._offset = 0
        self._finish: str | None = None

    def events(self, piece: Piece) -> list[dict[str, Any]]:
        self.keep(piece)
        if not (piece.finish or any(self._texts)):
            return []
        choice = self.whole()
        self._texts.clear()
        self._scores.clear()
        return [choice]

    def keep(self, piece: Piece) -> None:
        self._finish = piece.finish
        self._texts += (self._echoed, piece.text)
        self._echoed = ""
        self._scores += piece.scores

    def whole(self) -> dict[str, Any]:
        told = None if self._scored is None else self._logprobs()
        return {
            "text": "".join(self._texts),
            "index": self._index,
            "logprobs": told,
            "finish_reason": self._finish,
        }

    def _logprobs(self) -> dict[str, Any]:
        tokens = [_spelt(score.token) for score in self._scores]
        starts = list(accumulate(map(len, tokens), initial=self._offset))
        self._offset = starts.pop()
        return {
            "tokens": tokens,
            "token_logprobs": [score.logprob for score in self._scores],
            "top_logprobs": [_alternatives(score) for score in self._scores] if self._scored else None,
            "text_offset": starts,
        }


def _alternatives(score: Score) -> dict[str, float]:
    """The likeliest, and the chosen one, which OpenAI adds where it is not among them."""
    listed: Sequence[tuple[bytes, float]] = (*score.top, (score.token, score.logprob))
    return {_spelt(token): logprob for token, logprob in listed}


def _spelt(token: bytes) -> str:
    return token.decode(errors="replace")
