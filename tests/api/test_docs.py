"""What the pages show is so: their fleets pass the check, their commands and programs run on the embedded
fleet. What no test has is named by a mark above the block: `<!-- needs: Docker -->`.

In this process whatever `--door` says: the other doors serve the same API.
"""

import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from backends.fleet.agree import agree
from backends.fleet.engines import hosted
from backends.fleet.load import load
from tests.clients import programs
from tools.pages import ROOT, Block, blocks, pages

from .doors import Behind, by_http
from .shown import completed

ALL = [block for page in pages() for block in blocks(page)]
OUTPUT = ("", "text", "json")
SHOWN = {"sh": "shell", "python": "python", "js": "node", "yaml": "fleet", **dict.fromkeys(OUTPUT, "output")}
# Programs run where their client is; the first that a program imports decides.
CLIENTS = {
    "langchain": ".venv-clients",
    "llama_index": ".venv-clients",
    "cohere": ".venv-cohere",
    "tritonclient": ".venv-cohere",
}
HERE = "127.0.0.1:8000"
# A status of 400 and more is a failure here; a page's reader sees it.
STRICT = 'set -euo pipefail\ncurl() { command curl --silent --show-error --fail-with-body "$@"; }\n'


def kind(block: Block) -> str:
    if block.needs:
        return "needs"
    return "typed" if block.terminal else SHOWN.get(block.language, "unknown")


def of(one: str) -> list[Block]:
    return [block for block in ALL if kind(block) == one]


def named(block: Block) -> str:
    return block.name


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    usage = tmp_path_factory.mktemp("usage") / "usage.db"
    behind = Behind(load(ROOT / "deploy" / "fleets" / "embedded.yaml"), usage_url=f"sqlite:///{usage}")
    yield behind
    behind.close()


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory, door: Behind) -> Path:
    """The folder in which a reader sits: the fleets, and a recording."""
    folder = tmp_path_factory.mktemp("desk")
    (folder / "deploy").symlink_to(ROOT / "deploy")
    question = {
        "model": "tts",
        "voice": "nova",
        "response_format": "wav",
        "input": "I would like a cup of coffee",
    }
    with by_http(door) as http:
        (folder / "speech.wav").write_bytes(http.post("/v1/audio/speech", json=question).content)
    return folder


def shell(door: Behind, folder: Path, text: str) -> subprocess.CompletedProcess[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = {"PATH": path, "HOME": str(folder), "LANG": "C.UTF-8", "PYTHONPATH": str(ROOT)}
    return subprocess.run(
        ["bash", "-c", STRICT + at(door, text)],
        cwd=folder, env={**environment, "MOTLEY_URL": door.base_url, "KEY": "none"},
        stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


def at(door: Behind, text: str) -> str:
    return text.replace(HERE, door.base_url.removeprefix("http://"))


def test_every_block_is_tried_or_says_what_it_needs(capsys: pytest.CaptureFixture[str]) -> None:
    found = Counter(map(kind, ALL))
    run = found["python"] + found["node"]
    with capsys.disabled():
        print(
            f"\nblocks of code in the pages: {run} programs and {found['shell']} blocks of "
            f"commands run, {found['fleet']} fleets checked, {found['typed']} typed by the suite quickstart, "
            f"{found['output']} outputs, {found['needs']} need what no test has:"
        )
        for block in of("needs"):
            print(f"  {block.name} needs {block.needs}")
    assert [block.name for block in of("unknown")] == []
    assert min(found[one] for one in ("python", "node", "shell", "fleet", "typed")) > 0


# Of a fleet file; those of a page belong together.
PIECES = [block for block in of("fleet") if "version" not in yaml.safe_load(block.text)]


@pytest.mark.parametrize("block", of("fleet"), ids=named)
def test_a_fleet_passes_the_check(block: Block) -> None:
    beside = [one.text for one in PIECES if one.page == block.page]
    fleet = completed(*beside if block in PIECES else [block.text])
    assert [*agree(fleet), *hosted(fleet)] == []


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not on PATH")
@pytest.mark.parametrize("block", of("shell"), ids=named)
def test_commands_run(door: Behind, desk: Path, block: Block) -> None:
    done = shell(door, desk, block.text)
    assert done.returncode == 0, f"{done.stdout}\n{done.stderr}"


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not on PATH")
@pytest.mark.parametrize("block", of("node"), ids=named)
def test_programs_for_node_run(door: Behind, block: Block) -> None:
    done = subprocess.run(
        ["node", "--input-type=module"], cwd=programs.NODE, input=at(door, block.text),
        capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def interpreter(block: Block) -> Path:
    imported = re.findall(r"^(?:from|import) ([a-z]+(?:_index)?)", block.text, re.MULTILINE)
    where = next((CLIENTS[name] for name in imported if name in CLIENTS), None)
    return ROOT / where / "bin" / "python" if where else Path(sys.executable)


@pytest.fixture(scope="module")
def outcomes(door: Behind, desk: Path) -> dict[str, str]:
    """What failed of each program, by its name: one process for each interpreter."""
    told: dict[str, str] = {}
    for python in dict.fromkeys(map(interpreter, of("python"))):
        mine = [block for block in of("python") if interpreter(block) == python]
        by_page: dict[str, list[str]] = {}
        for block in mine:
            by_page.setdefault(block.page, []).append(at(door, block.text))
        kept = {name: os.environ[name] for name in programs.KEPT if name in os.environ}
        ran = subprocess.run(
            [python, ROOT / "tests" / "clients" / "blocks.py"],
            input=json.dumps(by_page), cwd=desk, env={**kept, "PYTHONPATH": str(ROOT)},
            capture_output=True, text=True, timeout=240, check=False,
        )  # fmt: skip
        assert ran.returncode == 0, ran.stderr
        answers = {page: iter(failures) for page, failures in json.loads(ran.stdout).items()}
        told |= {block.name: next(answers[block.page]) for block in mine}
    return told


@pytest.mark.parametrize("block", of("python"), ids=named)
def test_programs_run(outcomes: dict[str, str], block: Block) -> None:
    assert outcomes[block.name] == ""
