"""What the page of clients is made of: who asked and got the whole of a good answer, and nothing else."""

import json
import subprocess
import time
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import httpx2
import openai
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from tests.record import Answered, Record, asking

from .doors import Served, on_one_node

CHAT = "POST /v1/chat/completions"
HELLO: Any = [{"role": "user", "content": "!words 3"}]
FILE = "tests/api/test_somebody.py"


@pytest.fixture
def record() -> Record:
    one = Record()
    one.on, one.now = True, (FILE, "")
    return one


@pytest.fixture
def door(record: Record) -> Iterator[Served]:
    fake = {"task": "chat", "aliases": ["llm"], "engine": "fake", "source": "builtin://fake"}
    fleet = on_one_node({"mind": fake})
    upstream = LocalUpstream.from_fleet(fleet)
    served = Served(record.watched(create_app(Settings(_env_file=None), fleet, upstream)))
    while not all(state.ready for state in upstream.states().values()):
        time.sleep(0.01)
    yield served
    served.close()


def test_whole_answers_of_known_clients_count(record: Record, door: Served) -> None:
    with openai.OpenAI(base_url=f"{door.base_url}/llm/v1", api_key="any", max_retries=0) as sdk:
        sdk.models.list()
        sdk.chat.completions.create(model="mind", messages=HELLO)
        list(sdk.chat.completions.create(model="mind", messages=HELLO, stream=True))
        with pytest.raises(openai.BadRequestError):
            sdk.embeddings.create(model="mind", input="a cat")
        with sdk.completions.create(model="mind", prompt="!slow 0.2 !words 60", stream=True) as left:
            next(iter(left))
    asked = json.dumps({"model": "mind", "messages": HELLO})
    curl = ["curl", "-sS", f"{door.base_url}/v1/chat/completions", "-H", "content-type: application/json"]
    subprocess.run([*curl, "-d", asked], check=True, capture_output=True, timeout=60)
    httpx2.get(f"{door.base_url}/v1/fleet").raise_for_status()  # of no client that the page has
    door.close()
    told = {(one.client, one.endpoint, one.engine, one.streamed) for one in record.answered[FILE]}
    assert told == {
        ("openai-python", "GET /v1/models", "", False),
        ("openai-python", CHAT, "fake", False),
        ("openai-python", CHAT, "fake", True),
        ("curl", CHAT, "fake", False),
    }
    assert openai.__version__ in {one.version for one in record.answered[FILE]}


def test_programs_speak_for_their_client_while_they_run(record: Record, door: Served) -> None:
    with record.runs("with_triton.py", ("chat",)):
        httpx2.get(f"{door.base_url}/v2").raise_for_status()
    httpx2.get(f"{door.base_url}/v1/models").raise_for_status()
    door.close()
    ((client, version, endpoint, *_),) = record.answered[FILE]
    assert (client, endpoint) == ("tritonclient", "GET /v2")
    assert version[0].isdigit()


def test_agents_are_read_by_their_name_alone() -> None:
    assert asking("OpenAI/JS 6.49.0", "") == ("openai-node", "6.49.0")
    assert asking("AsyncOpenAI/Python 3.54.0", "") == ("openai-python", "3.54.0")
    assert asking("curl/8.14.1", "") == ("curl", "8.14.1")
    assert asking("python-httpx2/2.16.2", "") == asking("", "") == asking("motley", "LangChain") == ("", "")


def test_a_file_with_a_failure_shows_nothing(record: Record) -> None:
    one = Answered("curl", "8", CHAT, "onnx", False)
    for file, outcomes in (("tests/a.py", ("passed", "passed")), ("tests/b.py", ("passed", "failed"))):
        record.answered[file] = {one}
        for outcome in outcomes:
            nodeid, failed = f"{file}::test", outcome == "failed"
            report: Any = SimpleNamespace(nodeid=nodeid, when="call", outcome=outcome, failed=failed)
            record.pytest_runtest_logreport(report)
    record.pytest_runtest_logreport(
        SimpleNamespace(nodeid="tests/c.py::t", when="call", outcome="passed", failed=False)  # type: ignore[arg-type]
    )
    good, bad = record.lines()
    assert (good["tests"], good["passed"], good["answered"]) == ("tests/a.py", 2, [one._asdict()])
    assert good["engines"].keys() == {"onnx"}
    assert (bad["tests"], bad["failed"], bad["answered"]) == ("tests/b.py", 1, [])
