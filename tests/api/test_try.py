"""`motley try` and `motley status` against a running door."""

import json
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli import main

from .doors import Door


@pytest.fixture
def run(door: Door) -> Any:
    def invoke(*given: str, key: str = door.key) -> Result:
        return CliRunner(env={"COLUMNS": "200"}).invoke(main, [*given, "--url", door.base_url, "--key", key])

    return invoke


def test_every_verb_is_asked_once(run: Any, tmp_path: Path) -> None:
    asked = run("try", "--json", "--wav", str(tmp_path / "try.wav"))
    assert asked.exit_code == 0, asked.stdout
    answers = json.loads(asked.stdout)
    assert [one["verb"] for one in answers] == ["chat", "speak", "transcribe", "embed", "rerank"]
    assert {tuple(one) for one in answers} == {
        ("verb", "model", "result", "seconds", "engine", "node", "error"),
    }
    assert {one["error"] for one in answers} == {None}
    assert (tmp_path / "try.wav").read_bytes()[:4] == b"RIFF"
    for one in answers:
        assert one["engine"]
        assert one["seconds"] > 0


def test_what_is_not_answered_is_told(run: Any, tmp_path: Path) -> None:
    asked = run("try", "--json", "--wav", str(tmp_path / "nowhere" / "try.wav"))
    assert asked.exit_code == 1
    failed = {one["verb"]: one["error"] for one in json.loads(asked.stdout) if one["error"]}
    assert failed.keys() == {"speak", "transcribe"}
    people = run("try", "--wav", str(tmp_path / "nowhere" / "try.wav"))
    assert (people.exit_code, "No such file" in people.stdout) == (1, True)
    refused = run("try", key="sk-wrong")
    assert (refused.exit_code, refused.stdout, "401" in refused.stderr) == (1, "", True)


def test_the_fleet_for_programs(run: Any) -> None:
    told = run("status", "--json")
    assert (told.exit_code, "models" in json.loads(told.stdout)) == (0, True)
