"""Scores → the shapes of Jina, Cohere, TEI and vLLM. The best first, equals in the order they were given;
vLLM's in that order altogether."""

import time
from collections.abc import Sequence
from typing import Any, Literal

from backends.contract.results import Ranking

# Of documents to one query, by Cohere's reckoning.
_SEARCH_UNIT = 100


def v1(
    ranking: Ranking,
    request_id: str,
    model: str,
    documents: Sequence[Any],
    *,
    top_n: int | None,
    with_documents: bool,
) -> dict[str, Any]:
    """Jina's and Cohere's in one: `{"id", "object", "model", "results": [{"index", "relevance_score",
    "document"?}], "usage", "meta"}`"""
    shown = v2(ranking, request_id, documents, top_n=top_n, with_documents=with_documents, version="1")
    usage = {"prompt_tokens": ranking.tokens, "total_tokens": ranking.tokens}
    return {**shown, "object": "list", "model": model, "usage": usage}


def v2(
    ranking: Ranking,
    request_id: str,
    documents: Sequence[Any],
    *,
    top_n: int | None,
    with_documents: bool,
    version: Literal["1", "2"] = "2",
) -> dict[str, Any]:
    """Cohere's: `{"id", "results", "meta": {"api_version", "billed_units", "tokens"}}`"""
    return {
        "id": request_id,
        "results": [
            {
                "index": index,
                "relevance_score": ranking.scores[index],
                **({"document": documents[index]} if with_documents else {}),
            }
            for index in _order(ranking)[:top_n]
        ],
        "meta": {
            "api_version": {"version": version, "is_experimental": False},
            "billed_units": {"search_units": -(-len(documents) // _SEARCH_UNIT)},
            "tokens": {"input_tokens": ranking.tokens, "output_tokens": 0},
        },
    }


def tei(ranking: Ranking, texts: Sequence[str], *, with_texts: bool) -> list[dict[str, Any]]:
    """`[{"index", "score", "text"?}]`"""
    return [
        {
            "index": index,
            "score": ranking.scores[index],
            **({"text": texts[index]} if with_texts else {}),
        }
        for index in _order(ranking)
    ]


def scores(ranking: Ranking, request_id: str, model: str) -> dict[str, Any]:
    """vLLM's: `{"id", "object", "created", "model", "data": [{"index", "object", "score"}], "usage"}`"""
    return {
        "id": f"score-{request_id}",
        "object": "list",
        "created": int(time.time()),
        "model": model,
        "data": [
            {"index": index, "object": "score", "score": score} for index, score in enumerate(ranking.scores)
        ],
        "usage": {
            "prompt_tokens": ranking.tokens,
            "completion_tokens": 0,
            "total_tokens": ranking.tokens,
        },
    }


def _order(ranking: Ranking) -> list[int]:
    return sorted(range(len(ranking.scores)), key=lambda index: -ranking.scores[index])
