"""What is embedded: words of one token each, so that a text has as many tokens as it should."""

import random
from collections.abc import Iterator
from typing import Any

import orjson

EMBED, RERANK = "minilm", "ranker"
SPECIAL = 2  # [CLS] and [SEP]
WORDS = (  # noqa: SIM905 - a hundred quotes
    "the of and to in is you that it he was for on are as with his they at be this have from or one had by "
    "word but not what all were we when your can said there use an each which she do how their if will up "
    "other about out many then them these so some her would make like him into time has look two more write "
    "go see number no way could people my than first water been call who oil its now find long down day did "
    "get come made may part"
).split()


class Texts:
    """Random, from a seed: every side is asked the same, and nobody the same thing twice."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)

    def one(self, tokens: int) -> str:
        """About so many tokens: a quarter more or less."""
        count = self._random.randint(round(tokens * 0.75), round(tokens * 1.25)) - SPECIAL
        return " ".join(self._random.choices(WORDS, k=max(1, count)))

    def some(self, count: int, tokens: int) -> list[str]:
        return [self.one(tokens) for _ in range(count)]

    def any_length(self, most: int) -> list[str]:
        """One to eight texts, each of 1 to `most` tokens."""
        count = self._random.choice((1, 1, 1, 1, 2, 4, 8))
        lengths = [self._random.randint(1, most) for _ in range(count)]
        return [" ".join(self._random.choices(WORDS, k=length)) for length in lengths]

    def bodies(self, inputs: int, tokens: int) -> Iterator[bytes]:
        while True:
            yield embed_body(self.some(inputs, tokens))


def embed_body(texts: list[str]) -> bytes:
    """As the OpenAI SDK asks: for base64."""
    return orjson.dumps({"model": EMBED, "input": texts, "encoding_format": "base64"})


def rerank_body(query: str, documents: list[str]) -> bytes:
    asked: dict[str, Any] = {"model": RERANK, "query": query, "documents": documents}
    return orjson.dumps({**asked, "return_documents": False})
