"""Embeddings → OpenAI's list, as numbers or as base64 of little-endian float32; or TEI's bare array."""

import base64
from typing import Any

import numpy as np

from backends.contract.results import Vectors


def render(vectors: Vectors, model: str, *, as_base64: bool) -> dict[str, Any]:
    """`{"object": "list", "data", "model", "usage"}`"""
    width = vectors.dimensions * 4
    if as_base64:
        cuts = range(0, vectors.count * width, width)
        found: list[Any] = [base64.b64encode(vectors.data[at : at + width]).decode() for at in cuts]
    else:
        found = rows(vectors)
    return {
        "object": "list",
        "data": [
            {"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(found)
        ],
        "model": model,
        "usage": {"prompt_tokens": vectors.tokens, "total_tokens": vectors.tokens},
    }


def rows(vectors: Vectors) -> list[Any]:
    """Rows of float32, which the JSON writer prints with the digits that float32 has."""
    return list(np.frombuffer(vectors.data, "<f4").reshape(vectors.count, vectors.dimensions))
