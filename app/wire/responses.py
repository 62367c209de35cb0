"""`POST /v1/responses`: the shape is checked here, the rest is the engine's to honour or refuse."""

from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, model_validator

from app.wire.base import Wire
from backends.contract.errors import InvalidRequest


def _input(given: Any) -> Any:
    """A text, or a list of items; the rest is refused by name."""
    if given is None:
        return None
    if isinstance(given, str):
        if not given:
            raise InvalidRequest("'input' must not be an empty string", param="input")
        return given
    if not isinstance(given, list) or not given:
        raise InvalidRequest("'input' must be a string or a non-empty array of items", param="input")
    for number, item in enumerate(given):
        if not isinstance(item, dict):
            raise InvalidRequest(f"'input[{number}]' must be an object", param=f"input[{number}]")
    return given


class ResponsesRequest(Wire):
    """Fields that are not here pass unseen: the whole body goes to the engine as it came."""

    input: Annotated[
        str | list[dict[str, Any]] | None,
        BeforeValidator(_input),
        Field(description="A text, or messages, calls and their outputs in turn."),
    ] = None
    instructions: str | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    max_output_tokens: Annotated[int, Field(ge=1)] | None = None
    include: list[str] | None = None
    text: dict[str, Any] | None = None
    reasoning: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    parallel_tool_calls: bool | None = None
    store: bool | None = None
    background: bool | None = None
    metadata: dict[str, str] | None = None
    user: str | None = None

    @model_validator(mode="after")
    def _answerable(self) -> "ResponsesRequest":
        if self.input is None and (self.model_extra or {}).get("prompt") is None:
            raise InvalidRequest("'input' is required", param="input")
        if self.background:
            # There is nowhere to ask for it later.
            raise InvalidRequest("'background' is not offered here", param="background")
        return self


class Responded(BaseModel):
    """For the description of the API alone: OpenAI's own class has hundreds of schemas inside, which
    take seconds to describe. `output`: messages, calls and thoughts, as OpenAI writes them."""

    id: str
    object: str
    created_at: float
    model: str
    status: str
    output: list[dict[str, Any]]
    incomplete_details: dict[str, Any] | None = None
    usage: dict[str, Any] | None = None
    store: bool = False
