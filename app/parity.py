"""Do all replicas of an embedding model give the same vectors? Fixed probes, and how far they lie apart."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from backends.contract.results import Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

# Of every sort that tokenizers and numeric kernels treat apart, none longer than a hundred tokens.
PROBES: tuple[str, ...] = (
    "a",
    "hello world",
    "The quick brown fox jumps over the lazy dog.",
    "THE QUICK BROWN FOX JUMPS OVER THE LAZY DOG.",
    "How do plants make their food?",
    "Plants make sugar from light, water and air; the oxygen is what they breathe out.",
    "The central bank raised its interest rates by 0.25 % on 2024-03-21, to 5.50 %.",
    "3.14159 2.71828 1.41421 0.57721 1e-9 -273.15 42",
    "Grüße aus Köln: naïve Übung, façade, smörgåsbord, ßen",
    "東京は日本の首都です。 北京是中国的首都。 서울은 대한민국의 수도이다.",
    "Москва — столица России. Η Αθήνα είναι η πρωτεύουσα της Ελλάδας.",
    "🚀 🐍 ∑∫√∞ ≤ ≥ — “quotes” … ™ ©",
    "def mean(xs: list[float]) -> float:\n    return sum(xs) / len(xs)\n",
    "SELECT name, count(*) FROM orders WHERE total > 100 GROUP BY name ORDER BY 2 DESC;",
    "antidisestablishmentarianism pneumonoultramicroscopicsilicovolcanoconiosis",
    "A motley fleet is one of many makes: an old gaming card, a mini-PC with an integrated GPU, a laptop "
    "and a server in the cellar. Each holds what fits its memory, and all of them answer under one "
    "address, so that whoever asks need not know which of them it was that computed the answer.",
)


def rows(vectors: Vectors) -> "Rows":
    """One row a text."""
    return np.frombuffer(vectors.data, "<f4").reshape(vectors.count, vectors.dimensions)


def apart(answers: Sequence["Rows"]) -> list[float | None]:
    """For each of several answers to the same texts, the largest difference of any component to that
    of any other answer. None where that cannot be said: other dimensions, or no finite numbers."""
    if len({each.shape for each in answers}) != 1:
        return [None] * len(answers)
    every = np.stack(answers)
    if not np.isfinite(every).all():
        return [None] * len(answers)
    low, high = every.min(0), every.max(0)
    return [float(np.maximum(each - low, high - each).max()) for each in answers]
