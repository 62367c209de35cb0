"""Who is on which GPU, and what of it: granted, estimated, really taken. Pure.

Nothing is stored: Serve's controller knows where replicas are, and they say the rest of themselves.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from backends.contract.state import ReplicaState, VariantState
from backends.fleet.placement import SLOT
from backends.fleet.schema import Fleet, app_name
from backends.sizes import size_in_bytes


@dataclass(frozen=True, slots=True)
class Entry:
    """One replica on one GPU. `share` of that GPU; bytes of it, None where not known."""

    model: str
    variant: str
    pid: int
    share: float
    granted: int
    estimated: int | None
    used: int | None


@dataclass(frozen=True, slots=True)
class Card:
    """A GPU that somebody is on. `node`: its kind; `machine`: Ray's id of the node; `gpu`: from 0;
    `vram`: bytes, 0 where the fleet does not say."""

    node: str
    machine: str
    gpu: int
    vram: int
    entries: tuple[Entry, ...]

    @property
    def share(self) -> float:
        return round(sum(entry.share for entry in self.entries), 4)


def ledger(fleet: Fleet, states: Mapping[str, VariantState]) -> list[Card]:
    cards: dict[tuple[str, str, int], list[Entry]] = {}
    for where, entry in _entries(fleet, states):
        cards.setdefault(where, []).append(entry)
    return [
        Card(node, machine, gpu, _vram(fleet, node), tuple(entries))
        for (node, machine, gpu), entries in sorted(cards.items())
    ]


def _entries(
    fleet: Fleet, states: Mapping[str, VariantState]
) -> Iterator[tuple[tuple[str, str, int], Entry]]:
    slots = set[tuple[str | None, str]]()
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            state = states.get(app_name(name, variant), VariantState())
            for replica in state.replicas:
                if one.slot is not None and (one.slot, replica.id) in slots:
                    continue
                # One entry for all that are in a slot: nobody can tell how much of it each has.
                who = (name, variant) if one.slot is None else (f"{SLOT}{one.slot}", "")
                slots.add((one.slot, replica.id))
                for gpu in replica.gpus:
                    yield (replica.node, replica.machine, gpu), _entry(*who, one.place.share, replica)


def _entry(model: str, variant: str, share: float, replica: ReplicaState) -> Entry:
    """Of several GPUs a replica takes the same of each: none of them tells how much of its own."""
    many, has = len(replica.gpus), replica.footprint

    def each(size: int | None) -> int | None:
        return None if size is None else size // many

    granted, estimated, used = has.granted // many, each(has.estimated), each(has.vram)
    return Entry(model, variant, replica.pid, min(share, 1.0), granted, estimated, used)


def _vram(fleet: Fleet, kind: str) -> int:
    return size_in_bytes(fleet.nodes[kind].vram or "0") if kind in fleet.nodes else 0
