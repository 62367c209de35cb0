"""What a request costs besides itself."""

import asyncio
import threading

import pytest

from .conftest import Enter, fleet

EMBED = ("/v1/embeddings", {"model": "one", "input": "x"})
CHAT = ("/v1/chat/completions", {"model": "two", "messages": [{"role": "user", "content": "!words 1"}]})


@pytest.mark.parametrize(("path", "body"), [EMBED, CHAT])
async def test_no_request_goes_through_a_thread(enter: Enter, path: str, body: dict[str, object]) -> None:
    """As those do whose dependencies are plain functions."""
    client = await enter(fleet(one={"task": "embed"}, two={}))
    await asyncio.sleep(0.05)
    before = set(threading.enumerate())
    assert (await client.post(path, json=body)).status_code == 200
    assert set(threading.enumerate()) <= before
