"""What a variant's process must know, and the host made from it: one way for every upstream."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

from backends.contract.engine import Engine, GpuShare, ModelRef, Vendor
from backends.contract.errors import InvalidRequest, SourceFailed
from backends.contract.tasks import Verb
from backends.engines.registry import engine_class
from backends.estimates import here, taken
from backends.host import Host
from backends.slots.slot import Slot
from backends.slots.turns import Room, Turns
from backends.sources import addressed, locate, pickles
from backends.sources.unfetched import Unfetched
from backends.tracing import tracing


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


class SlotSpec(TypedDict):
    """The same of a slot. By application: `members`; of these `pinned`, and `declared`, the bytes that the
    fleet says they take. `memory` in bytes and `most` are what it holds at once, None where not counted."""

    slot: str
    members: dict[str, Spec]
    pinned: list[str]
    declared: dict[str, int]
    memory: int | None
    most: int | None


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
    kind, options, share = _parts(spec, live)
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
        tracing=tracing("motley-replica"),
    )


def _here(spec: Spec) -> Path | None:
    path = locate(spec["source"])
    if path is not None and not spec["allow_pickle"]:
        try:
            pickles.refuse(path)
        except SourceFailed as refused:
            raise InvalidRequest(refused.message, param=refused.param) from None
    return path


def slot(spec: SlotSpec, lives: Mapping[str, Live]) -> Slot:
    """Nothing is loaded yet. `lives`: by application; what is in it then, its hosts are made of. Raises
    KeyError and ValidationError as `host` does; a source that is not there is its own model's trouble."""
    members, whole = spec["members"], spec["memory"]
    sizes = {}
    for app, one in members.items():
        engine, options, share = _parts(one, lives[app])
        known = here(engine, one["model"], one["task"], one["source"], options, share)
        sizes[app] = taken(engine, spec["declared"].get(app), known, whole)
    turns = Turns(Room(whole, spec["most"]), sizes, spec["pinned"])
    made = {app: lambda app=app: host(members[app], lives[app]) for app in members}
    return Slot(made, turns, spec["pinned"])


async def reconfigure(host: Host, spec: Spec, live: Live) -> None:
    """Give a host that serves what changed of it. Raises as `Reconfigures.reconfigure` does."""
    await host.reconfigure(
        _options(spec, live), max_ongoing=live["max_ongoing"], max_queued=live["max_queued"]
    )


def _parts(spec: Spec, live: Live) -> tuple[Any, Any, GpuShare]:
    """Engine, options, share."""
    share = GpuShare(spec["share"], spec["vendor"], spec["vram"])
    return engine_class(spec["engine"]), _options(spec, live), share


def _options(spec: Spec, live: Live) -> Any:
    return engine_class(spec["engine"]).Options(**spec["options"], **live["options"])
