"""What LangChain makes of the endpoint that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON.

Constructors are called as a user's first program calls them: with the model's name and no more.
"""

import json
import os
from collections.abc import Callable
from functools import reduce
from importlib.util import find_spec
from operator import add
from pathlib import Path
from typing import Any

import openai
from langchain_core.messages import HumanMessage, SystemMessage
from langchain_openai import ChatOpenAI, OpenAIEmbeddings

EMBED = "all-minilm-l6-v2"
QUESTION = "What is the capital of Japan?"
ANOTHER = "What is the capital of France?"


def chats() -> dict[str, Any]:
    chat = ChatOpenAI(model="motley-demo-chat")
    whole = chat.invoke(QUESTION)
    pieces = list(chat.stream(QUESTION))
    merged = reduce(add, pieces)
    counted = list(chat.stream(QUESTION, stream_usage=True))
    # What they made of our answers goes back as it is, with the fields they added.
    turns = [SystemMessage("Be brief."), HumanMessage(QUESTION), whole, HumanMessage(QUESTION), merged]
    return {
        "whole": whole.content,
        "finish": whole.response_metadata["finish_reason"],
        "usage": whole.usage_metadata,
        "pieces": [piece.content for piece in pieces],
        "stream_finish": merged.response_metadata["finish_reason"],
        "stream_usage": [piece.usage_metadata for piece in counted if piece.usage_metadata],
        "with_system": chat.invoke([("system", "You are a helpful assistant."), ("human", QUESTION)]).content,
        "turns": chat.invoke([*turns, HumanMessage(ANOTHER)]).content,
    }


def embeds() -> dict[str, Any]:
    embeddings = OpenAIEmbeddings(model=EMBED, check_embedding_ctx_length=False)
    texts = [f"Parcel number {number}" for number in range(1200)]
    vectors = embeddings.embed_documents(texts)
    return {
        "sizes": sorted({len(vector) for vector in vectors}),
        "count": len(vectors),
        "first": vectors[0],
        "last": vectors[-1],
        "first_alone": embeddings.embed_query(texts[0]),
        "last_alone": embeddings.embed_query(texts[-1]),
    }


def embeds_tokens() -> dict[str, Any]:
    """By default LangChain sends OpenAI's token ids; its tokenizer's table comes with LlamaIndex."""
    core = find_spec("llama_index.core")
    assert core is not None
    assert core.origin is not None
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(core.origin).parent / "_static" / "tiktoken_cache")
    return refusal(lambda: OpenAIEmbeddings(model=EMBED).embed_query("A man eats a sandwich."))


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    try:
        call()
    except openai.APIStatusError as error:
        return {"status": error.status_code, "param": error.param, "code": error.code, "text": str(error)}
    return {"status": 200}


def main() -> None:
    told = {
        "chat": chats(),
        "embeddings": embeds(),
        "tokens": embeds_tokens(),
        "wrong_key": refusal(lambda: ChatOpenAI(model="motley-demo-chat", api_key="sk-wrong").invoke("Hi")),
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
