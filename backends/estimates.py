"""What an engine says that a model will take, where its files are on this machine. No engine is loaded."""

import logging
from typing import Any

from backends.contract.engine import GpuShare, Memory, ModelRef
from backends.contract.errors import InvalidRequest
from backends.contract.tasks import Verb
from backends.sources import locate

log = logging.getLogger(__name__)


def estimated(engine: Any, model: ModelRef, options: Any, share: GpuShare) -> Memory | None:
    """None where nothing can be said."""
    try:
        memory: Memory | None = engine.estimate(model, options, share)
    except Exception:  # of files that nobody can read: loading them will say so, and in its own words
        log.warning("no estimate can be made for %s", model.name)
        return None
    return memory


def taken(engine: Any, declared: int | None, memory: Memory | None, whole: int | None) -> int:
    """Bytes of its slot that a model takes: `whole`, all that there is, for an engine that always takes all
    (`fills`), and where nobody can say."""
    if whole is None or declared is not None:
        return declared or 0
    return whole if memory is None or getattr(engine, "fills", False) else memory.total


def here(engine: Any, name: str, task: Verb, source: str, options: Any, share: GpuShare) -> Memory | None:
    """None where the source is not on this machine, too."""
    try:
        path = locate(source)
    except (InvalidRequest, ValueError):
        return None
    return estimated(engine, ModelRef(name, task, source, path), options, share)
