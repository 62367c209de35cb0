"""Asking an engine for vectors and scores, and reading what comes."""

import random
from typing import Any

import numpy as np

from backends.contract.results import Ranking, Vectors
from backends.contract.tasks import EmbedTask, RerankTask
from backends.host import Host


async def embed(host: Host, *texts: str, **asked: Any) -> Vectors:
    return await host.call(EmbedTask("r", texts, **asked))


async def rerank(host: Host, query: str, *documents: str, **asked: Any) -> Ranking:
    return await host.call(RerankTask("r", query, documents, **asked))


def rows(vectors: Vectors) -> np.ndarray:
    return np.frombuffer(vectors.data, "<f4").reshape(vectors.count, vectors.dimensions)


def text(chance: random.Random, most: int = 60) -> str:
    """Fewer tokens than that, without the special ones."""
    return " ".join(chance.choice("abcdefghij0123456789") for _ in range(chance.randrange(1, most)))
