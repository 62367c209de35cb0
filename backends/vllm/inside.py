"""What stands inside the fields of a body, where vLLM would fetch, or ignore in silence.

Nothing is fetched for a caller: media come in the request itself, and tools are functions that the
caller runs.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from backends.contract.errors import InvalidRequest

# Of the items of a response: what was said, what was called, what came of it.
ITEMS = frozenset({"message", "function_call", "function_call_output", "reasoning"})
ROLES = frozenset({"system", "developer", "user", "assistant"})
PARTS = frozenset({"input_text", "input_image", "output_text", "refusal"})
PROBABILITIES = "message.output_text.logprobs"
# What tools of OpenAI's would have left in an answer: there are none here.
OF_HOSTED = frozenset({
    "code_interpreter_call.outputs", "computer_call_output.output.image_url", "file_search_call.results",
    "web_search_call.results", "web_search_call.action.sources",
})  # fmt: skip
REASONING = {"effort": None, "summary": ("auto",), "generate_summary": ("auto",)}
TEXT = {"format": None, "verbosity": ("medium",)}
FILES = frozenset({"file_id", "file_url"})


def chat(body: Mapping[str, Any]) -> None:
    """Raises InvalidRequest with a `param` such as `messages[0].content[1].image_url`."""
    messages = body.get("messages")
    for number, message in enumerate(messages if isinstance(messages, list) else []):
        if not isinstance(message, dict):
            continue
        for name in ("audio", "function_call"):
            if message.get(name) is not None:
                at = f"messages[{number}].{name}"
                raise InvalidRequest(f"'{at}' is not supported by this model", param=at)
        content = message.get("content")
        for place, part in enumerate(content if isinstance(content, list) else []):
            if isinstance(part, dict) and part.get("type") == "file":
                at = f"messages[{number}].content[{place}].file"
                raise InvalidRequest("this model reads no files", param=at)
        _refuse_remote(content, f"messages[{number}].content")
    _once(("function", "name"), body.get("tools"))


def completions(body: Mapping[str, Any]) -> None:
    best = body.get("best_of")
    if best is not None and best != (body.get("n") or 1):
        raise InvalidRequest("'best_of' must be what 'n' is: choices are not ranked here", param="best_of")


def responses(body: Mapping[str, Any]) -> None:
    """Raises InvalidRequest with a `param` such as `input[0].content[1].image_url`."""
    given = body.get("input")
    for number, item in enumerate(given if isinstance(given, list) else []):
        at = f"input[{number}]"
        if isinstance(item, dict) and item.get("type", "message") not in ITEMS:
            raise InvalidRequest(f"'{at}.type' must be one of {', '.join(sorted(ITEMS))}", param=f"{at}.type")
        _refuse_remote(item, at)
        if isinstance(item, dict) and item.get("type", "message") == "message":
            _said(item, at)
    tools = body.get("tools")
    for number, tool in enumerate(tools if isinstance(tools, list) else []):
        if not isinstance(tool, dict) or tool.get("type") != "function":
            at = f"tools[{number}].type"
            raise InvalidRequest(f"'{at}': this model calls tools of type function only", param=at)
    _once(("name",), tools)
    choice = body.get("tool_choice")
    if isinstance(choice, dict) and choice.get("type") != "function":
        raise InvalidRequest("'tool_choice' must name a function", param="tool_choice")
    _values("reasoning", REASONING, body.get("reasoning"))
    _values("text", TEXT, body.get("text"))
    _include(body.get("include"), body.get("top_logprobs"))


def tokens(body: Mapping[str, Any]) -> None:
    # A rendering is asked for either way, and vLLM says of both together only that they clash.
    if body.get("continue_final_message") and body.get("add_generation_prompt"):
        raise InvalidRequest(
            "'continue_final_message' and 'add_generation_prompt' exclude one another",
            param="continue_final_message",
        )
    chat(body)


def blamed(body: Mapping[str, Any]) -> str | None:
    """What a refusal is about that names nothing: templates, media and token ids are read before
    vLLM has a name for them."""
    if body.get("chat_template") is not None:
        return "chat_template"
    for name in ("prompt", "tokens"):
        if isinstance(body.get(name), list) and not any(isinstance(one, str) for one in body[name]):
            return name
    return _first_part(body)


def _first_part(body: Mapping[str, Any]) -> str | None:
    """Where the first part stands that is no text; None where all is text."""
    for name in ("messages", "input"):
        items = body.get(name)
        for number, item in enumerate(items if isinstance(items, list) else []):
            content = item.get("content") if isinstance(item, dict) else None
            for place, part in enumerate(content if isinstance(content, list) else []):
                kind = part.get("type") if isinstance(part, dict) else None
                if kind not in (None, "text", "input_text", "output_text", "refusal"):
                    return f"{name}[{number}].content[{place}]"
    return None


def _said(message: Mapping[str, Any], at: str) -> None:
    if message.get("role") not in ROLES:
        raise InvalidRequest(f"'{at}.role' must be one of {', '.join(sorted(ROLES))}", param=f"{at}.role")
    content = message.get("content")
    for place, part in enumerate(content if isinstance(content, list) else []):
        if not isinstance(part, dict) or part.get("type") not in PARTS:
            where = f"{at}.content[{place}].type"
            raise InvalidRequest(f"'{where}' must be one of {', '.join(sorted(PARTS))}", param=where)


def _refuse_remote(value: Any, at: str) -> None:
    for url, where in _fetched(value, at):
        if not url.startswith("data:"):
            raise InvalidRequest("media must be in the request itself, as a data: URL", param=where)


def _fetched(value: Any, at: str) -> Iterator[tuple[str, str]]:
    """Whatever names something to fetch, however deep, and where it stands. A file's name or address
    counts too: it is never a data URL of ours."""
    if isinstance(value, list):
        for number, item in enumerate(value):
            yield from _fetched(item, f"{at}[{number}]")
    elif isinstance(value, dict):
        for key, item in value.items():
            url = item.get("url") if isinstance(item, dict) else item
            if key in FILES and item is not None:
                yield "", f"{at}.{key}"
            elif key.endswith("_url") and isinstance(url, str):
                yield url, f"{at}.{key}"
            else:
                yield from _fetched(item, f"{at}.{key}")


def _once(path: Iterable[str], tools: Any) -> None:
    """Two tools of one name could not be told apart when one is called."""
    seen = set()
    for number, tool in enumerate(tools if isinstance(tools, list) else []):
        name: Any = tool
        for step in path:
            name = name.get(step) if isinstance(name, dict) else None
        if isinstance(name, str) and name in seen:
            at = f"tools[{number}].{'.'.join(path)}"
            raise InvalidRequest(f"'{at}': there is a tool of this name already", param=at)
        seen.add(str(name))


def _values(field: str, fine: Mapping[str, tuple[str, ...] | None], given: Any) -> None:
    """`fine`: of each name in the object, the values that are taken; None for any."""
    for name, value in given.items() if isinstance(given, dict) else []:
        at, some = f"{field}.{name}", fine.get(name, ())
        if value is not None and some is not None and value not in some:
            raise InvalidRequest(f"'{at}' is not supported by this model with this value", param=at)


def _include(include: Any, most: Any) -> None:
    wanted = include if isinstance(include, list) else []
    for number, one in enumerate(wanted):
        if one != PROBABILITIES and one not in OF_HOSTED:
            at = f"include[{number}]"
            raise InvalidRequest(f"'{at}' is not something that this model can tell", param=at)
    if most and PROBABILITIES not in wanted:
        raise InvalidRequest(
            f"'top_logprobs' is only told with '{PROBABILITIES}' in 'include'", param="top_logprobs"
        )
