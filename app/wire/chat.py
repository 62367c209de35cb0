"""`POST /v1/chat/completions`: the shape is checked here, the rest is the engine's to honour or refuse."""

from typing import Annotated, Any

from pydantic import AfterValidator, Field

from app.wire.base import Wire
from backends.contract.errors import InvalidRequest

ROLES = ("system", "developer", "user", "assistant", "tool", "function")


def checked(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The messages as they are. Raises InvalidRequest with a `param` such as `messages[0].role`."""
    for number, message in enumerate(messages):
        _check(message, f"messages[{number}]")
    return messages


def _check(message: dict[str, Any], at: str) -> None:
    role = message.get("role")
    if role is None:
        raise InvalidRequest(f"'{at}.role' is required", param=f"{at}.role")
    if role not in ROLES:
        raise InvalidRequest(f"'{at}.role' must be one of {', '.join(ROLES)}", param=f"{at}.role")
    content = message.get("content")
    if isinstance(content, list):
        if not content:
            raise InvalidRequest(f"'{at}.content' must not be empty", param=f"{at}.content")
        for number, part in enumerate(content):
            _check_part(part, f"{at}.content[{number}]")
    elif content is None:
        # What an assistant said may have been tool calls alone.
        if role not in ("assistant", "function"):
            raise InvalidRequest(f"'{at}.content' is required", param=f"{at}.content")
    elif not isinstance(content, str):
        raise InvalidRequest(f"'{at}.content' must be a string or an array of parts", param=f"{at}.content")


def _check_part(part: Any, at: str) -> None:
    if not isinstance(part, dict):
        raise InvalidRequest(f"'{at}' must be an object", param=at)
    if not isinstance(part.get("type"), str):
        raise InvalidRequest(f"'{at}.type' must be a string", param=f"{at}.type")
    if part["type"] == "text" and not isinstance(part.get("text"), str):
        raise InvalidRequest(f"'{at}.text' must be a string", param=f"{at}.text")


class ChatRequest(Wire):
    """Fields that are not here pass unseen: the whole body goes to the engine as it came."""

    messages: Annotated[list[dict[str, Any]], Field(min_length=1), AfterValidator(checked)]
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] | None = None
    top_p: Annotated[float, Field(ge=0, le=1)] | None = None
    n: Annotated[int, Field(ge=1, le=128)] | None = None
    max_tokens: Annotated[int, Field(ge=1)] | None = None
    max_completion_tokens: Annotated[int, Field(ge=1)] | None = None
    presence_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    frequency_penalty: Annotated[float, Field(ge=-2, le=2)] | None = None
    seed: int | None = None
    logprobs: bool | None = None
    top_logprobs: Annotated[int, Field(ge=0, le=20)] | None = None
    logit_bias: dict[str, float] | None = None
    response_format: dict[str, Any] | None = None
    tools: list[dict[str, Any]] | None = None
    user: str | None = None
