"""Fields of a JSON body by type: the value, None where it was not given, or a refusal by name."""

import math
from collections.abc import Mapping
from typing import Any

from backends.contract.errors import InvalidRequest

MOST_STOPS = 4


def decide(
    body: Mapping[str, Any],
    honoured: frozenset[str],
    inert: frozenset[str],
    neutral: Mapping[str, tuple[Any, ...]],
) -> None:
    """Refuses what is in none of the three: see `asked` for what they mean."""
    for name, value in body.items():
        if value is None or name in honoured or name in inert:
            continue
        if name not in neutral:
            raise InvalidRequest(f"Unknown field: '{name}'", param=name)
        # `True == 1` and `0 == False`: a value counts only with the type that is meant.
        if not any(
            value == fine and isinstance(value, bool) == isinstance(fine, bool) for fine in neutral[name]
        ):
            raise InvalidRequest(f"'{name}' is not supported by this model with this value", param=name)


def flag(fields: Mapping[str, Any], name: str, prefix: str = "", default: bool = False) -> bool:
    value = fields.get(name)
    if value is None:
        return default
    if not isinstance(value, bool):
        raise InvalidRequest(f"'{prefix}{name}' must be true or false", param=prefix + name)
    return value


def number(body: Mapping[str, Any], name: str, least: float, most: float) -> float | None:
    value = body.get(name)
    if value is None:
        return None
    if not is_number(value) or not least <= value <= most:
        raise InvalidRequest(f"'{name}' must be a number from {least} to {most}", param=name)
    return float(value)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and not math.isnan(value)


def whole(
    body: Mapping[str, Any], name: str, least: int | None = None, most: int | None = None
) -> int | None:
    value = body.get(name)
    if value is None:
        return None
    if (
        isinstance(value, bool)
        or not isinstance(value, int)
        or (least is not None and value < least)
        or (most is not None and value > most)
    ):
        bounds = (
            f"{'' if least is None else f' of at least {least}'}{'' if most is None else f', at most {most}'}"
        )
        raise InvalidRequest(f"'{name}' must be an integer{bounds}", param=name)
    return value


def text(value: Any, where: str) -> str:
    """A string that survives the way to the tokenizer: through UTF-8 and C."""
    if not isinstance(value, str):
        raise InvalidRequest(f"'{where}' must be text", param=where)
    try:
        value.encode()  # half of a surrogate pair is no text, though JSON can spell it
    except UnicodeEncodeError:
        raise InvalidRequest(f"'{where}' is not valid Unicode", param=where) from None
    if "\0" in value:
        raise InvalidRequest(f"'{where}' holds a NUL character", param=where)
    return value


def texts_in(value: Any, where: str) -> None:
    """Every string that a JSON value holds, keys too, is a `text`."""
    if isinstance(value, str):
        text(value, where)
    elif isinstance(value, Mapping):
        for key, item in value.items():
            text(key, where)
            texts_in(item, where)
    elif isinstance(value, list):
        for item in value:
            texts_in(item, where)


def stops(value: Any) -> tuple[str, ...]:
    if value is None:
        return ()
    given = [value] if isinstance(value, str) else value
    if not isinstance(given, list) or not all(isinstance(stop, str) and stop for stop in given):
        raise InvalidRequest("'stop' must be a non-empty string or a list of such", param="stop")
    if len(given) > MOST_STOPS:
        raise InvalidRequest(f"'stop' takes at most {MOST_STOPS} strings", param="stop")
    return tuple(given)


def usage_event(options: Any, streams: bool) -> bool:
    """`stream_options`: is the stream to end with its usage?"""
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
    return flag(options, "include_usage", "stream_options.")


def bias(value: Any) -> dict[int, float]:
    """`logit_bias`: token id → what is added to its logit, from -100 to 100."""
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise InvalidRequest("'logit_bias' must be an object", param="logit_bias")
    added = {}
    for token, more in value.items():
        if not (token.isascii() and token.isdigit()) or not is_number(more) or not -100 <= more <= 100:
            raise InvalidRequest(
                "'logit_bias' maps token ids of this model to numbers from -100 to 100", param="logit_bias"
            )
        added[int(token)] = float(more)
    return added
