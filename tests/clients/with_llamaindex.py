"""What LlamaIndex makes of the endpoint that `OPENAI_BASE_URL` and `OPENAI_API_KEY` name, as JSON."""

import json
import os
from typing import Any

from llama_index.core.llms import ChatMessage
from llama_index.embeddings.openai_like import OpenAILikeEmbedding
from llama_index.llms.openai_like import OpenAILike

SERVER = {"api_base": os.environ["OPENAI_BASE_URL"], "api_key": os.environ["OPENAI_API_KEY"]}
QUESTION = "What is the capital of Japan?"
ANOTHER = ChatMessage(role="user", content="What is the capital of France?")
TURNS = [
    ChatMessage(role="system", content="Be brief."),
    ChatMessage(role="user", content=QUESTION),
]


def chats() -> dict[str, Any]:
    # Without `is_chat_model` it would ask /v1/completions.
    chat = OpenAILike(model="motley-demo-chat", is_chat_model=True, **SERVER)
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


if __name__ == "__main__":
    print(json.dumps({"chat": chats(), "embeddings": embeds()}))
