import json
from pathlib import Path

import pytest
import typer
import yaml
from typer.testing import CliRunner

from app.cli.check import check
from app.cli.render import render
from backends.fleet.load import load
from backends.render.serve import serve_config

FLEET = Path(__file__).parents[3] / "data" / "fleets" / "reference_shape.yaml"

BAD = """\
version: 1
nodes: {laptop: {}}
models:
  demo: {task: tts, engine: fake, source: 'builtin://x', place: {node: laptop}}
"""


@pytest.fixture
def app() -> typer.Typer:
    app = typer.Typer()
    app.command()(check)
    app.command()(render)
    return app


@pytest.fixture
def bad(tmp_path: Path) -> Path:
    path = tmp_path / "fleet.yaml"
    path.write_text(BAD)
    return path


def test_a_good_fleet_is_a_table_and_ok(app: typer.Typer) -> None:
    ran = CliRunner().invoke(app, ["check", str(FLEET)])
    assert ran.exit_code == 0, ran.output
    *_, last = ran.stdout.splitlines()
    assert last == "ok"
    rows = [
        [cell.strip() for cell in line.split("│")[1:-1]] for line in ran.stdout.splitlines() if "│" in line
    ]
    assert ["llama-3.3-70b", "chat", "canary", "fake", "khelben", "0.45", "1", "10 %", "llm, gpt-4o"] in rows
    reranker = "BAAI/bge-reranker-large", "rerank", "main", "fake", "danilo, drizzt", "0.8", "0–2", "100 %"
    assert [*reranker, "reranker"] in rows
    assert len(rows) == 6


def test_a_good_fleet_for_programs(app: typer.Typer) -> None:
    ran = CliRunner().invoke(app, ["check", str(FLEET), "--json"])
    assert ran.exit_code == 0
    answer = json.loads(ran.stdout)
    assert (answer["ok"], answer["file"], len(answer["placement"])) == (True, str(FLEET), 6)
    assert answer["placement"][2] == {
        "model": "whisper-large-v3",
        "task": "transcribe",
        "variant": "main",
        "engine": "fake",
        "nodes": ["elminster"],
        "share": 0.5,
        "cpus": 0,
        "replicas": [1, 3],
        "traffic": 100,
        "aliases": ["whisper", "whisper-1"],
    }


@pytest.mark.parametrize("command", ["check", "render"])
def test_a_bad_fleet_is_told_on_stderr(command: str, app: typer.Typer, bad: Path) -> None:
    ran = CliRunner().invoke(app, [command, str(bad)])
    assert ran.exit_code == 1
    assert ran.stdout == ""
    assert ran.stderr == f"{bad}:4: models.demo.task: task 'tts' is called speak (write task: speak)\n"


def test_a_bad_fleet_for_programs(app: typer.Typer, bad: Path) -> None:
    ran = CliRunner().invoke(app, ["check", "--json", str(bad)])
    assert ran.exit_code == 1
    problem = {
        "line": 4,
        "place": "models.demo.task",
        "message": "task 'tts' is called speak",
        "hint": "write task: speak",
    }
    assert json.loads(ran.stdout) == {"ok": False, "file": str(bad), "problems": [problem]}


def test_a_missing_file(app: typer.Typer, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["check", str(tmp_path / "fleet.yaml")])
    assert ran.exit_code == 1
    assert ran.stderr == f"{tmp_path}/fleet.yaml: no such file\n"


def test_rendered_yaml_is_the_config(app: typer.Typer) -> None:
    ran = CliRunner().invoke(app, ["render", str(FLEET), "--port", "8123"])
    assert ran.exit_code == 0, ran.output
    assert yaml.safe_load(ran.stdout) == serve_config(load(FLEET), port=8123)
