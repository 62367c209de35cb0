"""vLLM's errors → ours. What the caller did wrong is told in vLLM's words, without its internals;
what vLLM did wrong stays in the operator's log."""

import re
from collections.abc import Mapping
from typing import Any

import orjson

from backends.contract.errors import ContextExceeded, InvalidRequest, Overloaded
from backends.vllm.inside import blamed

# The names that vLLM gives to a prompt which does not fit; no field of a request is called so.
TOO_LONG = frozenset({"input_tokens", "input_text"})
LIMITS = frozenset({"max_tokens", "max_completion_tokens", "max_output_tokens"})
LONGEST = 500  # characters of a message

# A refusal by its schema carries Python's own view of the mistake; its sentence is in `msg`.
_SENTENCE = re.compile(r"""'msg': (?:'((?:[^'\\]|\\.)*)'|"((?:[^"\\]|\\.)*)")""")
_MISFORMED = "Bad Request"
# Of a response whose prompt fills the window to the last token.
_TOO_LONG_BY_ITS_TYPE = "invalid_request_error"


class VllmFailed(Exception):
    """What vLLM did wrong. The text is for the operator's log alone."""


def refusal(
    status: int,
    content: Any,
    *,
    body: Mapping[str, Any] | None = None,
    window: int | None = None,
    prompt: str = "messages",
) -> Exception:
    """The exception for an answer that is an error. `body`: what was asked; `window`: the model's
    context in tokens; `prompt`: the field that is too long when the prompt is."""
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        error = {}
    said = str(error.get("message") or "")
    if status in (429, 503):
        return Overloaded("the model is at capacity; try again shortly")
    if status not in (400, 413, 422, 501):
        return VllmFailed(f"vLLM answered {status}: {said[:2000]}")
    param = _param(error.get("param"))
    if param in TOO_LONG or (param == prompt == "input" and error.get("type") == _TOO_LONG_BY_ITS_TYPE):
        return ContextExceeded(_sentence(said), param=prompt)
    if body is not None and (param is None or param.partition(".")[0].partition("[")[0] not in body):
        param = blamed(body) or param
    wanted = (body or {}).get(param) if param in LIMITS else None
    if window is not None and isinstance(wanted, int) and wanted > window:
        return ContextExceeded(_sentence(said), param=param)
    if error.get("type") == _MISFORMED:
        return InvalidRequest(_misformed(said, param), param=param)
    return InvalidRequest(_sentence(said), param=param)


def parsed(data: bytes) -> Any:
    """JSON, or None for what is none."""
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        return None


def _param(said: Any) -> str | None:
    """`body.tools.0.type` → `tools[0].type`; as far as it goes before a class of vLLM's begins."""
    path = ""
    for part in str(said or "").removeprefix("body.").split("."):
        if part[:1].isupper() or not part:
            break
        path += f"[{part}]" if part.isdigit() else f".{part}" if path else part
    return path or None


def _sentence(said: str) -> str:
    """Without the parameter and value that vLLM appends for its log, nor what several lines say of
    its classes."""
    said = said.partition(" (parameter=")[0]
    return (said[:LONGEST] if "\n" not in said else "") or "the model does not take this request"


def _misformed(said: str, param: str | None) -> str:
    found = _SENTENCE.search(said)
    sentence = (found[1] or found[2]) if found else ""
    sentence = _sentence(sentence.replace("\\'", "'").removeprefix("Value error, ")) if sentence else ""
    what = f"'{param}'" if param else "the request"
    return f"{what}: {sentence}" if sentence else f"{what} is not what this model takes"
