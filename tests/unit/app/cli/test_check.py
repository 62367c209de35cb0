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
REFERENCE = Path(__file__).parents[4] / "deploy" / "fleets" / "reference.yaml"

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


def rows(printed: str) -> list[list[str]]:
    """The cells of all tables, headings aside."""
    return [[cell.strip() for cell in line.split("│")[1:-1]] for line in printed.splitlines() if "│" in line]


def test_a_good_fleet_is_a_table_and_ok(app: typer.Typer) -> None:
    ran = CliRunner().invoke(app, ["check", str(FLEET)])
    assert ran.exit_code == 0, ran.output
    *_, last = ran.stdout.splitlines()
    assert last == "ok"
    told = rows(ran.stdout)
    canary = ["khelben", "0.45", "43.2 GiB", "0.0 GiB", "1", "10 %", "llm, gpt-4o"]
    assert ["llama-3.3-70b", "chat", "canary", "fake", *canary] in told
    reranker = ["danilo, drizzt", "0.8", "3.2 GiB", "0.0 GiB", "0–2", "100 %", "reranker"]
    assert ["BAAI/bge-reranker-large", "rerank", "main", "fake", *reranker] in told
    assert ["elminster", "0", "whisper-large-v3 0.5, xtts-v2 0.5", "0"] in told
    assert ["khelben", "0", "llama-3.3-70b 0.5, llama-3.3-70b 0.45", "0.05"] in told
    assert len(told) == 6 + 3


def test_a_chain_is_told_of_and_checked(app: typer.Typer, tmp_path: Path) -> None:
    fleet = yaml.safe_load(FLEET.read_text())
    fleet["models"]["audio"] = {"task": "chat", "steps": {"hear": "whisper", "think": "llm", "speak": "tts"}}
    path = tmp_path / "fleet.yaml"
    path.write_text(yaml.safe_dump(fleet, sort_keys=False))
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 0, ran.output
    assert "audio (chat) is made of hear: whisper, think: llm, speak: tts" in ran.stdout
    fleet["models"]["audio"]["steps"]["think"] = "audio"
    path.write_text(yaml.safe_dump(fleet, sort_keys=False))
    ran = CliRunner().invoke(app, ["check", str(path)])
    assert ran.exit_code == 1
    assert "models.audio.steps.think: the steps go in a circle: audio → audio" in ran.output


def test_the_reference_fleet_fits_and_a_third_half_does_not(app: typer.Typer, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["check", str(REFERENCE)])
    assert ran.exit_code == 0, ran.output
    nodes = {row[0]: row[4] for row in rows(ran.stdout) if len(row) > 4}
    assert nodes == {
        "llama-3.3-70b": "khelben",
        "whisper-large-v3": "elminster",
        "xtts-v2": "elminster",
        "bge-large-en-v1.5": "drizzt",
        "bge-reranker-large": "danilo",
    }
    fleet = yaml.safe_load(REFERENCE.read_text())
    fleet["models"]["third"] = {**fleet["models"]["xtts-v2"], "aliases": []}
    (tmp_path / "third.yaml").write_text(yaml.safe_dump(fleet, sort_keys=False))
    ran = CliRunner().invoke(app, ["check", "--json", str(tmp_path / "third.yaml")])
    assert ran.exit_code == 1
    [problem] = json.loads(ran.stdout)["problems"]
    assert problem["message"] == (
        "third, variant main: needs 0.5 of a GPU on elminster; whisper-large-v3 0.5 and xtts-v2 0.5 fill it"
    )
    assert problem["hint"] == "lower a share to fit, add a node (count: 2), or start from 0 replicas"


def test_a_model_over_its_share_is_told_with_figures(app: typer.Typer, tmp_path: Path) -> None:
    fleet = yaml.safe_load(FLEET.read_text())
    fleet["models"]["xtts-v2"]["options"] = {"needs": 5 * 2**30}
    (tmp_path / "big.yaml").write_text(yaml.safe_dump(fleet, sort_keys=False))
    ran = CliRunner().invoke(app, ["check", "--json", str(tmp_path / "big.yaml")])
    assert ran.exit_code == 1
    [problem] = json.loads(ran.stdout)["problems"]
    assert problem["place"] == "models.xtts-v2.place.share"
    assert problem["message"] == (
        "xtts-v2, variant main: the model needs about 5.0 GiB of the card (weights 5.0); "
        "its share of 0.5 is 4.0 GiB"
    )
    assert problem["hint"] == "a share of 0.63 holds it"


def test_without_a_cluster_it_says_so(app: typer.Typer) -> None:
    ran = CliRunner().invoke(app, ["check", "--cluster", "--address", "http://127.0.0.1:9", str(FLEET)])
    assert ran.exit_code == 1
    assert ran.stderr == "no dashboard of Ray answers at http://127.0.0.1:9\n"


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
        "granted": 4 * 2**30,
        "estimated": 0,
        "slot": None,
        "pin": False,
        "replicas": [1, 3],
        "traffic": 100,
        "aliases": ["whisper", "whisper-1"],
    }
    assert len(answer["seats"]) == 5
    assert answer["seats"][2] == {
        "model": "whisper-large-v3",
        "variant": "main",
        "replica": 1,
        "node": "elminster",
        "machine": 1,
        "gpus": [0],
        "share": 0.5,
        "granted": 4 * 2**30,
        "estimated": 0,
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


def test_several_doors_must_share_what_they_count(
    app: typer.Typer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    several, one = tmp_path / "several.yaml", tmp_path / "one.yaml"
    one.write_text(BAD.replace("tts", "speak"))
    several.write_text(one.read_text() + "door: {replicas: 2}\n")

    def said(fleet: Path, **settings: str) -> str:
        env = {f"MOTLEY_{name.upper()}": value for name, value in settings.items()}
        ran = CliRunner().invoke(app, ["check", str(fleet)], env=env)
        assert (ran.exit_code == 0) == ran.stdout.endswith("ok\n")
        return ran.output

    monkeypatch.chdir(tmp_path)  # no .env there
    keys = {"keys_file": "/keys.json"}
    assert said(several).endswith("ok\n")  # nothing known
    assert "2 doors would count the limits of keys for itself (set MOTLEY_LIMITS_URL" in said(several, **keys)
    assert said(several, **keys, limits_url="redis://host").endswith("ok\n")
    assert "an SQLite file is on one" in said(several, usage_url="sqlite:////var/usage.db")
    assert said(several, usage_url="postgresql://host/usage").endswith("ok\n")
    assert said(one, **keys, usage_url="sqlite:////var/usage.db").endswith("ok\n")
    wrong = said(several, usage_url="mysql://ann:secret@host")
    assert "MOTLEY_USAGE_URL: Value error, must be" in wrong
    assert "secret" not in wrong
