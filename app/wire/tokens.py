"""`POST /tokenize` and `/detokenize`, in vLLM's shapes."""

from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, Field, model_validator

from app.wire.base import Wire
from app.wire.chat import checked
from backends.contract.errors import InvalidRequest


class TokenizeRequest(Wire):
    """A `prompt` as `/v1/completions` reads it, or `messages` as `/v1/chat/completions` does."""

    prompt: str | None = None
    messages: Annotated[list[dict[str, Any]], Field(min_length=1), AfterValidator(checked)] | None = None
    add_special_tokens: bool | None = None
    add_generation_prompt: bool | None = None
    continue_final_message: bool | None = None
    return_token_strs: bool | None = None
    tools: list[dict[str, Any]] | None = None

    @model_validator(mode="after")
    def _one_of_two(self) -> "TokenizeRequest":
        if self.prompt is None and self.messages is None:
            raise InvalidRequest("'prompt' or 'messages' is required", param="prompt")
        if self.prompt is not None and self.messages is not None:
            raise InvalidRequest("'prompt' and 'messages' exclude one another", param="messages")
        return self


class DetokenizeRequest(Wire):
    tokens: list[Annotated[int, Field(ge=0, lt=2**63)]]


class Tokenized(BaseModel):
    """`max_model_len`: the model's window. `token_strs`: where they were asked for."""

    count: int
    max_model_len: int
    tokens: list[int]
    token_strs: list[str] | None = None


class Detokenized(BaseModel):
    prompt: str
