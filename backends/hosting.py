"""What a variant's process must know, and the host made from it: one way for every upstream."""

from collections.abc import Mapping
from typing import Any, TypedDict

from backends.contract.engine import GpuShare, ModelRef, Vendor
from backends.contract.tasks import Verb
from backends.engines.registry import engine_class
from backends.estimates import estimated, taken
from backends.host import Host
from backends.slots.slot import Slot
from backends.slots.turns import Room, Turns
from backends.sources import locate


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
    options it does not take, InvalidRequest for a source that is not there."""
    engine, model, options, share = _parts(spec, live)
    return Host(
        engine(model, options, share),
        share=share,
        estimate=lambda: estimated(engine, model, options, share),
        max_ongoing=live["max_ongoing"],
        max_queued=live["max_queued"],
    )


def slot(spec: SlotSpec, lives: Mapping[str, Live]) -> Slot:
    """Nothing is loaded yet. `lives`: by application; what is in it then, its hosts are made of. Raises as
    `host` does."""
    members, whole = spec["members"], spec["memory"]
    sizes = {}
    for app, member in members.items():
        engine, model, options, share = _parts(member, lives[app])
        sizes[app] = taken(engine, spec["declared"].get(app), estimated(engine, model, options, share), whole)
    turns = Turns(Room(whole, spec["most"]), sizes, spec["pinned"])
    made = {app: lambda app=app: host(members[app], lives[app]) for app in members}
    return Slot(made, turns, spec["pinned"])


async def reconfigure(host: Host, spec: Spec, live: Live) -> None:
    """Give a host that serves what changed of it. Raises as `Reconfigures.reconfigure` does."""
    await host.reconfigure(
        _options(spec, live), max_ongoing=live["max_ongoing"], max_queued=live["max_queued"]
    )


def _parts(spec: Spec, live: Live) -> tuple[Any, ModelRef, Any, GpuShare]:
    model = ModelRef(spec["model"], spec["task"], spec["source"], locate(spec["source"]))
    share = GpuShare(spec["share"], spec["vendor"], spec["vram"])
    return engine_class(spec["engine"]), model, _options(spec, live), share


def _options(spec: Spec, live: Live) -> Any:
    return engine_class(spec["engine"]).Options(**spec["options"], **live["options"])
