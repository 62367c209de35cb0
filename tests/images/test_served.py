"""`door` and `cpu`, built from this tree and run as the restricted pod security has it: what they promise."""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.images.podman import KEY, Container, config, once, podman

pytestmark = pytest.mark.timeout(3600)  # the first build installs a gigabyte

URL = "http://127.0.0.1:8000"

# As a user's program would, with the SDK that Motley brings.
ASKING = f"""
from openai import OpenAI
client = OpenAI(base_url="{URL}/v1", api_key="{KEY}", max_retries=0)
asked = [{{"role": "user", "content": "!slow 0.3 !words 30"}}]
for chunk in client.chat.completions.create(model="slow", messages=asked, stream=True):
    print(chunk.choices[0].delta.content or chunk.choices[0].finish_reason, flush=True)
"""

# Of every source that is compiled, whether Python would take the bytecode: it has the source's time and size.
STALE = """
import importlib.util, pathlib, struct
stale = compiled = 0
for source in pathlib.Path("/opt/motley").rglob("*.py"):
    made = pathlib.Path(importlib.util.cache_from_source(source))
    if made.exists():
        compiled += 1
        flags, time, size = struct.unpack("<III", made.read_bytes()[4:16])
        told = source.stat()
        stale += flags == 0 and (time, size) != (int(told.st_mtime), told.st_size)
print(compiled, stale)
"""

ZOMBIES = """
import psutil
print([one.name() for one in psutil.process_iter() if one.status() == psutil.STATUS_ZOMBIE])
"""


@pytest.fixture(scope="module", params=["door", "cpu"])
def name(request: pytest.FixtureRequest, image: Callable[[str], str]) -> str:
    return image(request.param)


@pytest.fixture(scope="module")
def container(name: str, fleet: Path) -> Iterator[Container]:
    running = Container(name, fleet)
    yield running
    running.remove()


def test_without_keys_it_does_not_start(name: str) -> None:
    with pytest.raises(RuntimeError, match=r"'0\.0\.0\.0' can be reached by others, and no keys are set"):
        once(name)


def test_it_serves_as_nobody_and_writes_nowhere(container: Container) -> None:
    assert container.inside("id", "-u") == "10001"
    assert container.inside("sh", "-c", "touch /opt/motley/x /etc/x 2>&1 || true").count("Read-only") == 2
    assert container.inside("sh", "-c", "touch /tmp/x /cache/x && echo written") == "written"


def test_the_five_verbs(container: Container) -> None:
    printed = container.inside("env", "COLUMNS=200", "motley", "try", "--url", URL, "--key", KEY)
    print(printed)
    for verb in ("chat", "transcribe", "speak", "embed", "rerank"):
        assert re.search(rf"│ {verb} ", printed)
    assert "order a cup of coffee" in printed


def test_it_is_healthy_and_asks_for_keys(container: Container, name: str) -> None:
    command, *arguments = config(name)["Healthcheck"]["Test"]
    assert command == "CMD"
    container.inside(*arguments)
    assert json.loads(container.inside("wget", "-q", "-O", "-", f"{URL}/ready"))["status"] == "ready"
    with pytest.raises(RuntimeError, match="401"):
        container.inside("wget", "-q", "-S", "-O", "-", f"{URL}/v1/models")


def test_what_kuberay_runs_in_it(container: Container) -> None:
    assert container.inside("bash", "-c", "ray --version").startswith("ray, version ")
    assert "success" in container.inside("bash", "-c", f"wget -T 2 -q -O- {URL}/-/healthz | grep success")


def test_bytecode_is_there_and_current(container: Container) -> None:
    compiled, stale = container.inside("python", "-c", STALE).split()
    assert int(compiled) > 5000
    assert stale == "0"


def test_orphans_are_seen_off(container: Container) -> None:
    container.inside("sh", "-c", "(sh -c 'sleep 0.1' &) ; sleep 0.5")
    assert container.inside("python", "-c", ZOMBIES) == "[]"


def test_sigterm_lets_an_answer_finish(container: Container) -> None:
    """The last: nothing of it runs afterwards."""
    with container.beside("python", "-c", ASKING) as asking:
        assert asking.stdout is not None
        heard = [asking.stdout.readline().strip()]
        podman("kill", "--signal=TERM", container.name)
        heard += asking.stdout.read().split()
    assert asking.returncode == 0
    assert len(heard) == 31
    assert heard[-1] == "stop"
    assert podman("wait", container.name) == "0"
    assert re.search(r"drained in \d", container.logs())
