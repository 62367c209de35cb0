"""The door, and three ways to knock: the SDK, plain HTTP, and a bare socket."""

from collections.abc import Iterator

import httpx2
import openai
import pytest

from .doors import DOORS, Behind, Door, by_http, by_sdk, on_one_node


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Tests with a door of their own, or with none, are the same wherever the others knock: they run once."""
    if config.getoption("--door") == "local":
        return
    alone = [one for one in items if isinstance(one, pytest.Function) and not _knocks(one)]
    config.hook.pytest_deselected(items=alone)
    items[:] = [one for one in items if one not in alone]


def _knocks(test: pytest.Function) -> bool:
    return "door" in test.fixturenames and not hasattr(test.module, "door")


@pytest.fixture(scope="session")
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    one = DOORS[request.config.getoption("--door")]()
    yield one
    one.close()


@pytest.fixture(scope="session")
def whisper() -> Iterator[Door]:
    """Whisper's true code, over a tiny checkpoint, under its own name. In this process whatever `--door`
    says: the other doors' fleet is of what ships with Motley."""
    from tests.whisper.checkpoint import SURE, made

    model = {"task": "transcribe", "engine": "faster-whisper", "source": f"file://{made()}"}
    options = {**SURE, "vad": False, "max_new_tokens": 24}
    behind = Behind(on_one_node({"whisper": {**model, "options": options}}))
    yield behind
    behind.close()


@pytest.fixture
def sdk(door: Door) -> Iterator[openai.OpenAI]:
    with by_sdk(door) as client:
        yield client


@pytest.fixture
def http(door: Door) -> Iterator[httpx2.Client]:
    with by_http(door) as client:
        yield client
