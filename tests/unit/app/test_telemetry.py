"""Logs: JSON, with the request id, without secrets."""

import io
import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.telemetry.logs import JsonLines, Lines, WithRequestId
from app.telemetry.visit import request_id

from .conftest import Enter, fleet

ROOT = Path(__file__).parents[3]


@pytest.fixture(params=[True, False], ids=["alone", "beside others"])
def lines(request: pytest.FixtureRequest) -> Iterator[io.StringIO]:
    """What is written during a test. Where this handler is alone, the access log goes past `logging`."""
    written = io.StringIO()
    handler = Lines(written)
    handler.setFormatter(JsonLines())
    handler.addFilter(WithRequestId())
    root, level = logging.getLogger(), logging.getLogger().level
    before = root.handlers[:]
    root.handlers[:] = [handler] if request.param else [*before, handler]
    root.setLevel("INFO")
    yield written
    root.handlers[:] = before
    root.setLevel(level)


def read(written: io.StringIO) -> list[dict[str, object]]:
    return [json.loads(line) for line in written.getvalue().splitlines()]


async def test_one_line_a_request(enter: Enter, lines: io.StringIO) -> None:
    client = await enter(fleet(one={}), api_keys="sk-secret")
    headers = {"authorization": "Bearer sk-secret", "x-request-id": "mine"}
    body = {"model": "one", "messages": [{"role": "user", "content": "!bug of a private matter"}]}
    await client.get("/ready")
    await client.post("/v1/chat/completions?token=sk-secret", json=body, headers=headers)
    mine = [line for line in read(lines) if line["request_id"] == "mine"]
    assert [line["logger"] for line in mine] == ["backends.host", "motley.access"]
    assert "ZeroDivisionError" in str(mine[0]["traceback"])
    access = mine[1]
    assert access["message"] == "POST /v1/chat/completions"
    assert (access["status"], access["model"], access["variant"]) == (502, "one", "main")
    assert access["code"] == "engine_failed"
    ours = json.dumps([line for line in read(lines) if line["logger"] != "httpx2"])
    assert "sk-secret" not in ours
    assert "private matter" not in ours


async def test_a_path_cannot_begin_a_line(enter: Enter, lines: io.StringIO) -> None:
    client = await enter(fleet(one={}))
    await client.get("/v1/a%0Ab c?d", headers={"x-request-id": "mine"})
    access = next(line for line in read(lines) if line["request_id"] == "mine")
    assert access["message"] == "GET /v1/a%0Ab%20c"


async def test_the_line_says_for_whom_a_fallback_answered(enter: Enter, lines: io.StringIO) -> None:
    client = await enter(fleet(one={"options": {"load_s": 60}, "fallback": ["two"]}, two={}))
    while not (await client.get("/two/ready")).is_success:
        pass
    body = {"model": "one", "messages": [{"role": "user", "content": "!words 1"}]}
    await client.post("/v1/chat/completions", json=body)
    [access] = [line for line in read(lines) if "fallback_for" in line]
    assert (access["model"], access["fallback_for"]) == ("two", "one")


def test_lines_outside_a_request(lines: io.StringIO) -> None:
    logging.getLogger("some").info("hello %s", "there")
    token = request_id.set("inside")
    logging.getLogger("some").info("inside", extra={"more": object})
    request_id.reset(token)
    first, second = read(lines)
    assert (first["message"], first["request_id"], first["level"]) == ("hello there", "", "info")
    assert second["request_id"] == "inside"


def test_the_log_goes_to_the_process_s_own_stderr() -> None:
    """Whatever stands in for `sys.stderr`: Serve puts something slow there, which holds lines back."""
    program = """
import io, logging, sys
sys.stderr = io.StringIO()
from app.settings import Settings
from app.telemetry.logs import configure
configure(Settings(_env_file=None))
logging.getLogger("x").info("here")
"""
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, check=True)
    assert json.loads(done.stderr)["message"] == "here"
