"""Embeddings → OpenAI's list, as numbers or as base64 of little-endian float32."""

import base64
from typing import Any

import numpy as np

from backends.contract.results import Vectors


def render(vectors: Vectors, model: str, *, as_base64: bool) -> dict[str, Any]:
    """`{"object": "list", "data", "model", "usage"}`; float rows stay numpy rows of float32,
    which the JSON writer prints with the digits that float32 has."""
    width = vectors.dimensions * 4
    if as_base64:
        cuts = range(0, vectors.count * width, width)
        rows: list[Any] = [base64.b64encode(vectors.data[at : at + width]).decode() for at in cuts]
    else:
        rows = list(np.frombuffer(vectors.data, "<f4").reshape(vectors.count, vectors.dimensions))
    return {
        "object": "list",
        "data": [{"object": "embedding", "index": index, "embedding": row} for index, row in enumerate(rows)],
        "model": model,
        "usage": {"prompt_tokens": vectors.tokens, "total_tokens": vectors.tokens},
    }
