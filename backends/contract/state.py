"""How a variant is doing: what the catalogue, `/ready`, `/v1/models` and `motley status` show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from backends.contract.tally import Tally

# cold: nothing runs, and nothing is wrong: a request loads it · waiting: not placed yet
# loading: its process reads weights · down: it died or failed to start
Readiness = Literal["cold", "waiting", "loading", "ready", "down"]
# open: after many failures nobody is let through · half-open: one is, to see
Circuit = Literal["closed", "open", "half-open"]
# Of a model in a slot: who went so that it could come (an application, `several` or `none`) → how often,
# and seconds in all, from the first that was closed for it until it was ready.
Swaps = Mapping[str, tuple[int, float]]


@dataclass(frozen=True, slots=True)
class Footprint:
    """Memory of a replica, its children included, in bytes. `granted`: what its share is of a card, 0 without
    one; `estimated`: before it loaded, of the card or else of the machine. What it really has: `vram` on
    cards, `ram` of the machine; None where nobody can tell."""

    granted: int = 0
    estimated: int | None = None
    vram: int | None = None
    ram: int | None = None


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One process that hosts the variant. `busy` is the engine's own count of running tasks,
    `ongoing` what the host admitted (running), `queued` what waits for a place. `hatch`: the socket
    by which a door on the same machine may ask it; `pulse`: where any door feels whether it lives
    (`host:port`). `id`: its own, which no other process ever has. `machine`: the node's id; `gpus`: which
    of its cards the replica was given, from 0. `tally`: what it has counted, None of one that did not say."""

    node: str
    pid: int
    ongoing: int = 0
    queued: int = 0
    busy: int = 0
    hatch: str = ""
    machine: str = ""
    gpus: tuple[int, ...] = ()
    footprint: Footprint = field(default_factory=Footprint)
    pulse: str = ""
    id: str = ""
    tally: Tally | None = field(default=None, compare=False)


@dataclass(frozen=True, slots=True)
class Origin:
    """Who gave an answer: the node's name in the fleet, the process, and (for vectors) in which space
    they lie, as `space.fingerprint` writes it."""

    node: str
    pid: int
    fingerprint: str | None = None


@dataclass(frozen=True, slots=True)
class VariantState:
    """`progress` is 0…1 while loading, None when unknown; `seconds` is the time spent in
    loading (so far, in all once ready, and last time while cold); `facts` come from the engine once
    loaded. `pending`: replicas that have no process yet, because they wait for a place or were just asked
    for. `circuit`: whether requests are let through to it; `retry_s`: when to ask again, where it is down.
    `swaps`: how often it came into its slot, and what that cost; `members`: of the process of a slot, the
    state of each variant in it, by application."""

    readiness: Readiness = "waiting"
    stage: str = ""
    progress: float | None = None
    seconds: float = 0.0
    message: str = ""
    replicas: tuple[ReplicaState, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)
    pending: int = 0
    circuit: Circuit = "closed"
    retry_s: float = 2.0
    swaps: Swaps = field(default_factory=dict)
    members: Mapping[str, "VariantState"] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.readiness == "ready"
