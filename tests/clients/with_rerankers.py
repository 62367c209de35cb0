"""What LangChain's and LlamaIndex's rerankers, Cohere's and Jina's, make of the endpoint that
`OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON: `with_rerankers.py PART…`.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

import requests
from question import DOCUMENTS, MODEL, QUERY

URL, KEY = os.environ["OPENAI_BASE_URL"].removesuffix("/v1"), os.environ["OPENAI_API_KEY"]


class Elsewhere(requests.adapters.HTTPAdapter):
    """Jina's address leads to the door: some of Jina's clients know of no other."""

    def send(self, request: Any, **more: Any) -> Any:
        request.url = request.url.replace("https://api.jina.ai", URL)
        return super().send(request, **more)


def langchain() -> dict[str, Any]:
    from langchain_cohere import CohereRerank
    from langchain_community.document_compressors import JinaRerank
    from langchain_core.documents import Document

    documents = [Document(text, metadata={"number": number}) for number, text in enumerate(DOCUMENTS)]
    books = [{"title": str(number), "plot": text} for number, text in enumerate(DOCUMENTS)]
    by_cohere = CohereRerank(base_url=URL, cohere_api_key=KEY, model=MODEL)

    def ranks(of: Any) -> list[list[Any]]:
        found = of.compress_documents(documents, QUERY)
        return [[one.metadata["number"], one.metadata["relevance_score"]] for one in found]

    def jina(model: str) -> JinaRerank:
        reranker = JinaRerank(jina_api_key=KEY, model=model)
        reranker.session.mount("https://", Elsewhere())
        return reranker

    return {
        "cohere": ranks(by_cohere),
        "books": by_cohere.rerank(books, QUERY, rank_fields=["plot"], max_tokens_per_doc=64),
        "jina": ranks(jina(MODEL)),
        "refused": failure(lambda: ranks(jina("nobody"))),
    }


def llamaindex() -> dict[str, Any]:
    import llama_index.postprocessor.cohere_rerank as llama_cohere
    import llama_index.postprocessor.jinaai_rerank as llama_jina
    from llama_index.core.schema import NodeWithScore, TextNode

    nodes = [
        NodeWithScore(node=TextNode(id_=str(number), text=text)) for number, text in enumerate(DOCUMENTS)
    ]

    def ranks(of: Any) -> list[list[Any]]:
        return [[int(one.node.node_id), one.score] for one in of.postprocess_nodes(nodes, query_str=QUERY)]

    def jina(model: str) -> llama_jina.JinaRerank:
        reranker = llama_jina.JinaRerank(api_key=KEY, model=model, top_n=3)
        reranker._session.mount("https://", Elsewhere())
        return reranker

    return {
        "cohere": ranks(llama_cohere.CohereRerank(base_url=URL, api_key=KEY, model=MODEL, top_n=3)),
        "jina": ranks(jina(MODEL)),
        "refused": failure(lambda: ranks(jina("nobody"))),
    }


def failure(call: Callable[[], object]) -> str:
    try:
        call()
    except RuntimeError as error:
        return str(error)
    return ""


PARTS: dict[str, Callable[[], dict[str, Any]]] = {"langchain": langchain, "llamaindex": llamaindex}

if __name__ == "__main__":
    print(json.dumps({part: PARTS[part]() for part in sys.argv[1:]}))
