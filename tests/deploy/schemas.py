"""Strict schemas: what an API server would refuse, and what it would drop without a word."""

import functools
import json
from pathlib import Path
from typing import Any

import jsonschema
import kubernetes_validate

from tests.deploy.charts import Object

KUBERNETES = "1.35"
CRDS = {
    (crd["kind"], f"{crd['group']}/{crd['version']}"): crd["schema"]
    for crd in (json.loads(path.read_text()) for path in (Path(__file__).parent / "crds").glob("*.json"))
}


def wrong(found: Object) -> list[str]:
    """What is wrong with an object, in sentences."""
    return _wrong(json.dumps(found, sort_keys=True))


@functools.cache
def _wrong(text: str) -> list[str]:
    found = json.loads(text)
    if (found["kind"], found["apiVersion"]) in CRDS:
        errors = _custom(found["kind"], found["apiVersion"]).iter_errors(found)
        return [f"{'.'.join(map(str, error.absolute_path))}: {error.message[:300]}" for error in errors]
    try:
        kubernetes_validate.validate(found, KUBERNETES, strict=True)
    except (kubernetes_validate.ValidationError, kubernetes_validate.SchemaNotFoundError) as error:
        return [str(error.message)]
    return []


@functools.cache
def _custom(kind: str, version: str) -> jsonschema.Draft202012Validator:
    schema = strict(CRDS[kind, version])
    schema["properties"] |= {"apiVersion": {"const": version}, "kind": {"const": kind}}
    schema["properties"]["metadata"] = {"type": "object", "required": ["name", "namespace"]}
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return jsonschema.Draft202012Validator(schema)


def strict(schema: Any, closed: bool = True) -> Any:
    """A definition's schema as JSON Schema that takes no unknown key. A required key that has a default may
    be missing, as the API server would add it. What stands under `anyOf` and the like is a part of a whole,
    and closes nothing."""
    if not isinstance(schema, dict):
        return schema
    made: dict[str, Any] = {}
    for key, value in schema.items():
        if key == "properties":
            made[key] = {name: strict(one, closed) for name, one in value.items()}
        elif key in ("allOf", "anyOf", "oneOf"):
            made[key] = [strict(one, closed=False) for one in value]
        elif key in ("items", "additionalProperties", "not"):
            made[key] = strict(value, closed and key != "not")
        elif key == "required":
            properties = schema.get("properties", {})
            made[key] = [name for name in value if "default" not in properties.get(name, {})]
        elif not key.startswith("x-") and key not in ("nullable", "default"):
            made[key] = value
    if schema.get("x-kubernetes-int-or-string"):
        made = {"type": ["integer", "string"]}
    if schema.get("nullable") and isinstance(made.get("type"), str):
        made["type"] = [made["type"], "null"]
    open_ = schema.get("x-kubernetes-preserve-unknown-fields") or "additionalProperties" in schema
    if closed and not open_ and "properties" in made:
        made["additionalProperties"] = False
    return made
