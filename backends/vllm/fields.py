"""A chat body on its way to vLLM: it goes as it came, unless vLLM would ignore a part in silence.

vLLM takes any field and drops those it does not know. What it knows is in its own schema, read once
it serves; the rest is refused here. Null always means "not given".
"""

from collections.abc import Iterator, Mapping, Set
from typing import Any

from backends.contract.errors import InvalidRequest

# These cannot change an answer, whatever they say.
INERT = frozenset({
    "user", "metadata", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention",
})  # fmt: skip
# OpenAI's fields that vLLM does not have, with the values that ask for nothing.
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "store": (False,),
    "modalities": (["text"],),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "verbosity": ("medium",),
    "audio": (),
    "prediction": (),
    "moderation": (),
    "web_search_options": (),
}
# vLLM's own, between its instances: a caller could make it fetch from where they like.
WITHHELD = frozenset({"kv_transfer_params", "ec_transfer_params"})
STREAM_OPTIONS = frozenset({"include_usage", "continuous_usage_stats"})


def check(body: Mapping[str, Any], known: Set[str]) -> None:
    """`known`: the fields in vLLM's schema. Raises InvalidRequest with `param`."""
    for name, value in body.items():
        if value is None or name in INERT:
            continue
        if name in NEUTRAL:
            if not any(value == fine and type(value) is type(fine) for fine in NEUTRAL[name]):
                raise InvalidRequest(f"'{name}' is not supported by this model with this value", param=name)
        elif name in WITHHELD or name not in known:
            raise InvalidRequest(f"Unknown field: '{name}'", param=name)
    _check_stream_options(body.get("stream_options"))
    for url, at in _urls(body.get("messages")):
        if not url.startswith("data:"):
            raise InvalidRequest("media must be in the request itself, as a data: URL", param=at)


def usage_shown(body: Mapping[str, Any]) -> bool:
    options = body.get("stream_options")
    return isinstance(options, dict) and options.get("include_usage") is True


def with_usage(body: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a stream, asking for the event that counts its tokens. Where the caller did not
    ask, it is the only event with usage, so that it alone has to be taken out again."""
    if usage_shown(body):
        return dict(body)
    options = {key: value for key, value in (body.get("stream_options") or {}).items() if value is not None}
    return {**body, "stream_options": {**options, "include_usage": True, "continuous_usage_stats": False}}


def _check_stream_options(options: Any) -> None:
    if not isinstance(options, dict):
        return  # vLLM refuses what is neither null nor an object
    for name, value in options.items():
        at = f"stream_options.{name}"
        # `include_obfuscation` false is what this server does: it never pads its chunks.
        if (
            name not in STREAM_OPTIONS
            and value is not None
            and (name, value) != ("include_obfuscation", False)
        ):
            raise InvalidRequest(f"'{at}' is not supported by this model", param=at)
        if name in STREAM_OPTIONS and value is not None and not isinstance(value, bool):
            raise InvalidRequest(f"'{at}' must be true or false", param=at)


def _urls(messages: Any) -> Iterator[tuple[str, str]]:
    """Every URL in the parts of the messages, in any of the forms vLLM takes, and where it stands."""
    for number, message in enumerate(messages if isinstance(messages, list) else []):
        content = message.get("content") if isinstance(message, dict) else None
        for place, part in enumerate(content if isinstance(content, list) else []):
            for key, value in part.items() if isinstance(part, dict) else []:
                if not key.endswith("_url"):
                    continue
                url = value.get("url") if isinstance(value, dict) else value
                if isinstance(url, str):
                    yield url, f"messages[{number}].content[{place}].{key}"
