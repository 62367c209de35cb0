"""pydantic's errors → sentences for whoever wrote the file."""

import re
from collections.abc import Callable, Iterator
from types import UnionType
from typing import Any, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from backends.contract.tasks import VERBS
from backends.fleet.atoms import NAME, PUBLIC_NAME
from backends.fleet.problems import Finding, Path, did_you_mean, shown
from backends.fleet.schema import VARIANT_KEYS, Model
from backends.fleet.steps import HOOK
from backends.sizes import SIZE

# What others call the five tasks.
SYNONYMS = {
    **dict.fromkeys(("tts", "text-to-speech", "speech"), "speak"),
    **dict.fromkeys(
        ("stt", "asr", "transcription", "transcriptions", "whisper", "speech-to-text"), "transcribe"
    ),
    **dict.fromkeys(("llm", "completion", "completions", "generate", "text-generation"), "chat"),
    **dict.fromkeys(("embedding", "embeddings"), "embed"),
    **dict.fromkeys(("reranker", "reranking", "ranking", "rank"), "rerank"),
}

_PATTERNS = {
    NAME: "must be at most 40 lower-case letters, digits and dashes, with no dash at either end",
    PUBLIC_NAME: "must be letters, digits and . _ - /, with a letter or digit first and after each slash",
    HOOK: "must be a file and a function in it, such as tidy:shorten",
    SIZE: "must be a size such as 8Gi (Ki, Mi, Gi, Ti, or bytes)",
}


def _expected(context: dict[str, Any]) -> str:
    return f"{'one of ' if ' or ' in context['expected'] else ''}{context['expected']}"


def _bound(limit: object) -> str:
    return f"{limit:g}" if isinstance(limit, float) else str(limit)


# Error type → what the value must be.
_MUST: dict[str, Callable[[dict[str, Any]], str]] = {
    **dict.fromkeys(("string_type", "string_sub_type"), lambda _: "a text"),
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), lambda _: "a whole number"),
    **dict.fromkeys(("float_type", "float_parsing"), lambda _: "a number"),
    **dict.fromkeys(("bool_type", "bool_parsing"), lambda _: "true or false"),
    **dict.fromkeys(
        ("model_type", "dict_type", "mapping_type", "model_attributes_type"), lambda _: "a mapping"
    ),
    **dict.fromkeys(("tuple_type", "list_type", "set_type", "frozen_set_type"), lambda _: "a list"),
    "finite_number": lambda _: "a finite number",
    "greater_than": lambda ctx: f"more than {_bound(ctx['gt'])}",
    "greater_than_equal": lambda ctx: f"at least {_bound(ctx['ge'])}",
    "less_than": lambda ctx: f"less than {_bound(ctx['lt'])}",
    "less_than_equal": lambda ctx: f"at most {_bound(ctx['le'])}",
    "string_too_long": lambda ctx: f"at most {ctx['max_length']} characters long",
    "string_too_short": lambda ctx: f"at least {ctx['min_length']} characters long",
    "literal_error": _expected,
    "enum": _expected,
}


def findings(error: ValidationError, model: type[BaseModel], at: Path = ()) -> list[Finding]:
    """What `error`, raised by `model`, found in the value at `at`."""
    return [_finding(detail, model, at) for detail in error.errors(include_url=False)]


def _finding(detail: ErrorDetails, model: type[BaseModel], at: Path) -> Finding:
    loc: Path = detail["loc"]
    kind, value = detail["type"], detail["input"]
    path = (*at, *loc)
    if loc and loc[-1] == "[key]":
        predicate = _predicate(detail).removesuffix(f", not {shown(value)}")
        return Finding(path[:-1], f"the name {shown(value)} {predicate}", _hint(detail))
    if kind == "extra_forbidden":
        return _unknown_key(path, loc, model)
    if kind == "missing":
        return _missing(path, loc, model)
    if kind == "literal_error" and loc[-1] == "task" and isinstance(value, str):
        return _task(path, value)
    return Finding(path, _predicate(detail), _hint(detail))


def _predicate(detail: ErrorDetails) -> str:
    kind, value, context = detail["type"], detail["input"], detail.get("ctx", {})
    if kind in _MUST:
        return f"must be {_MUST[kind](context)}, not {shown(value)}"
    if kind == "string_pattern_mismatch":
        wanted = _PATTERNS.get(context["pattern"], f"must match the pattern {context['pattern']}")
        return f"{wanted}, not {shown(value)}"
    if kind in ("value_error", "assertion_error"):
        return str(context["error"])
    if kind == "too_short":
        return f"needs at least {_entries(context['min_length'])}, has {context['actual_length']}"
    if kind == "too_long":
        return f"takes at most {_entries(context['max_length'])}, has {context['actual_length']}"
    return detail["msg"].replace("Input should be", "must be")


def _entries(count: int) -> str:
    return "1 entry" if count == 1 else f"{count} entries"


def _hint(detail: ErrorDetails) -> str:
    value, context = detail["input"], detail.get("ctx", {})
    if detail["type"] == "string_type" and isinstance(value, int | float):
        size = detail["loc"][-1] in ("vram", "memory")
        return f"with its unit, for example {value}Gi" if size else "put it in quotes"
    if context.get("pattern") == NAME and (slug := re.sub("[^a-z0-9]+", "-", value.lower()).strip("-")):
        return f"for example {slug[:40].strip('-')}"
    if detail["type"] in ("literal_error", "enum") and isinstance(value, str):
        near = did_you_mean(value, re.findall("'([^']*)'", context["expected"]))
        return near if near.startswith("did") else ""
    return ""


def _task(path: Path, value: str) -> Finding:
    if meant := SYNONYMS.get(value.lower()):
        return Finding(path, f"task '{value}' is called {meant}", f"write task: {meant}")
    return Finding(path, f"there is no task {shown(value)}", did_you_mean(value, VERBS))


def _missing(path: Path, loc: Path, model: type[BaseModel]) -> Finding:
    *parent, key = path
    if isinstance(key, int):
        return Finding(tuple(parent), f"needs at least {_entries(key + 1)}")
    if key == "variants" and Model in _models_at(model, loc[:-1]):
        return Finding(tuple(parent), "the keys 'engine', 'source' and 'place' are missing")
    return Finding(tuple(parent), f"the key '{key}' is missing")


def _unknown_key(path: Path, loc: Path, model: type[BaseModel]) -> Finding:
    key = str(loc[-1])
    models = _models_at(model, loc[:-1])
    known = {name for one in models for name in one.model_fields}
    if Model in models:
        if key in VARIANT_KEYS:
            return Finding(path, f"'{key}' beside 'variants'", "move it into the variants it is for")
        known |= VARIANT_KEYS
    return Finding(path, f"unknown key '{key}'", did_you_mean(key, known) or "remove it")


def _models_at(annotation: Any, loc: Path) -> list[type[BaseModel]]:
    """The pydantic models that the value at `loc` may be."""
    for part in loc:
        annotation = _step(annotation, part)
    return [one for one in _alternatives(annotation) if isinstance(one, type) and issubclass(one, BaseModel)]


def _step(annotation: Any, part: str | int) -> Any:
    for one in _alternatives(annotation):
        if isinstance(one, type) and issubclass(one, BaseModel) and part in one.model_fields:
            return one.model_fields[str(part)].annotation
        arguments = get_args(one)
        if get_origin(one) is dict:
            return arguments[1]
        if get_origin(one) in (list, tuple) and isinstance(part, int):
            return arguments[0]
    return annotation  # the name of a union's branch: nothing to step into


def _alternatives(annotation: Any) -> Iterator[Any]:
    """The members of a union, without `Annotated`; the annotation itself if it is none."""
    if hasattr(annotation, "__metadata__"):
        annotation = annotation.__origin__
    if get_origin(annotation) in (Union, UnionType):
        for one in get_args(annotation):
            yield from _alternatives(one)
    else:
        yield annotation
