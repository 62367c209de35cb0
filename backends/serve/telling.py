"""How far a replica's load is: it tells Ray's GCS, and doors read it there.

Serve passes nothing on of a replica before that runs, and calls none of its methods. What Ray keeps by a key
is no public API; Ray is pinned.
"""

import asyncio
import json
import logging
from collections.abc import AsyncIterator, Callable, Collection
from contextlib import asynccontextmanager
from typing import Any

from ray.experimental import internal_kv

from backends.contract.state import VariantState
from backends.serve import controller
from backends.serve.details import loading_ids, with_loads

SPACE = "motley-loads"
EVERY_S = 0.5

log = logging.getLogger(__name__)


@asynccontextmanager
async def telling(replica: str, state: Callable[[], VariantState]) -> AsyncIterator[None]:
    """While the replica of that id loads, `state` is told."""
    task = asyncio.create_task(_tell(replica, state))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        await asyncio.to_thread(internal_kv._internal_kv_del, replica, namespace=SPACE)


async def details() -> dict[str, Any]:
    """Serve's, with what those tell that load."""
    found = await controller.details()
    if loading := loading_ids(found):
        found = with_loads(found, await asyncio.to_thread(_read, loading))
    return found


async def _tell(replica: str, state: Callable[[], VariantState]) -> None:
    before = b""
    while True:
        now = state()
        said = json.dumps([now.stage, now.progress]).encode()
        if said != before:
            try:
                await asyncio.to_thread(internal_kv._internal_kv_put, replica, said, namespace=SPACE)
            except Exception:
                log.warning("nobody hears how far the load is", exc_info=True)
            before = said
        await asyncio.sleep(EVERY_S)


def _read(replicas: Collection[str]) -> dict[str, tuple[str, float | None]]:
    told = {one: internal_kv._internal_kv_get(one, namespace=SPACE) for one in replicas}
    return {one: tuple(json.loads(said)) for one, said in told.items() if said}
