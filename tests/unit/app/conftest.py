"""A small fleet of fakes, and its app called in process."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet

Client = httpx2.AsyncClient
Enter = Callable[..., Awaitable[Client]]


def fleet(**models: dict[str, Any]) -> Fleet:
    """Short stanzas, completed to fakes on one node."""
    base = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
    whole = {
        name: model if "variants" in model else {**base, "task": "chat", **model}
        for name, model in models.items()
    }
    return Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": whole})


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """Of keys; there are none."""
    where = tmp_path / "keys.json"
    where.write_text('{"version": 1}')
    return where


@pytest.fixture
async def enter() -> AsyncIterator[Enter]:
    """`await enter(fleet, **settings)`: a client of a started app; `client.app` is the app.
    Buffers whole answers: what streams or leaves is tested over a socket."""
    async with AsyncExitStack() as stack:

        async def make(of: Fleet, **settings: Any) -> Client:
            app = create_app(Settings(_env_file=None, **settings), of, LocalUpstream.from_fleet(of))
            await stack.enter_async_context(app.router.lifespan_context(app))
            for _ in range(20):  # a fake that needs no time is up after a few steps of the loop
                await asyncio.sleep(0)
            transport = httpx2.ASGITransport(app, raise_app_exceptions=False)
            client = await stack.enter_async_context(
                httpx2.AsyncClient(transport=transport, base_url="http://door")
            )
            client.app = app  # type: ignore[attr-defined]
            return client

        yield make
