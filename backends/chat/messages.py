"""OpenAI's messages → the conversation a chat template is given.

Two things in a caller's text could rewrite the prompt around it, and are dealt with here: names
of control tokens (`<|im_end|>`), which tokenizers of chat models read as the token wherever they
stand, and NUL, at which the C strings between the template and the tokenizer end.
"""

import re
from collections.abc import Iterable, Mapping
from typing import Any

from backends.chat import fields
from backends.contract.errors import InvalidRequest

ROLES = {"system": "system", "developer": "system", "user": "user", "assistant": "assistant", "tool": "tool"}
# Strings that templates may show; and what clients echo of an earlier answer that says nothing here.
PASSED = frozenset({"name", "tool_call_id", "reasoning_content"})
INERT = frozenset({"annotations"})

# Shown as nothing, and enough that the tokenizer no longer sees the token's name.
ZERO_WIDTH_SPACE = "\u200b"


def read(raw: Any, *, calls: bool) -> list[dict[str, Any]]:
    """Every message as {role, content: text, …}. `calls`: the template shows `tool_calls`.
    Raises InvalidRequest with a `param` such as `messages[1].content`."""
    if not isinstance(raw, list) or not raw:
        raise InvalidRequest("'messages' must be a non-empty list", param="messages")
    return [_message(message, f"messages[{number}]", calls) for number, message in enumerate(raw)]


def _message(raw: Any, where: str, calls: bool) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise InvalidRequest(f"'{where}' must be an object", param=where)
    role = raw.get("role")
    if not isinstance(role, str) or role not in ROLES:
        raise InvalidRequest(f"'{where}.role' must be one of {', '.join(ROLES)}", param=f"{where}.role")
    message: dict[str, Any] = {"role": ROLES[role]}
    for name, value in raw.items():
        at = f"{where}.{name}"
        if name in ("role", "content") or name in INERT or value is None:
            continue
        # Clients in use write an answer's reasoning back under either name.
        known = "reasoning_content" if name == "reasoning" else name
        if known in PASSED:
            message[known] = fields.text(value, at)
        elif name == "tool_calls" and role == "assistant" and (calls or value == []):
            message[name] = _calls(value, at)
        else:
            raise InvalidRequest(f"'{at}' is not supported by this model", param=at)
    content = raw.get("content")
    if content is None and message.get("tool_calls"):
        content = ""
    return {**message, "content": _content(content, f"{where}.content")}


def _content(value: Any, where: str) -> str:
    """A string, or a list of text parts, which become paragraphs of one."""
    if not isinstance(value, list):
        return fields.text(value, where)
    texts = []
    for part in value:
        if not isinstance(part, dict) or part.get("type") != "text":
            raise InvalidRequest(f"'{where}': this model reads text parts only", param=where)
        texts.append(fields.text(part.get("text"), where))
    return "\n".join(texts)


def _calls(value: Any, where: str) -> list[dict[str, Any]]:
    """Calls of an earlier answer, as the caller echoes them."""
    if not isinstance(value, list):
        raise InvalidRequest(f"'{where}' must be a list", param=where)
    calls = []
    for number, call in enumerate(value):
        at = f"{where}[{number}]"
        function = call.get("function") if isinstance(call, dict) else None
        if not isinstance(function, dict) or call.get("type", "function") != "function":
            raise InvalidRequest(f"'{at}' must be a function call", param=at)
        shown = {key: fields.text(function.get(key), f"{at}.function.{key}") for key in ("name", "arguments")}
        calls.append({"id": fields.text(call.get("id"), f"{at}.id"), "type": "function", "function": shown})
    return calls


class Controls:
    """The control tokens of a model by their names, and text made safe from them."""

    def __init__(self, names: Iterable[str]) -> None:
        # Longest first: where one name begins another, the longer must match.
        written = sorted({name for name in names if len(name) > 1}, key=len, reverse=True)
        self._names = re.compile("|".join(map(re.escape, written))) if written else None

    def disarm(self, value: Any) -> Any:
        """The same value with a zero-width space inside every name, in all strings it holds."""
        if isinstance(value, str):
            return self._names.sub(_break, value) if self._names else value
        if isinstance(value, Mapping):
            return {key: item if key == "role" else self.disarm(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.disarm(item) for item in value]
        return value


def _break(name: re.Match[str]) -> str:
    return name[0][0] + ZERO_WIDTH_SPACE + name[0][1:]
