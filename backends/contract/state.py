"""How a variant is doing: what the catalogue, `/ready`, `/v1/models` and `motley status` show."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

# cold: nothing runs, and nothing is wrong: a request loads it · waiting: not placed yet
# loading: its process reads weights · down: it died or failed to start
Readiness = Literal["cold", "waiting", "loading", "ready", "down"]


@dataclass(frozen=True, slots=True)
class ReplicaState:
    """One process that hosts the variant. `busy` is the engine's own count of running tasks,
    `ongoing` what the host admitted (running), `queued` what waits for a place. `hatch`: the socket
    by which a door on the same machine may ask it."""

    node: str
    pid: int
    ongoing: int = 0
    queued: int = 0
    busy: int = 0
    hatch: str = ""


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
    loaded."""

    readiness: Readiness = "waiting"
    stage: str = ""
    progress: float | None = None
    seconds: float = 0.0
    message: str = ""
    replicas: tuple[ReplicaState, ...] = ()
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def ready(self) -> bool:
        return self.readiness == "ready"
