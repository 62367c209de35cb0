"""`response_format` → the shape an answer is held to, as a schema in which nothing is endless.

A constrained model may write whatever the schema lets it, and a small one then writes for ever:
digits, spaces, items, a string without end. So a schema is given bounds where its author gave
none. They only narrow it: what fits the bounded schema fits the author's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from backends.chat import fields
from backends.contract.errors import InvalidRequest

FORMAT = "response_format"
SCHEMA = "response_format.json_schema.schema"
MOST_ITEMS = 16
MOST_DEPTH = 64
# A grammar is made while nobody else is served, in time that grows with these.
MOST_PARTS = 500
MOST_TIMES = 500
MOST_LENGTH = 100_000
LIMITS = {"Items": MOST_TIMES, "Properties": MOST_TIMES, "Length": MOST_LENGTH}
LARGEST = 2**53 - 1  # beyond it, readers that hold numbers as doubles lose digits
FINEST = 0.000001
KEY = "^[A-Za-z0-9_. -]{1,32}$"
# Separators as `json.dumps` writes them, and no other space.
LAYOUT = {"whitespace_flexible": False, "item_separator": ", ", "key_separator": ": "}
# With one of these a schema without a type says enough.
SAYS = frozenset({"$ref", "enum", "const", "anyOf", "oneOf", "allOf"})
IMPLIED = {
    "properties": "object", "patternProperties": "object", "additionalProperties": "object",
    "required": "object", "items": "array", "prefixItems": "array", "minItems": "array",
    "maxItems": "array", "pattern": "string", "format": "string", "minLength": "string",
    "maxLength": "string", "minimum": "number", "maximum": "number", "exclusiveMinimum": "number",
    "exclusiveMaximum": "number", "multipleOf": "number",
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Shape:
    """A JSON schema as the caller wrote it, and the field it came in."""

    schema: Any
    param: str

    def bounded(self, characters: int) -> dict[str, Any]:
        """`characters`: of a string that has no bound. Raises InvalidRequest with `param`."""
        return {**_Bounds(characters, self.param).of(self.schema), "x-guidance": LAYOUT}

    def check(self) -> int:
        """Raises InvalidRequest with `param` for what is no schema; how many parts it has."""
        bounds = _Bounds(1, self.param)
        bounds.of(self.schema)
        return bounds.parts

    def grammar(self, characters: int) -> str:
        """As a terminal of a Lark grammar."""
        return f"%json {orjson.dumps(self.bounded(characters)).decode()}"


def read_format(value: Any) -> Shape | None:
    """None: any text will do. Raises InvalidRequest with the `param` inside `response_format`."""
    if value is None:
        return None
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{FORMAT}' must be an object", param=FORMAT)
    match value.get("type"):
        case "text":
            _only(value, FORMAT, "type")
            return None
        case "json_object":
            _only(value, FORMAT, "type")
            return Shape({"type": "object"}, FORMAT)
        case "json_schema":
            _only(value, FORMAT, "type", "json_schema")
            return _named(value.get("json_schema"), f"{FORMAT}.json_schema")
    raise InvalidRequest(
        f"'{FORMAT}.type' must be one of text, json_object, json_schema", param=f"{FORMAT}.type"
    )


def _named(value: Any, where: str) -> Shape:
    if not isinstance(value, dict):
        raise InvalidRequest(f"'{where}' must be an object", param=where)
    _only(value, where, "name", "description", "schema", "strict")
    if not isinstance(value.get("name"), str) or not value["name"]:
        raise InvalidRequest(f"'{where}.name' is required", param=f"{where}.name")
    if value.get("description") is not None:
        fields.text(value["description"], f"{where}.description")
    fields.flag(value, "strict", f"{where}.")  # either way the answer is held to the schema
    schema = value.get("schema")
    shape = Shape({"type": "object"} if schema is None else schema, SCHEMA)
    shape.check()
    return shape


def _only(value: Mapping[str, Any], where: str, *names: str) -> None:
    for name, given in value.items():
        if name not in names and given is not None:
            raise InvalidRequest(f"'{where}.{name}' is not supported by this model", param=f"{where}.{name}")


class _Bounds:
    """Walks a schema and leaves nothing endless in it."""

    def __init__(self, characters: int, param: str) -> None:
        self._characters, self._param = characters, param
        self.parts = 0

    def of(self, schema: Any) -> dict[str, Any]:
        if not isinstance(schema, dict):
            raise self._wrong("is not a JSON schema")
        fields.texts_in(schema, self._param)
        bounded: dict[str, Any] = self._bounded(schema, 0)
        return bounded

    def _spend(self, parts: int) -> None:
        self.parts += parts
        if self.parts > MOST_PARTS:
            raise self._wrong(f"has more than {MOST_PARTS} parts")

    def _wrong(self, why: str) -> InvalidRequest:
        return InvalidRequest(f"'{self._param}' {why}", param=self._param)

    def _bounded(self, given: Any, depth: int) -> Any:
        if given is True or given == {}:
            return self._anything(2)
        if given is False:
            return False
        if not isinstance(given, dict):
            raise self._wrong("is not a JSON schema")
        if depth > MOST_DEPTH:
            raise self._wrong(f"is more than {MOST_DEPTH} levels deep")
        self._spend(1 + len(given["enum"]) if isinstance(given.get("enum"), list) else 1)
        schema = self._within(given, depth)
        for name, most in LIMITS.items():
            if _count(schema, f"min{name}") > most:
                raise self._wrong(f"holds 'min{name}' over {most}")
            if _count(schema, f"max{name}") > most:
                schema[f"max{name}"] = most
        kinds = schema.get("type")
        if kinds is None:
            if SAYS & schema.keys():
                return schema
            kinds = next((kind for key, kind in IMPLIED.items() if key in schema), None)
            if kinds is None:
                # A title or a description alone says nothing of the value.
                return {**schema, **self._anything(2)}
            schema["type"] = kinds
        if not {"enum", "const"} & schema.keys():
            for kind in kinds if isinstance(kinds, list) else [kinds]:
                self._bound(schema, kind)
        return schema

    def _within(self, given: dict[str, Any], depth: int) -> dict[str, Any]:
        """The schema with the schemas inside it bounded."""
        schema = dict(given)
        if "discriminator" in schema and "oneOf" in schema and "anyOf" not in schema:
            # Where a property tells the branches apart, one fits exactly where any does.
            schema["anyOf"] = schema.pop("oneOf")
        for key in ("properties", "patternProperties", "$defs", "definitions"):
            if key in schema:
                if not isinstance(schema[key], dict):
                    raise self._wrong(f"holds '{key}' that is no object")
                schema[key] = {name: self._bounded(part, depth + 1) for name, part in schema[key].items()}
        for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
            if key in schema:
                if not isinstance(schema[key], list):
                    raise self._wrong(f"holds '{key}' that is no list")
                schema[key] = [self._bounded(part, depth + 1) for part in schema[key]]
        for key in ("items", "additionalProperties"):
            if key in schema and not isinstance(schema[key], bool):
                schema[key] = self._bounded(schema[key], depth + 1)
        return schema

    def _bound(self, schema: dict[str, Any], kind: Any) -> None:
        if kind == "string":
            schema.setdefault("maxLength", max(self._characters, _count(schema, "minLength")))
        elif kind in ("integer", "number"):
            if not {"minimum", "exclusiveMinimum"} & schema.keys():
                schema["minimum"] = -LARGEST
            if not {"maximum", "exclusiveMaximum"} & schema.keys():
                schema["maximum"] = LARGEST
            if kind == "number":
                schema.setdefault("multipleOf", FINEST)
        elif kind == "array":
            schema.setdefault("maxItems", max(MOST_ITEMS, _count(schema, "minItems")))
            if schema.get("items", True) is True:
                schema["items"] = False if "prefixItems" in schema else self._anything(1)
        elif kind == "object":
            self._bound_object(schema)

    def _bound_object(self, schema: dict[str, Any]) -> None:
        if SAYS & schema.keys():
            return  # what it refers to names the properties
        free = schema.get("additionalProperties", True)
        schema["additionalProperties"] = False
        # Properties that are named are all there are; a map has keys of some moderate length.
        if not {"properties", "patternProperties"} & schema.keys() and free is not False:
            schema["patternProperties"] = {KEY: self._anything(2) if free is True else free}
        if "patternProperties" in schema:
            most = max(MOST_ITEMS, _count(schema, "minProperties"))
            schema.setdefault("maxProperties", most)

    def _anything(self, depth: int) -> dict[str, Any]:
        """Any JSON value, with arrays and objects inside one another `depth` times."""
        self._spend(5)
        kinds: list[dict[str, Any]] = [{"type": kind} for kind in ("string", "number")]
        if depth:
            inner = self._anything(depth - 1)
            kinds += [{"type": "array", "items": inner}, {"type": "object", "additionalProperties": inner}]
        for kind in kinds:
            self._bound(kind, kind["type"])
        return {"anyOf": [*kinds, {"type": "boolean"}, {"type": "null"}]}


def _count(schema: Mapping[str, Any], name: str) -> int:
    value = schema.get(name)
    return value if isinstance(value, int) else 0
