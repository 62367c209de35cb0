"""`POST /v1/completions`: the shape is checked here, the rest is the engine's to honour or refuse."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from app.wire.base import Wire
from backends.contract.errors import InvalidRequest

MOST = 2048


def _prompt(given: Any) -> Any:
    """A string or a list of strings; the rest is refused by name."""
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list):
        raise InvalidRequest("'prompt' must be a string or an array of strings", param="prompt")
    if not 0 < len(texts) <= MOST:
        raise InvalidRequest(f"'prompt' must have 1 to {MOST:,} items", param="prompt")
    for item in texts:
        # Token ids are OpenAI's own (tiktoken): read as the model's they are another text, silently.
        if isinstance(item, list) or (isinstance(item, int) and not isinstance(item, bool)):
            raise InvalidRequest("'prompt' as token ids is not offered: send strings", param="prompt")
        if not isinstance(item, str):
            raise InvalidRequest("'prompt' must be a string or an array of strings", param="prompt")
        if not item:
            raise InvalidRequest("'prompt' must not be an empty string", param="prompt")
    return texts


class CompletionRequest(Wire):
    """Fields that are not here pass unseen: the whole body goes to the engine as it came."""

    prompt: Annotated[
        list[str],
        BeforeValidator(_prompt),
        Field(
            description=f"A string, or 1 to {MOST} of them.", json_schema_extra={"type": ["string", "array"]}
        ),
    ]
    echo: bool | None = None
    suffix: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    best_of: Annotated[int, Field(ge=0, le=20)] | None = None
    max_tokens: Annotated[int, Field(ge=0)] | None = None
    logprobs: Annotated[int, Field(ge=0, le=5)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    logit_bias: dict[str, float] | None = None
    seed: int | None = None
    user: str | None = None
