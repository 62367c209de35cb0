"""What the Cohere SDK makes of the endpoint that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON:
`with_cohere.py PART…`. Its base URL has no `/v1`.
"""

import asyncio
import json
import os
import sys
from collections.abc import Callable
from typing import Any

import cohere
from cohere.core.api_error import ApiError
from question import DOCUMENTS, MODEL, QUERY

URL, KEY = os.environ["OPENAI_BASE_URL"].removesuffix("/v1"), os.environ["OPENAI_API_KEY"]
ASKED: dict[str, Any] = {"model": MODEL, "query": QUERY, "documents": DOCUMENTS}


def second() -> dict[str, Any]:
    client = cohere.ClientV2(KEY, base_url=URL)

    async def awaited() -> Any:
        async with cohere.AsyncClientV2(KEY, base_url=URL) as client:
            return await client.rerank(**ASKED, top_n=1)

    return {
        "whole": read(client.rerank(**ASKED)),
        "top": read(client.rerank(**ASKED, top_n=2, max_tokens_per_doc=64)),
        "awaited": read(asyncio.run(awaited())),
        "by_alias": read(cohere.ClientV2(KEY, base_url=f"{URL}/{MODEL}").rerank(**ASKED)),
    }


def first() -> dict[str, Any]:
    client = cohere.Client(KEY, base_url=URL)
    books = [{"title": str(number), "plot": text} for number, text in enumerate(DOCUMENTS)]
    fields: dict[str, Any] = {"rank_fields": ["plot"], "return_documents": True}
    return {
        "whole": read(client.rerank(**ASKED)),
        "top": read(client.rerank(**ASKED, top_n=2, return_documents=False, max_chunks_per_doc=10)),
        "books": read(client.rerank(**{**ASKED, "documents": books}, top_n=1, **fields)),
    }


def read(told: Any) -> dict[str, Any]:
    return {
        "id": told.id,
        "results": [[one.index, one.relevance_score] for one in told.results],
        "documents": [one.document.dict() for one in told.results if getattr(one, "document", None)],
        "version": told.meta.api_version.version,
        "units": told.meta.billed_units.search_units,
        "tokens": told.meta.tokens.input_tokens,
    }


def refusals() -> dict[str, Any]:
    client = cohere.ClientV2(KEY, base_url=URL)
    return {
        "model": refusal(lambda: client.rerank(**{**ASKED, "model": "nobody"})),
        "query": refusal(lambda: client.rerank(**{**ASKED, "query": ""})),
        "key": refusal(lambda: cohere.ClientV2("sk-wrong", base_url=URL).rerank(**ASKED)),
    }


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    try:
        call()
    except ApiError as error:
        return {"status": error.status_code, "kind": type(error).__name__, "body": error.body}
    return {"status": 200}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"first": first, "second": second, "refusals": refusals}

if __name__ == "__main__":
    print(json.dumps({part: PARTS[part]() for part in sys.argv[1:]}))
