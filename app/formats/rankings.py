"""Scores → Jina's shape: the best first, equals in the order they were given."""

from collections.abc import Sequence
from typing import Any

from backends.contract.results import Ranking


def render(
    ranking: Ranking, model: str, documents: Sequence[str], *, top_n: int | None, with_documents: bool
) -> dict[str, Any]:
    """`{"model", "results": [{"index", "relevance_score", "document"?}], "usage"}`"""
    order = sorted(range(len(documents)), key=lambda index: -ranking.scores[index])
    return {
        "model": model,
        "results": [
            {
                "index": index,
                "relevance_score": ranking.scores[index],
                **({"document": {"text": documents[index]}} if with_documents else {}),
            }
            for index in order[:top_n]
        ],
        "usage": {"prompt_tokens": ranking.tokens, "total_tokens": ranking.tokens},
    }
