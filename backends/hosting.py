"""What a variant's process must know, and the host made from it: one way for every upstream."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from backends.contract.engine import Engine, GpuShare, ModelRef, Vendor
from backends.contract.errors import InvalidRequest, SourceFailed
from backends.contract.tasks import Verb
from backends.engines.registry import engine_class
from backends.estimates import here
from backends.host import Host
from backends.sources import addressed, locate, pickles
from backends.sources.unfetched import Unfetched


class Spec(TypedDict):
    """What a process is made for, and stays. JSON-able; rendered from the fleet by
    `backends.render.serve.spec`.

    `vram`: bytes of one GPU of the node; `share`: of one GPU, or a number of GPUs. `options`: those
    that the engine takes at its start alone.
    """

    model: str
    variant: str
    task: Verb
    engine: str
    source: str
    options: dict[str, Any]
    allow_pickle: bool
    share: float
    vendor: Vendor
    vram: int


class Live(TypedDict):
    """What may change while it serves. `options`: those that the engine has in `live`."""

    options: dict[str, Any]
    max_ongoing: int
    max_queued: int


def parted(engine: str, options: Mapping[str, Any]) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options → (those of the start, those that are live). Raises KeyError for an unknown engine."""
    live: frozenset[str] = getattr(engine_class(engine), "live", frozenset())
    fixed = {name: value for name, value in options.items() if name not in live}
    return fixed, {name: value for name, value in options.items() if name in live}


def host(spec: Spec, live: Live) -> Host:
    """Nothing is loaded yet. Raises KeyError for an unknown engine, pydantic's ValidationError for
    options it does not take, InvalidRequest for a source that is not there, or holds pickles."""
    kind, options = engine_class(spec["engine"]), _options(spec, live)
    share = GpuShare(spec["share"], spec["vendor"], spec["vram"])
    name, task, source = spec["model"], spec["task"], spec["source"]

    def made(path: Path | None) -> Engine:
        engine: Engine = kind(ModelRef(name, task, source, path), options, share)
        return engine

    address = addressed(source)
    return Host(
        Unfetched(address, spec["allow_pickle"], made) if address.far else made(_here(spec)),
        share=share,
        estimate=lambda: here(kind, name, task, source, options, share),
        max_ongoing=live["max_ongoing"],
        max_queued=live["max_queued"],
    )


def _here(spec: Spec) -> Path | None:
    path = locate(spec["source"])
    if path is not None and not spec["allow_pickle"]:
        try:
            pickles.refuse(path)
        except SourceFailed as refused:
            raise InvalidRequest(refused.message, param=refused.param) from None
    return path


async def reconfigure(host: Host, spec: Spec, live: Live) -> None:
    """Give a host that serves what changed of it. Raises as `Reconfigures.reconfigure` does."""
    await host.reconfigure(
        _options(spec, live), max_ongoing=live["max_ongoing"], max_queued=live["max_queued"]
    )


def _options(spec: Spec, live: Live) -> Any:
    return engine_class(spec["engine"]).Options(**spec["options"], **live["options"])
