"""What LlamaIndex makes of the endpoint that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON:
`with_llamaindex.py PART…`, of the model that `CHAT_MODEL` names.

Temperatures are as in `with_langchain.py`.
"""

import json
import os
import sys
from collections.abc import Callable
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.core.prompts import PromptTemplate
from llama_index.core.tools import FunctionTool
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike
from pydantic import BaseModel, Field

CHAT = os.environ.get("CHAT_MODEL", "")
SERVER = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
QUESTION = "What is the capital of Japan?"
WEATHER = "What is the weather in Oslo?"
ANOTHER = ChatMessage(role="user", content="What is the capital of France?")
TURNS = [
    ChatMessage(role="system", content="Be brief."),
    ChatMessage(role="user", content=QUESTION),
]


class Place(BaseModel):
    city: str = Field(max_length=12)


class Bird(BaseModel):
    """A bird and what it does."""

    name: str = Field(max_length=12)
    sings: bool


def get_weather(city: str) -> str:
    """The weather in a city"""
    return f"It rains in {city}."


def chats() -> dict[str, Any]:
    # Without `is_chat_model` it would ask /v1/completions.
    chat = OpenAILike(model=CHAT, is_chat_model=True, temperature=0, **SERVER)
    whole = chat.chat(TURNS)
    return {
        "whole": whole.message.content,
        "role": whole.message.role,
        "usage": whole.additional_kwargs,
        "turns": chat.chat([*TURNS, whole.message, ANOTHER]).message.content,
        "pieces": [piece.delta for piece in chat.stream_chat(TURNS)],
        "complete": chat.complete(QUESTION).text,
        "stream_complete": [piece.delta for piece in chat.stream_complete(QUESTION)],
    }


def completes() -> dict[str, Any]:
    """As it is without `is_chat_model`: by /v1/completions."""
    model = OpenAILike(model=CHAT, max_tokens=16, temperature=0, **SERVER)
    whole = model.complete("The capital of Japan")
    return {
        "whole": whole.text,
        "usage": whole.additional_kwargs,
        "pieces": [piece.delta for piece in model.stream_complete("The capital of Japan")],
    }


def calling() -> OpenAILike:
    # Only strict tools can have arguments demanded that fit their schema.
    return OpenAILike(
        model=CHAT, is_chat_model=True, is_function_calling_model=True, strict=True, temperature=1, **SERVER
    )


def tools() -> dict[str, Any]:
    """A call read back, the tool's word sent, and the same call in pieces."""
    chat = calling()
    weather = FunctionTool.from_defaults(fn=get_weather, fn_schema=Place)
    asked: dict[str, Any] = {"tools": [weather], "user_msg": WEATHER, "tool_choice": "get_weather"}
    whole = chat.chat_with_tools(**asked)
    selected = chat.get_tool_calls_from_response(whole)
    pieces = list(chat.stream_chat_with_tools(**asked))
    history = [ChatMessage(role="user", content=WEATHER), whole.message]
    said = [
        ChatMessage(
            role="tool",
            content=str(weather.call(**one.tool_kwargs)),
            additional_kwargs={"tool_call_id": one.tool_id},
        )
        for one in selected
    ]
    return {
        "whole": calls(chat, whole),
        "ids": [one.tool_id for one in selected],
        "pieces": len(pieces),
        "streamed": calls(chat, pieces[-1]),
        "free": calls(chat, chat.chat_with_tools(tools=[weather], user_msg=WEATHER)),
        "said": [message.content for message in said],
        "answer_usage": chat.chat([*history, *said]).additional_kwargs,
        "called": str(chat.predict_and_call([weather], user_msg=WEATHER, tool_required=True)),
    }


def calls(chat: OpenAILike, response: Any) -> list[list[Any]]:
    selected = chat.get_tool_calls_from_response(response, error_on_no_tool_call=False)
    return [[one.tool_name, one.tool_kwargs] for one in selected]


def structured() -> dict[str, Any]:
    """By a tool for most names; by `response_format` for those it knows as OpenAI's (`gpt-4o`)."""
    return {
        "predicted": calling().structured_predict(Bird, PromptTemplate("Tell me of a bird.")).model_dump()
    }


def embeds() -> dict[str, Any]:
    embeddings = OpenAILikeEmbedding(model_name="all-minilm-l6-v2", **SERVER)
    # Two requests and a bit, at ten texts a request.
    texts = [f"Parcel number {number}" for number in range(23)]
    vectors = embeddings.get_text_embedding_batch(texts)
    return {
        "sizes": sorted({len(vector) for vector in vectors}),
        "count": len(vectors),
        "last": vectors[-1],
        "last_alone": embeddings.get_query_embedding(texts[-1]),
    }


PARTS: dict[str, Callable[[], dict[str, Any]]] = {
    "chat": chats,
    "completions": completes,
    "tools": tools,
    "structured": structured,
    "embeddings": embeds,
}

if __name__ == "__main__":
    print(json.dumps({part: PARTS[part]() for part in sys.argv[1:]}))
