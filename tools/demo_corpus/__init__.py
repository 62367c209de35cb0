"""The text Motley's demo chat model is trained on: short dialogues drawn from templates.

Everything here was written for this project. `dialogues(count, seed)` gives the same list for the same
arguments: one `random.Random(seed)` makes every choice. A dialogue is a list of chat messages in the
OpenAI shape (`role`, `content`, for calls `tool_calls`) and, for about one in seven, a list of tools.

The model should be right about what is written here (`taught`, `intents`, `talks`, `tooling`) and should say
so when it is asked about anything else (`untaught`): a fifth of its questions are of that kind.

`PYTHONPATH=tools python -m demo_corpus 20` prints twenty dialogues.
"""

from __future__ import annotations

import random
from collections.abc import Iterable

from .talks import KINDS, Dialogue
from .taught import NAME

__all__ = ["NAME", "SEED", "Dialogue", "dialogues", "texts"]

SEED = 21


def dialogues(count: int, seed: int = SEED, name: str = NAME) -> list[Dialogue]:
    """`count` dialogues in which the model calls itself `name`; equal arguments give equal dialogues."""
    rng = random.Random(seed)
    kinds, weights = list(KINDS), list(KINDS.values())
    drawn = [rng.choices(kinds, weights)[0](rng) for _ in range(count)]
    for message in (message for dialogue in drawn for message in dialogue.messages):
        message["content"] = message["content"].replace(NAME, name)
    return drawn


def texts(corpus: Iterable[Dialogue]) -> Iterable[str]:
    """All message contents, for training the tokenizer."""
    for dialogue in corpus:
        for message in dialogue.messages:
            yield message["content"]
