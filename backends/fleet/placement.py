"""Do all the least replicas fit on the nodes together? First fit, largest first.

That is no proof of the opposite, but Ray places replicas as they come, and what does not fit
this way would fit there by luck only.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

from backends.fleet.problems import Finding
from backends.fleet.schema import Fleet, Place, Variant

# Ray counts fractions of a GPU or core in ten-thousandths; so do we, for exact sums.
_UNIT = 10_000


@dataclass(slots=True)
class _Machine:
    """What one node has left: CPU, and each of its GPUs (a share never spans two)."""

    cpu: int
    gpus: list[int]
    tenants: list[str] = field(default_factory=list)

    def take(self, place: Place, tenant: str) -> bool:
        cpu, share = round(place.cpus * _UNIT), round(place.share * _UNIT)
        chosen = self.gpus_for(share)
        if cpu > self.cpu or chosen is None:
            return False
        self.cpu -= cpu
        for index in chosen:
            self.gpus[index] -= min(share, _UNIT)
        if share:
            self.tenants.append(f"{tenant} {place.share:g}")
        return True

    def gpus_for(self, share: int) -> list[int] | None:
        """Which GPUs a share goes to; None where it does not fit."""
        if share == 0:
            return []
        each, wanted = min(share, _UNIT), max(1, share // _UNIT)
        free = [index for index, left in enumerate(self.gpus) if left >= each]
        return free[:wanted] if len(free) >= wanted else None


def crowding(fleet: Fleet) -> Iterator[Finding]:
    """One finding per variant whose least replicas find no room beside the others."""
    machines = {
        label: [_Machine(node.cpus * _UNIT, [_UNIT] * node.gpus) for _ in range(node.count)]
        for label, node in fleet.nodes.items()
    }
    for name, variant, one in sorted(_variants(fleet), key=_bulk):
        least = one.scale.replicas[0]
        choices = [machine for label in one.place.nodes for machine in machines[label]]
        for number in range(least):
            if not any(machine.take(one.place, name) for machine in choices):
                yield _no_room(name, variant, one, number, choices)
                break


def _variants(fleet: Fleet) -> Iterator[tuple[str, str, Variant]]:
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            yield name, variant, one


def _bulk(entry: tuple[str, str, Variant]) -> tuple[int, float, float]:
    """Those with the least choice first, then the largest."""
    place = entry[2].place
    return len(place.nodes), -place.share, -place.cpus


def _no_room(name: str, variant: str, one: Variant, number: int, choices: list[_Machine]) -> Finding:
    place = one.place
    where = " or ".join(f"'{label}'" for label in place.nodes)
    which = f"{name}, variant {variant}" + (f", replica {number + 1}" if one.scale.replicas[0] > 1 else "")
    path = ("models", name, "variants", variant, "place")
    roomy = [machine for machine in choices if machine.gpus_for(round(place.share * _UNIT)) is not None]
    if not roomy:
        taken = ", ".join(tenant for machine in choices for tenant in machine.tenants)
        message = f"{which}: share {place.share:g} finds no room on node {where}, which holds {taken}"
        return Finding(
            (*path, "share"), message, "lower a share, place it elsewhere, or start from 0 replicas"
        )
    left = max(machine.cpu for machine in roomy) / _UNIT
    message = f"{which}: {place.cpus:g} cpus find no room on node {where}, which has {left:g} left"
    return Finding((*path, "cpus"), message, "reserve fewer cpus, or place it elsewhere")
