"""Schemas in which nothing is endless, and what `response_format` may say."""

from typing import Any

import pytest

from backends.chat import shapes
from backends.chat.shapes import FINEST, LARGEST, LAYOUT, MOST_ITEMS, Shape, read_format
from backends.contract.errors import InvalidRequest


def bounded(schema: Any) -> dict[str, Any]:
    made = Shape(schema, "p").bounded(100)
    assert made.pop("x-guidance") == LAYOUT
    return made


WIDE = {"minimum": -LARGEST, "maximum": LARGEST}


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"type": "string"}, {"type": "string", "maxLength": 100}),
        ({"type": "string", "maxLength": 9}, {"type": "string", "maxLength": 9}),
        ({"type": "string", "minLength": 200}, {"type": "string", "minLength": 200, "maxLength": 200}),
        ({"type": "string", "enum": ["a"]}, {"type": "string", "enum": ["a"]}),
        ({"enum": ["a", 1]}, {"enum": ["a", 1]}),
        ({"type": "integer"}, {"type": "integer", **WIDE}),
        (
            {"type": "integer", "exclusiveMinimum": 0},
            {"type": "integer", "exclusiveMinimum": 0, "maximum": LARGEST},
        ),
        ({"type": "number"}, {"type": "number", **WIDE, "multipleOf": FINEST}),
        ({"type": "number", "multipleOf": 5}, {"type": "number", **WIDE, "multipleOf": 5}),
        ({"type": ["string", "null"]}, {"type": ["string", "null"], "maxLength": 100}),
        ({"type": "boolean"}, {"type": "boolean"}),
        (
            {"type": "array", "items": {"type": "boolean"}},
            {"type": "array", "items": {"type": "boolean"}, "maxItems": MOST_ITEMS},
        ),
        # What a schema implies is said.
        ({"minLength": 1}, {"type": "string", "minLength": 1, "maxLength": 100}),
        (
            {"properties": {"a": {"type": "null"}}},
            {"type": "object", "properties": {"a": {"type": "null"}}, "additionalProperties": False},
        ),
        # Properties that are named are all there are.
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": True},
            {
                "type": "object",
                "properties": {"a": {"type": "string", "maxLength": 100}},
                "additionalProperties": False,
            },
        ),
        (
            {"type": "object", "properties": {}},
            {"type": "object", "properties": {}, "additionalProperties": False},
        ),
        (
            {"type": "object", "additionalProperties": {"type": "boolean"}},
            {
                "type": "object",
                "patternProperties": {shapes.KEY: {"type": "boolean"}},
                "additionalProperties": False,
                "maxProperties": MOST_ITEMS,
            },
        ),
        (
            {"$ref": "#/$defs/s", "$defs": {"s": {"type": "string"}}},
            {"$ref": "#/$defs/s", "$defs": {"s": {"type": "string", "maxLength": 100}}},
        ),
        (
            {"oneOf": [{"type": "null"}], "discriminator": {"propertyName": "kind"}},
            {"anyOf": [{"type": "null"}], "discriminator": {"propertyName": "kind"}},
        ),
    ],
)
def test_bounds(given: Any, expected: Any) -> None:
    assert bounded(given) == expected


def endless(schema: Any) -> bool:
    """Does anything in it have no end?"""
    if isinstance(schema, list):
        return any(map(endless, schema))
    if not isinstance(schema, dict):
        return schema is True
    match schema.get("type"):
        case "string" if "maxLength" not in schema:
            return True
        case "number" if "multipleOf" not in schema or "maximum" not in schema:
            return True
        case "array" if "maxItems" not in schema or schema.get("items", True) is True:
            return True
        case "object" if schema.get("additionalProperties", True) is not False:
            return True
    return any(map(endless, schema.values()))


@pytest.mark.parametrize(
    "given", [{"type": "object"}, {"type": "array"}, {}, {"title": "x"}, {"properties": {"a": {}, "b": True}}]
)
def test_where_anything_goes_it_ends(given: Any) -> None:
    made = bounded(given)
    assert made
    assert not endless(made)


def test_the_callers_schema_is_left_as_it_was() -> None:
    given = {"type": "object", "properties": {"a": {"type": "string"}}}
    bounded(given)
    assert given == {"type": "object", "properties": {"a": {"type": "string"}}}


def test_formats_that_are_read() -> None:
    assert read_format(None) is None
    assert read_format({"type": "text"}) is None
    json_object = read_format({"type": "json_object"})
    assert json_object is not None
    assert json_object.schema == {"type": "object"}
    named = read_format(
        {"type": "json_schema", "json_schema": {"name": "n", "schema": {"type": "null"}, "strict": True}}
    )
    assert named is not None
    assert (named.schema, named.param) == ({"type": "null"}, shapes.SCHEMA)


def test_counts_are_cut_to_what_can_be_held_to() -> None:
    assert bounded({"type": "array", "items": {"type": "null"}, "maxItems": 10**9})["maxItems"] == 500
    assert bounded({"type": "string", "maxLength": 10**9})["maxLength"] == 100_000


def deep() -> dict[str, Any]:
    schema: dict[str, Any] = {"type": "null"}
    for _ in range(200):
        schema = {"type": "array", "items": schema}
    return schema


SCHEMA = "response_format.json_schema.schema"


@pytest.mark.parametrize(
    ("given", "param"),
    [
        ("json", "response_format"),
        ({}, "response_format.type"),
        ({"type": "grammar"}, "response_format.type"),
        ({"type": "json_object", "schema": {}}, "response_format.schema"),
        ({"type": "json_schema"}, "response_format.json_schema"),
        ({"type": "json_schema", "json_schema": {"schema": {}}}, "response_format.json_schema.name"),
        ({"type": "json_schema", "json_schema": {"name": "n", "x": 1}}, "response_format.json_schema.x"),
        (
            {"type": "json_schema", "json_schema": {"name": "n", "strict": 1}},
            "response_format.json_schema.strict",
        ),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": []}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"properties": []}}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"anyOf": {}}}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"items": 3}}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": ["\0"]}}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": deep()}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"minItems": 501}}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"enum": [1] * 501}}}, SCHEMA),
        ({"type": "json_schema", "json_schema": {"name": "n", "schema": {"anyOf": [{}] * 60}}}, SCHEMA),
    ],
)
def test_formats_that_are_refused(given: Any, param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read_format(given)
    assert refusal.value.param == param
