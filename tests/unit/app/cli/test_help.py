"""What the command line says of itself: help, completion, and the page of all commands."""

import os
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from app.cli import main
from backends.fleet.schema import Fleet
from backends.render.serve import serve_config
from tools.cli import commands, document

from .dashboard import Dashboard

PAGE = (Path(__file__).parents[4] / "docs" / "cli.md").read_text()
FOUND = dict(commands(typer.main.get_command(main), "motley"))
LISTS = [["--help"], ["keys", "--help"]]
MOTLEY = Path(sys.executable).with_name("motley")


@pytest.mark.parametrize(
    "command", [*LISTS, *([*name.split()[1:], "--help"] for name in FOUND)], ids=" ".join
)
def test_help_fits_a_terminal(command: list[str]) -> None:
    shown = CliRunner(env={"COLUMNS": "80", "LINES": "24"}).invoke(main, command)
    assert shown.exit_code == 0
    lines = shown.stdout.rstrip("\n").splitlines()
    assert max(map(len, lines)) <= 80
    assert len([line for line in lines if line.strip()]) <= 24
    if command in LISTS:  # a line each
        width = 2 + max(len(name.split()[-1]) for name in FOUND)
        assert not [line for line in lines if re.match(rf"│ {{{width},}}\S", line)]


def test_the_page_is_what_the_commands_are() -> None:
    assert document() == PAGE, "run `make cli`"
    for name, one in FOUND.items():
        assert f"\n## `{name}`\n" in PAGE
        options = {option for parameter in one.params for option in parameter.opts if option.startswith("--")}
        words = set(re.findall(r"--[a-z-]+", PAGE.partition(f"\n## `{name}`\n")[2].partition("\n## ")[0]))
        assert options <= words


def test_every_answer_for_programs_is_described() -> None:
    able = {
        name.removeprefix("motley ")
        for name, one in FOUND.items()
        if "--json" in str([p.opts for p in one.params])
    }
    table = PAGE.partition("## JSON\n")[2].partition("\n## ")[0]
    told = {
        name
        for row in re.findall(r"^\| (`.*?) \|", table, re.MULTILINE)
        for name in re.findall(r"`([a-z ]+)`", row)
    }
    assert able == told
    assert FOUND.keys() - {f"motley {name}" for name in able} == {"motley up", "motley render"}


FAKE: dict[str, Any] = {"engine": "fake", "source": "builtin://fake"}
FLEET: dict[str, Any] = {
    "version": 1,
    "nodes": {"here": {}, "there": {}},
    "models": {
        "ab": {
            "task": "chat",
            "aliases": ["llm"],
            "traffic": {"stable": 90, "canary": 10},
            "variants": {name: {**FAKE, "place": {"node": "here"}} for name in ("stable", "canary")},
        },
        "voice": {"task": "speak", **FAKE, "place": {"node": "there"}},
    },
}


@pytest.fixture
def dashboard() -> Iterator[Dashboard]:
    one = Dashboard(serve_config(Fleet.model_validate(FLEET), drain_s=5))
    yield one
    one.close()


def completed(words: str, **environment: str) -> list[str]:
    """As bash asks: `words` is the line so far."""
    env = {
        "_MOTLEY_COMPLETE": "complete_bash",
        "COMP_WORDS": words,
        "COMP_CWORD": str(words.count(" ")),
        **environment,
    }
    return CliRunner(env=env).invoke(main, [], prog_name="motley").stdout.split()


def test_names_of_a_cluster_are_completed(dashboard: Dashboard) -> None:
    assert completed("motley pro") == ["promote"]
    there = {"RAY_DASHBOARD_ADDRESS": dashboard.address}
    assert completed("motley promote ", **there) == ["ab", "llm", "voice"]
    assert completed("motley promote l", **there) == ["llm"]
    assert completed("motley promote llm ", **there) == ["stable", "canary"]
    assert completed("motley traffic ab c", **there) == ["canary="]
    assert completed(f"motley rollback --address {dashboard.address} v") == ["voice"]
    gone = {"RAY_DASHBOARD_ADDRESS": "http://127.0.0.1:9", "MOTLEY_URL": "http://127.0.0.1:9"}
    for line in ("promote ", "promote ab ", "traffic ab c", "check --parity "):
        assert completed(f"motley {line}", **gone) == []


def test_names_of_a_file_are_completed(tmp_path: Path) -> None:
    file = tmp_path / "fleet.yaml"
    file.write_text("nodes: {here: {}, there: {}}\nmodels: {ab: 1, voice: 2}\n")
    assert completed(f"motley pull {file} ") == ["ab", "voice"]
    assert completed(f"motley pull {file} --node t") == ["there"]
    assert completed(f"motley doctor {file} --node ") == ["here", "there"]
    for wrong in ("[", "models: 3"):
        file.write_text(wrong)
        assert completed(f"motley pull {file} ") == []
    assert completed(f"motley pull {tmp_path}/none.yaml ") == []


def test_a_shell_is_taught(tmp_path: Path) -> None:
    """In a home of its own."""
    env = {**os.environ, "HOME": str(tmp_path)}
    done = subprocess.run(
        [MOTLEY, "--install-completion", "bash"],
        env=env,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "_MOTLEY_COMPLETE" in "".join(one.read_text() for one in tmp_path.rglob("*motley*"))
