"""The door, and three ways to knock: the SDK, plain HTTP, and a bare socket."""

from collections.abc import Iterator

import httpx2
import openai
import pytest

from .doors import DOORS, Door


@pytest.fixture(scope="session")
def door(request: pytest.FixtureRequest) -> Iterator[Door]:
    made = DOORS[request.config.getoption("--door")]()
    yield made
    made.close()


@pytest.fixture
def sdk(door: Door) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.key, max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def http(door: Door) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {door.key}"}
    with httpx2.Client(base_url=door.base_url, headers=headers, timeout=60) as client:
        yield client
