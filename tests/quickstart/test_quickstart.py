"""The quick start as a stranger has it: a clean copy of the tree, no environment, and the commands of the
README typed as they stand there, to five verbs that answer.
"""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from backends.contract.tasks import VERBS
from tests.running import free_port
from tools.pages import ROOT, blocks

TYPED = {block.terminal: block.text for block in blocks("README.md") if block.terminal}
WITHIN = 1200  # seconds, for an installation over a slow network too
# Of the tester's own shell a stranger has none.
OURS = ("MOTLEY_", "RAY_", "PYTHON", "VIRTUAL_ENV", "MAKE", "MFLAGS")


@pytest.fixture
def copy(tmp_path: Path) -> Iterator[Path]:
    """What a clone would have, with what is not committed yet."""
    told = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    for name in filter(None, told.stdout.split("\0")):
        if (ROOT / name).is_file():
            target = tmp_path / "motley" / name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, target)
    yield tmp_path / "motley"
    shutil.rmtree(tmp_path / "motley")  # a gigabyte


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith(OURS)}
    own = Path(sys.executable).parent
    path = os.pathsep.join(part for part in kept["PATH"].split(os.pathsep) if Path(part) != own)
    found = {**kept, "PATH": path, "XDG_STATE_HOME": str(tmp_path / "state")}
    with contextlib.closing(socket.socket()) as tried:
        if tried.connect_ex(("127.0.0.1", 8000)) == 0:  # somebody else's
            found |= {"PORT": (port := str(free_port())), "MOTLEY_URL": f"http://127.0.0.1:{port}"}
    return found


@pytest.fixture
def serving(copy: Path, environment: dict[str, str]) -> Iterator[Path]:
    """The first terminal, from its command until it says how it is stopped; then Ctrl-C."""
    log = copy.parent / "first.log"
    with log.open("w") as out:
        first = subprocess.Popen(
            ["bash", "-c", TYPED["first terminal"]],
            cwd=copy, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=subprocess.STDOUT,
            start_new_session=True,
        )  # fmt: skip
    family: list[psutil.Process] = []
    try:
        deadline = time.monotonic() + WITHIN
        while "Ctrl-C stops" not in log.read_text():
            assert first.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.5)
        family = psutil.Process(first.pid).children(recursive=True)
        yield copy
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(first.pid, signal.SIGINT)
        try:
            first.wait(60)
        finally:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(first.pid, signal.SIGKILL)
            left = psutil.wait_procs(family, timeout=30)[1]
            for one in left:
                with contextlib.suppress(psutil.NoSuchProcess):
                    one.kill()
    assert left == []


@pytest.mark.timeout(WITHIN + 300)
def test_five_verbs_answer_what_the_readme_types(serving: Path, environment: dict[str, str]) -> None:
    second = subprocess.run(
        ["bash", "-e", "-c", TYPED["second terminal"]],
        cwd=serving, env=environment, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    print(second.stdout)
    assert second.returncode == 0, second.stdout + second.stderr
    first_words = {line.lstrip("│ ").partition(" ")[0] for line in second.stdout.splitlines()}
    assert first_words >= set(VERBS)
