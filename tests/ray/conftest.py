"""One `motley up` of the embedded fleet for each file that asks for it: none runs beside the others."""

import sys
from collections.abc import Iterator

import openai
import pytest

from tests.running import ROOT, Running

EMBEDDED = ROOT / "deploy" / "fleets" / "embedded.yaml"


@pytest.fixture(scope="module")
def motley() -> Iterator[Running]:
    running = Running(EMBEDDED)
    yield running
    running.stop()


@pytest.fixture
def sdk(motley: Running) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{motley.url}/v1", api_key="none", max_retries=0, timeout=60) as client:
        yield client


@pytest.fixture
def python() -> str:
    return sys.executable
