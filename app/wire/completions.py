"""`POST /v1/completions`: the shape is checked here, the rest is the engine's to honour or refuse."""

from typing import Annotated, Any

from pydantic import BeforeValidator, Field

from app.wire.base import Wire
from backends.contract.errors import InvalidRequest

MOST = 2048


def _prompt(given: Any) -> Any:
    """A text or token ids, or several of one kind. Ids are the model's own, as `/tokenize` tells
    them: whether they are taken is the engine's to say."""
    prompts = [given] if isinstance(given, str) or _ids(given) else given
    if not isinstance(prompts, list):
        raise InvalidRequest("'prompt' must be a string or an array", param="prompt")
    if not 0 < len(prompts) <= MOST:
        raise InvalidRequest(f"'prompt' must have 1 to {MOST:,} items", param="prompt")
    if not all(map(_ids, prompts)):
        for item in prompts:
            if not isinstance(item, str):
                raise InvalidRequest(
                    "'prompt' must be a string, token ids, or an array of either", param="prompt"
                )
            if not item:
                raise InvalidRequest("'prompt' must not be an empty string", param="prompt")
    return prompts


def _ids(given: Any) -> bool:
    return isinstance(given, list) and bool(given) and all(type(item) is int and item >= 0 for item in given)


class CompletionRequest(Wire):
    """Fields that are not here pass unseen: the whole body goes to the engine as it came."""

    prompt: Annotated[
        list[str] | list[list[int]],
        BeforeValidator(_prompt),
        Field(
            description=f"A string or token ids, or 1 to {MOST} of either.",
            json_schema_extra={"type": ["string", "array"]},
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
