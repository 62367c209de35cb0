import importlib.util
import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from backends.fleet.load import load

ROOT = Path(__file__).parents[4]
FLEETS = sorted([*ROOT.glob("deploy/fleets/*.yaml"), *ROOT.glob("tests/data/fleets/*.yaml")])

SHORT: dict[str, Any] = {"task": "chat", "engine": "fake", "source": "s", "place": {"node": "a"}}
VARIANT = {key: value for key, value in SHORT.items() if key != "task"}


def tool() -> Any:
    spec = importlib.util.spec_from_file_location("fleet_schema", ROOT / "tools" / "fleet_schema.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def schema() -> Any:
    return json.loads((ROOT / "deploy" / "fleets" / "fleet.schema.json").read_text(encoding="utf-8"))


def valid(schema: Any, model: object, **more: object) -> bool:
    fleet = {"version": 1, "nodes": {"a": {}}, "models": {"m": model}, **more}
    return bool(jsonschema.Draft202012Validator(schema).is_valid(fleet))


def test_the_file_is_fresh() -> None:
    assert tool().main(["--check"]) == 0, "run python tools/fleet_schema.py"


def test_a_stale_file_is_noticed_and_written_anew(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet_schema = tool()
    fleet_schema.TARGET = tmp_path / "fleet.schema.json"
    assert fleet_schema.main(["--check"]) == 1
    assert "stale" in capsys.readouterr().err
    assert fleet_schema.main([]) == 0
    assert fleet_schema.main(["--check"]) == 0
    fleet_schema.TARGET.write_text("{}")
    assert fleet_schema.main(["--check"]) == 1


def test_it_is_a_schema(schema: Any) -> None:
    jsonschema.Draft202012Validator.check_schema(schema)


@pytest.mark.parametrize("path", FLEETS, ids=lambda path: path.name)
def test_every_fleet_obeys_it_and_loads(path: Path, schema: Any) -> None:
    assert load(path).models
    document = yaml.safe_load(path.read_text(encoding="utf-8"))
    jsonschema.Draft202012Validator(schema).validate(document)


@pytest.mark.parametrize(
    "model",
    [
        SHORT,
        {"task": "chat", "variants": {"main": VARIANT}},
        {**SHORT, "place": {"node": ["a", "b"], "share": 0.5}},
        {"task": "chat", "steps": {"hear": "a", "think": "b", "speak": "c"}},
        {"task": "chat", "steps": {"sequence": ["a", {"model": "b", "prompt": "Again."}]}},
        {"task": "chat", "steps": {"switch": [{"field": "n", "over": 1, "model": "a"}, {"model": "b"}]}},
    ],
    ids=["short", "long", "several nodes", "audio", "sequence", "switch"],
)
def test_all_forms_are_valid(model: object, schema: Any) -> None:
    assert valid(schema, model)


@pytest.mark.parametrize(
    "model",
    [
        {**SHORT, "variants": {"main": VARIANT}},
        {"task": "chat"},
        VARIANT,
        {**SHORT, "engin": "x"},
        {**SHORT, "task": "tts"},
        {**SHORT, "place": {"node": []}},
        {**SHORT, "scale": {"replicas": [1]}},
        {"task": "chat", "variants": {"Main": VARIANT}},
        {"task": "chat", "variants": {}},
        {**SHORT, "aliases": ["a//b"]},
        {**SHORT, "steps": {"sequence": ["a", "b"]}},
        {"task": "chat", "steps": {"sequence": ["a"]}},
        {"task": "chat", "steps": {"hear": "a", "think": "b"}},
        {"task": "chat", "fallback": ["a"], "steps": {"sequence": ["a", "b"]}},
    ],
    ids=[
        "both",
        "neither",
        "no task",
        "unknown key",
        "task",
        "no node",
        "one replica",
        "name",
        "no variant",
        "alias",
        "steps of its own",
        "one step",
        "no voice",
        "steps and a fallback",
    ],
)
def test_what_is_neither_is_not(model: object, schema: Any) -> None:
    assert not valid(schema, model)


def test_names_of_nodes(schema: Any) -> None:
    assert valid(schema, SHORT, nodes={"a-1": {}})
    assert not valid(schema, SHORT, nodes={"A_1": {}})
