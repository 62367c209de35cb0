"""What must not be kept, taken out of what is: people's addresses and numbers, secrets, media."""

import re
from collections.abc import Callable, Collection
from typing import Any

import orjson

# Who a caller's own users are: never kept, whatever the setting says.
PEOPLE = frozenset({"user", "safety_identifier", "prompt_cache_key"})
HIDDEN = "[hidden]"
# What a stream says piece by piece: the fields that hold the pieces.
_SAID = frozenset({"content", "reasoning_content", "text", "delta", "arguments", "refusal"})

_MEDIA = re.compile(r"data:[^,\s]{0,128};base64,[A-Za-z0-9+/=_-]*|[A-Za-z0-9+/_-]{256,}={0,2}")
_CARD = re.compile(r"(?<![\d.])\d(?:[ -]?\d){12,18}(?![\d.])")
_PATTERNS: tuple[tuple[str, re.Pattern[str]], ...] = (
    (
        "secret",
        re.compile(r"\b(?:sk|mk|pk|rk|hf|ghp|gho|xox[abps])[-_][A-Za-z0-9_-]{8,}|\bAKIA[A-Z0-9]{16}\b"),
    ),
    ("secret", re.compile(r"(?i)\bbearer\s+[A-Za-z0-9._~+/-]{8,}=*")),
    ("email", re.compile(r"[\w.%+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63}){1,8}")),
    ("iban", re.compile(r"\b[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?\b")),
    ("phone", re.compile(r"(?<!\w)(?:\+|00)[1-9](?:[ ()/.-]{0,2}\d){6,14}(?!\d)")),
)


def text(given: str) -> str:
    """With a word in brackets in the place of what was taken out."""
    kept = _MEDIA.sub(lambda found: f"[media, {len(found[0])} characters]", given)
    kept = _CARD.sub(lambda found: "[card]" if _luhn(found[0]) else found[0], kept)
    for name, pattern in _PATTERNS:
        kept = pattern.sub(f"[{name}]", kept)
    return kept


def value(given: Any, hide: Collection[str]) -> Any:
    """JSON with its texts redacted, and fields of the names in `hide` left out. Raises RecursionError."""
    match given:
        case str():
            return text(given)
        case list():
            return [value(one, hide) for one in given]
        case dict():
            return {
                text(name): HIDDEN if name in hide or name in PEOPLE else value(one, hide)
                for name, one in given.items()
            }
        case _:
            return given


def body(given: bytes, kind: str, whole: bool, hide: Collection[str]) -> Any:
    """Of a request or an answer with that media type. `whole`: nothing is missing at its end."""
    kind = kind.partition(";")[0].strip().lower()
    try:
        if kind == "text/event-stream":
            return value(_joined(given), hide)
        if kind.endswith("json") and whole:
            return value(orjson.loads(given), hide)
    except (orjson.JSONDecodeError, RecursionError):
        return "[unreadable]"
    # Of a part of a document nobody can say in which field a text stands.
    return f"[{kind or 'nothing'}, {'' if whole else 'more than '}{len(given)} bytes]"


def _joined(events: bytes) -> dict[str, Any]:
    """What a stream said, by where it stands in its events: a number or an address may lie across two."""
    said: dict[str, Any] = {}

    def walk(given: Any, path: str, name: str) -> None:
        if isinstance(given, dict):
            for below, one in given.items():
                walk(one, f"{path}.{below}" if path else below, below)
        elif isinstance(given, list):
            for place, one in enumerate(given):
                number = one.get("index", place) if isinstance(one, dict) else place
                walk(one, f"{path}.{number}", name)
        elif isinstance(given, str) and name in _SAID:
            said.setdefault(name, {}).setdefault(path, []).append(given)

    # The last may be cut.
    for event in events.split(b"\n\n")[:-1]:
        for line in event.split(b"\n"):
            if line.startswith(b"data: {"):
                walk(orjson.loads(line[6:]), "", "")
    return {name: {path: "".join(told) for path, told in of.items()} for name, of in said.items()}


def _luhn(number: str) -> bool:
    digits = [int(digit) for digit in number if digit.isdigit()]
    double: Callable[[int], int] = lambda digit: digit * 2 - 9 * (digit > 4)  # noqa: E731
    return (sum(digits[-1::-2]) + sum(map(double, digits[-2::-2]))) % 10 == 0
