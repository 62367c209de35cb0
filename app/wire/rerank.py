"""`POST /v1/rerank`, in Jina's shape."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from app.wire.base import Closed
from backends.contract.errors import InvalidRequest


def _texts(given: Any) -> Any:
    """Strings, or objects that hold one under `text`."""
    if not isinstance(given, list):
        raise InvalidRequest("'documents' must be an array", param="documents")
    return [_text(item, f"documents[{number}]") for number, item in enumerate(given)]


def _text(item: Any, at: str) -> str:
    text = item.get("text") if isinstance(item, dict) else item
    if not isinstance(text, str):
        raise InvalidRequest(f"'{at}' must be a string or an object with a 'text'", param=at)
    return text


class RerankRequest(Closed):
    query: Annotated[str, Field(min_length=1)]
    documents: Annotated[
        list[str],
        BeforeValidator(_texts),
        Field(min_length=1, max_length=10_000, description='Strings, or objects such as `{"text": "…"}`.'),
    ]
    top_n: Annotated[int, Field(ge=1, description="How many results; all if not given.")] | None = None
    return_documents: Annotated[bool, Field(description="Repeat each text in its result.")] | None = None
    user: str | None = None
