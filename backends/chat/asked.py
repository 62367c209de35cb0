"""An OpenAI chat body → what the engine is asked for. Everything is honoured or refused.

Three tables say what becomes of a field: HONOURED is read below, INERT cannot change the answer
and is accepted whatever it says, NEUTRAL is accepted at the values that ask for nothing. All
else, unknown names included, is a 400 with `param`. Null always means "not given".
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from backends.contract.errors import InvalidRequest

HONOURED = frozenset({
    "model", "messages", "stream", "stream_options", "temperature", "top_p", "max_tokens",
    "max_completion_tokens", "stop", "seed",
})  # fmt: skip
INERT = frozenset({
    "user", "metadata", "safety_identifier", "service_tier", "prompt_cache_key", "prompt_cache_options",
    "prompt_cache_retention", "parallel_tool_calls",
})  # fmt: skip
NEUTRAL: Mapping[str, tuple[Any, ...]] = {
    "n": (1,),
    "store": (False,),
    "tools": ([],),
    "tool_choice": ("none", "auto"),
    "functions": ([],),
    "function_call": ("none", "auto"),
    "response_format": ({"type": "text"},),
    "modalities": (["text"],),
    "logprobs": (False,),
    "top_logprobs": (0,),
    "logit_bias": ({},),
    "presence_penalty": (0,),
    "frequency_penalty": (0,),
    "reasoning_effort": ("none",),
    "verbosity": ("medium",),
    "audio": (),
    "prediction": (),
    "moderation": (),
    "web_search_options": (),
}
MOST_STOPS = 4


@dataclass(frozen=True, slots=True)
class Asked:
    """A checked request. None: the caller left it to the model. `most`: tokens to generate."""

    model: str
    messages: Any
    streams: bool = False
    usage_event: bool = False
    temperature: float | None = None
    top_p: float | None = None
    most: int | None = None
    stops: tuple[str, ...] = ()
    seed: int | None = None


def read(body: Mapping[str, Any]) -> Asked:
    """Raises InvalidRequest for a field that is refused or a value out of its range; `messages`
    is checked by `messages.read`."""
    for name, value in body.items():
        if value is not None:
            _refuse(name, value)
    streams = _flag(body, "stream")
    # `max_tokens` is the deprecated name: where a caller sends both, the new one counts.
    old, new = _whole(body, "max_tokens", least=1), _whole(body, "max_completion_tokens", least=1)
    return Asked(
        model=str(body.get("model") or ""),
        messages=body.get("messages"),
        streams=streams,
        usage_event=_usage_event(body.get("stream_options"), streams),
        temperature=_number(body, "temperature", 2),
        top_p=_number(body, "top_p", 1),
        most=old if new is None else new,
        stops=_stops(body.get("stop")),
        seed=_whole(body, "seed"),
    )


def _refuse(name: str, value: Any) -> None:
    if name in HONOURED or name in INERT:
        return
    if name not in NEUTRAL:
        raise InvalidRequest(f"Unknown field: '{name}'", param=name)
    # `True == 1` and `0 == False`: a value counts only with the type that is meant.
    if not any(value == fine and isinstance(value, bool) == isinstance(fine, bool) for fine in NEUTRAL[name]):
        raise InvalidRequest(f"'{name}' is not supported by this model with this value", param=name)


def _flag(fields: Mapping[str, Any], name: str, prefix: str = "") -> bool:
    value = fields.get(name)
    if value is not None and not isinstance(value, bool):
        raise InvalidRequest(f"'{prefix}{name}' must be true or false", param=prefix + name)
    return bool(value)


def _number(body: Mapping[str, Any], name: str, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int | float)
        or math.isnan(value)
        or not 0 <= value <= most
    ):
        raise InvalidRequest(f"'{name}' must be a number from 0 to {most}", param=name)
    return float(value)


def _whole(body: Mapping[str, Any], name: str, least: int | None = None) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int) or (least is not None and value < least):
        bound = "" if least is None else f" of at least {least}"
        raise InvalidRequest(f"'{name}' must be an integer{bound}", param=name)
    return value


def _stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    stops = [value] if isinstance(value, str) else value
    if not isinstance(stops, list) or not all(isinstance(stop, str) and stop for stop in stops):
        raise InvalidRequest("'stop' must be a non-empty string or a list of such", param="stop")
    if len(stops) > MOST_STOPS:
        raise InvalidRequest(f"'stop' takes at most {MOST_STOPS} strings", param="stop")
    return tuple(stops)


def _usage_event(options: Any, streams: bool) -> bool:
    if options is None:
        return False
    if not isinstance(options, dict):
        raise InvalidRequest("'stream_options' must be an object", param="stream_options")
    if not streams:
        raise InvalidRequest("'stream_options' is only allowed with 'stream'", param="stream_options")
    for name, value in options.items():
        # `include_obfuscation` false is what this server does: it never pads its chunks.
        if name != "include_usage" and not (
            value is None or (name == "include_obfuscation" and value is False)
        ):
            param = f"stream_options.{name}"
            raise InvalidRequest(f"'{param}' is not supported by this model", param=param)
    return _flag(options, "include_usage", "stream_options.")
