"""`POST /v1/embeddings`."""

from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field

from app.wire.base import Closed
from backends.contract.errors import InvalidRequest

MOST = 2048


def _texts(given: Any) -> Any:
    """A string or a list of strings → a list of strings; the rest is refused by name."""
    if isinstance(given, str):
        if not given:
            raise InvalidRequest("'input' must not be an empty string", param="input")
        return [given]
    if not isinstance(given, list):
        raise InvalidRequest("'input' must be a string or an array of strings", param="input")
    if not given:
        raise InvalidRequest("'input' must not be empty", param="input")
    if len(given) > MOST:
        raise InvalidRequest(f"'input' must have at most {MOST:,} items", param="input")
    for number, item in enumerate(given):
        # Token ids are OpenAI's own (tiktoken): read as the model's they give wrong vectors, silently.
        if isinstance(item, list) or (isinstance(item, int) and not isinstance(item, bool)):
            raise InvalidRequest(
                "'input' as token ids is not offered yet: send strings "
                "(LangChain: check_embedding_ctx_length=False)",
                param="input",
            )
        if not isinstance(item, str):
            raise InvalidRequest(f"'input[{number}]' must be a string", param="input")
        if not item:
            raise InvalidRequest(f"'input[{number}]' must not be an empty string", param="input")
    return given


class EmbeddingsRequest(Closed):
    input: Annotated[
        list[str],
        BeforeValidator(_texts),
        Field(
            description=f"A string, or 1 to {MOST} of them.", json_schema_extra={"type": ["string", "array"]}
        ),
    ]
    encoding_format: Literal["float", "base64"] | None = None
    dimensions: Annotated[int, Field(ge=1)] | None = None
    user: str | None = None
