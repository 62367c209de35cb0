"""What LangChain makes of the endpoint that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON:
`with_langchain.py PART…`, of the model that `CHAT_MODEL` names.

Constructors are called as a user's first program calls them: with the model's name and a temperature.
It is 0 where the words count. Where a grammar holds the model it is 1: a very small one that always
takes what is likeliest may put blanks between two tokens without end.
"""

import json
import os
import sys
from collections.abc import Callable
from functools import reduce
from importlib.util import find_spec
from operator import add
from pathlib import Path
from typing import Any

import openai
from langchain_core.messages import AIMessageChunk, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI, OpenAIEmbeddings
from pydantic import BaseModel, Field

CHAT = os.environ.get("CHAT_MODEL", "")
EMBED = "all-minilm-l6-v2"
QUESTION = "What is the capital of Japan?"
ANOTHER = "What is the capital of France?"
WEATHER = "What is the weather in Oslo?"


class Place(BaseModel):
    city: str = Field(max_length=12)


class Bird(BaseModel):
    """A bird and what it does."""

    name: str = Field(max_length=12)
    sings: bool


@tool(args_schema=Place)
def get_weather(city: str) -> str:
    """The weather in a city"""
    return f"It rains in {city}."


def chats() -> dict[str, Any]:
    chat = ChatOpenAI(model=CHAT, temperature=0)
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


def tools() -> dict[str, Any]:
    """A call read back, the tool's word sent, and the same call in pieces."""
    chat = ChatOpenAI(model=CHAT, temperature=1)
    bound = chat.bind_tools([get_weather], tool_choice="get_weather", strict=True)
    asked = bound.invoke(WEATHER)
    said = [get_weather.invoke(call) for call in asked.tool_calls]
    pieces = list(bound.stream(WEATHER))
    joined = reduce(add, pieces)
    assert isinstance(joined, AIMessageChunk)
    answer = chat.bind_tools([get_weather]).invoke([HumanMessage(WEATHER), asked, *said])
    return {
        "whole": calls(asked),
        "ids": [call["id"] for call in asked.tool_calls],
        "pieces": len(pieces),
        "streamed": calls(joined),
        "unparsed": [*asked.invalid_tool_calls, *joined.invalid_tool_calls],
        "free": calls(chat.bind_tools([get_weather], strict=True).invoke(WEATHER)),
        "said": [message.content for message in said],
        "answer_usage": answer.usage_metadata,
    }


def calls(message: Any) -> list[list[Any]]:
    return [[call["name"], call["args"]] for call in message.tool_calls]


def structured() -> dict[str, Any]:
    chat = ChatOpenAI(model=CHAT, temperature=1)
    ways: dict[str, Any] = {
        "default": chat.with_structured_output(Bird),
        "function_calling": chat.with_structured_output(Bird, method="function_calling", strict=True),
    }
    told = {name: way.invoke("Tell me of a bird.").model_dump() for name, way in ways.items()}
    told["streamed"] = list(ways["default"].stream("Tell me of a bird."))[-1].model_dump()
    return told


def responses() -> dict[str, Any]:
    """By /v1/responses, which it takes for itself where a feature asks for it."""
    chat = ChatOpenAI(model=CHAT, temperature=0, use_responses_api=True)
    whole = chat.invoke(QUESTION)
    pieces = list(chat.stream(QUESTION))
    joined = reduce(add, pieces)
    bound = ChatOpenAI(model=CHAT, temperature=1, use_responses_api=True).bind_tools(
        [get_weather], tool_choice="get_weather", strict=True
    )
    return {
        "whole": whole.text,
        "pieces": [piece.text for piece in pieces],
        "joined": joined.text,
        "usage": whole.usage_metadata,
        "turns": chat.invoke([HumanMessage(QUESTION), whole, HumanMessage(ANOTHER)]).text,
        "called": calls(bound.invoke(WEATHER)),
    }


def embeds() -> dict[str, Any]:
    """By default LangChain sends OpenAI's token ids; its tokenizer's table comes with LlamaIndex."""
    core = find_spec("llama_index.core")
    assert core is not None
    assert core.origin is not None
    os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(core.origin).parent / "_static" / "tiktoken_cache")
    by_ids, by_text = (
        OpenAIEmbeddings(model=EMBED),
        OpenAIEmbeddings(model=EMBED, check_embedding_ctx_length=False),
    )
    texts = [f"Parcel number {number} for Zoë 🦊" for number in range(1200)]
    vectors = by_ids.embed_documents(texts)
    return {
        "sizes": sorted({len(vector) for vector in vectors}),
        "count": len(vectors),
        "first": vectors[0],
        "last": vectors[-1],
        "first_alone": by_ids.embed_query(texts[0]),
        "last_as_text": by_text.embed_query(texts[-1]),
        "narrow": len(OpenAIEmbeddings(model=EMBED, dimensions=64).embed_query(texts[0])),
    }


def wrong_key() -> dict[str, Any]:
    return refusal(lambda: ChatOpenAI(model=CHAT, api_key="sk-wrong").invoke("Hi"))


def refusal(call: Callable[[], object]) -> dict[str, Any]:
    try:
        call()
    except openai.APIStatusError as error:
        return {"status": error.status_code, "param": error.param, "code": error.code, "text": str(error)}
    return {"status": 200}


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "chat": chats,
    "tools": tools,
    "structured": structured,
    "responses": responses,
    "embeddings": embeds,
    "wrong_key": wrong_key,
}

if __name__ == "__main__":
    print(json.dumps({part: PARTS[part]() for part in sys.argv[1:]}))
