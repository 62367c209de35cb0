"""`motley pull`, by the commands and the fleet of docs/sources.md, from servers on loopback."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from app.cli import main
from app.cli.pull import Lines
from tests.unit.backends.sources.served import COMMIT, repository, serving

GUIDE = (Path(__file__).parents[4] / "docs" / "sources.md").read_text()
FLEET = re.findall(r"```yaml\n(.*?)```", GUIDE, re.DOTALL)[0]
COMMANDS = re.findall(r"^motley (pull .*?)(?: +#.*)?$", GUIDE, re.MULTILINE)

HUB = repository("org/tiny", {"config.json": b"{}", "onnx/q4/model.onnx": b"weights"})
OLD = repository("org/old", {"pytorch_model.bin": b"\x80\x02."})


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, list(arguments))


@pytest.fixture
def fleet(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The guide's, less what needs S3 or a certificate: these are tested beside their sources."""
    HUB.files |= OLD.files
    (tmp_path / "shared" / "tiny").mkdir(parents=True)
    kept = re.sub(r"  from-a-(store|server):\n(    .*\n)+", "", FLEET)
    (tmp_path / "fleet.yaml").write_text(kept)
    with serving(HUB) as told:
        monkeypatch.setenv("HF_ENDPOINT", told.url)
        monkeypatch.setenv("HF_HOME", str(tmp_path / "hf"))
        monkeypatch.setenv("MOTLEY_STORE", str(tmp_path / "store"))
        monkeypatch.setenv("MOTLEY_VOLUMES", str(tmp_path))
        monkeypatch.chdir(tmp_path)
        yield tmp_path / "fleet.yaml"


def told(result: Result) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = json.loads(result.stdout)
    return found


def test_a_fleet(fleet: Path) -> None:
    done = run("pull", str(fleet), "--json")
    assert done.exit_code == 0, done.output
    by_name = {one["models"][0]: one for one in told(done)}
    assert by_name.keys() == {"from-the-hub", "a-folder-of-it", "from-a-volume", "trusted"}
    assert by_name["a-folder-of-it"]["revision"] == COMMIT
    assert (Path(by_name["a-folder-of-it"]["path"]) / "model.onnx").read_bytes() == b"weights"
    assert (Path(by_name["trusted"]["path"]) / "pytorch_model.bin").exists()
    one = json.loads(run("pull", str(fleet), "--node", "lab", "--json").stdout)
    assert [each["models"] for each in one] == [["from-a-volume"], ["trusted"]]


def test_what_cannot_be_had_fails_it(fleet: Path) -> None:
    done = run("pull", str(fleet), "trusted", "from-the-hub", "--json")
    assert done.exit_code == 0
    refused = run("pull", "hf://org/old@main", "--json")
    assert (refused.exit_code, told(refused)[0]["why"]) == (1, "unsafe")
    assert run("pull", "hf://org/old@main", "--allow-pickle").exit_code == 0
    absent = run("pull", "hf://org/none@main")
    assert absent.exit_code == 1
    assert "no such" in absent.stderr
    for wrong in (["ftp://x"], ["hf://org/tiny"], ["file:///there-is-none"]):
        assert run("pull", *wrong).exit_code == 1
    for wrong in ([str(fleet), "nobody"], [str(fleet), "--node", "nowhere"], [str(fleet), "--allow-pickle"]):
        assert run("pull", *wrong).exit_code == 2


@pytest.mark.parametrize("command", COMMANDS)
def test_the_commands_of_the_guide(command: str, fleet: Path) -> None:
    assert len(COMMANDS) == 4
    if "from-a-store" in command:
        command = command.replace("from-a-store", "a-folder-of-it")
    done = run(*command.split())
    assert done.exit_code == 0, done.output
    assert str(fleet.parent) in done.stdout


def test_the_guides_fleet_is_a_fleet(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    assert run("check", str(tmp_path / "fleet.yaml")).exit_code == 0


def test_a_log_gets_a_line_now_and_then() -> None:
    """A pod that waits for its models has no terminal: `kubectl logs` shows how far they are."""
    said: list[str] = []
    now = [0.0]
    lines = Lines("llama", said.append, lambda: now[0])
    for second, have in enumerate(range(0, 26_000, 1000)):
        now[0] = second
        lines(have, 100_000)
    assert said == [
        "llama: fetching, 0 B of 100 KB",
        "llama: fetching, 10 KB of 100 KB, 90 s left",
        "llama: fetching, 20 KB of 100 KB, 80 s left",
    ]
