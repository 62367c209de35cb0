"""The second ring: do the parts of a fleet agree with one another? Pure; no file, no engine."""

from collections.abc import Iterable, Iterator

from backends.fleet.chained import chained
from backends.fleet.crowding import crowding
from backends.fleet.problems import Finding, Path, did_you_mean
from backends.fleet.schema import Fleet, Model, Place, Scale, Variant, app_name

# First path segments of the door's own: an alias `NAME` is also the path `/NAME/v1/…`.
RESERVED = frozenset(
    {"-", "v1", "v2", "api", "health", "ready", "live", "metrics", "docs", "redoc", "openapi.json"}
    | {"tokenize", "detokenize", "console", "ui", "static", "favicon.ico", "robots.txt"}
)


def agree(fleet: Fleet) -> list[Finding]:
    """Everything that contradicts something else; empty for a fleet that can be deployed."""
    placed = list(_places(fleet))
    found = [
        *_names(fleet), *_addresses(fleet), *_traffic(fleet), *_rollbacks(fleet), *_fallbacks(fleet),
        *chained(fleet), *_door(fleet), *_slots(fleet), *placed,
    ]  # fmt: skip
    # Where a variant fits nowhere by itself, saying that the whole does not fit adds nothing.
    return found if placed else [*found, *crowding(fleet)]


def _names(fleet: Fleet) -> Iterator[Finding]:
    """No two models answer to one name, and none to a path of the door's."""
    owners: dict[str, str] = {}
    for name in fleet.models:
        owner = owners.setdefault(name.lower(), name)
        if owner != name:
            yield Finding(
                ("models", name), f"'{name}' differs from the model '{owner}' only in case", _RENAME
            )
        yield from _reserved(name, ("models", name))
    for name, model in fleet.models.items():
        seen = {name}
        for index, alias in enumerate(model.aliases):
            path: Path = ("models", name, "aliases", index)
            yield from _reserved(alias, path)
            owner = owners.setdefault(alias.lower(), name)
            if alias in seen:
                yield Finding(path, f"'{alias}' is a name of '{name}' already", "remove it here")
            elif owner != name:
                what = "the name" if alias.lower() == owner.lower() else "an alias"
                yield Finding(path, f"'{alias}' is {what} of the model '{owner}' already", _RENAME)
            seen.add(alias)


_RENAME = "every name and alias belongs to one model: choose another"


def _reserved(name: str, path: Path) -> Iterator[Finding]:
    first = name.partition("/")[0]
    if first.lower() in RESERVED:
        yield Finding(path, f"'{first}' is a path of Motley's own", "choose another name")


def _addresses(fleet: Fleet) -> Iterator[Finding]:
    """Names lose their punctuation in the address of a variant: `a.b` and `a-b` meet."""
    owners: dict[str, str] = {}
    for name, model in fleet.models.items():
        for variant in model.variants:
            address = app_name(name, variant)
            owner = owners.setdefault(address, name)
            # Names that differ only in case are reported as such.
            if owner.lower() != name.lower():
                message = f"'{name}' and '{owner}' both become the application {address}"
                yield Finding(("models", name), message, "rename one of the two models or the variant")


def _traffic(fleet: Fleet) -> Iterator[Finding]:
    for name, model in fleet.models.items():
        path: Path = ("models", name, "traffic")
        if not model.traffic:
            if len(model.variants) > 1:
                message = f"the variants {_listed(model.variants)} need 'traffic'"
                yield Finding(("models", name), message, f"for example traffic: {_even(model)}")
            continue
        for variant in model.traffic:
            if variant not in model.variants:
                message = f"'{name}' has no variant '{variant}'"
                yield Finding((*path, variant), message, did_you_mean(variant, model.variants))
        total = sum(model.traffic.values())
        if total != 100:
            yield Finding(path, f"the traffic of '{name}' sums to {total}", "it is in per cent: make it 100")


def _rollbacks(fleet: Fleet) -> Iterator[Finding]:
    for name, model in fleet.models.items():
        path: Path = ("models", name, "rollback")
        if model.rollback is None:
            continue
        if len(model.variants) == 1:
            yield Finding(path, f"'{name}' has one variant: there is nothing to go back to", "remove it")
        elif model.home not in model.variants:
            message = f"'{name}' has no variant '{model.home}'"
            yield Finding((*path, "to"), message, did_you_mean(model.home, model.variants))


def _fallbacks(fleet: Fleet) -> Iterator[Finding]:
    """Each is another model of the same task, and no chain of them comes back to where it began."""
    aliases = {alias: name for name, model in fleet.models.items() for alias in model.aliases}
    for name, model in fleet.models.items():
        for index, other in enumerate(model.fallback):
            path: Path = ("models", name, "fallback", index)
            backup = fleet.models.get(other)
            if other == name:
                yield Finding(path, f"'{name}' is its own fallback", "name another model")
            elif other in model.fallback[:index]:
                yield Finding(path, f"'{other}' is named twice", "remove it here")
            elif backup is None and other in aliases:
                yield Finding(
                    path, f"'{other}' is an alias", f"write the model's own name, '{aliases[other]}'"
                )
            elif backup is None:
                same = [
                    known for known, one in fleet.models.items() if one.task == model.task and known != name
                ]
                yield Finding(path, f"there is no model '{other}'", did_you_mean(other, same))
            elif backup.task != model.task:
                message = f"'{other}' does {backup.task}, and '{name}' {model.task}"
                yield Finding(path, message, "a fallback does the same task")
            elif backup.steps is not None:
                message = f"'{other}' is made of steps, and so stands in for nobody"
                yield Finding(path, message, "name one of its models")
            elif circle := _circle(fleet, name, other):
                message = f"the fallbacks go in a circle: {' → '.join(circle)}"
                yield Finding(path, message, "each model may stand in for another, but not in turn")


def _circle(fleet: Fleet, name: str, other: str) -> list[str]:
    """The way from `name` by its fallback `other` back to `name`; empty where there is none."""
    ways, seen = [[name, other]], {other}
    for way in ways:
        for following in fleet.models[way[-1]].fallback if way[-1] in fleet.models else ():
            if following == name:
                return [*way, name]
            if following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []


def _even(model: Model) -> str:
    first, *others = model.variants
    return "{" + ", ".join([f"{first}: 100", *(f"{other}: 0" for other in others)]) + "}"


def _door(fleet: Fleet) -> Iterator[Finding]:
    several = not isinstance(fleet.door.node, str)
    for index, label in enumerate(fleet.door.nodes):
        if label not in fleet.nodes:
            at: Path = ("door", "node", index) if several else ("door", "node")
            yield Finding(at, f"there is no node '{label}'", did_you_mean(label, fleet.nodes))


def _slots(fleet: Fleet) -> Iterator[Finding]:
    """What is said of a slot has an effect, and no variant contradicts its own."""
    for name, slot in fleet.slots.items():
        granted = all(node in fleet.nodes for node in slot.place.nodes) and fleet.granted(slot.place).granted
        if granted and slot.memory is not None:
            message = f"slot {name}: its share says what it holds"
            yield Finding(("slots", name, "memory"), message, "remove 'memory'")
        elif not granted and slot.memory is None and slot.most is None:
            hint = "give 'memory', what it may hold, or 'most', how many models"
            yield Finding(("slots", name), f"nothing says how much the slot {name} holds", hint)
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            yield from _in_slot(
                fleet, f"{name}, variant {variant}", one, ("models", name, "variants", variant)
            )


def _in_slot(fleet: Fleet, who: str, one: Variant, path: Path) -> Iterator[Finding]:
    if one.slot is None:
        for key, given in (("pin", one.pin), ("memory", one.memory)):
            if given:
                yield Finding(
                    (*path, key), f"{who}: '{key}' is for models in a slot", "remove it, or name its 'slot'"
                )
        return
    slot = fleet.slots.get(one.slot)
    if slot is None:
        yield Finding(
            (*path, "slot"), f"{who}: there is no slot '{one.slot}'", did_you_mean(one.slot, fleet.slots)
        )
        return
    if one.place != slot.place:
        yield Finding(
            (*path, "place"), f"{who}: its place is that of the slot '{one.slot}'", "remove 'place'"
        )
    if one.scale != Scale.model_validate(
        {
            "replicas": (int(one.pin), 1),
            "max_ongoing": one.scale.max_ongoing,
            "max_queued": one.scale.max_queued,
        }
    ):
        message = f"{who}: in a slot only 'max_ongoing' and 'max_queued' say something"
        yield Finding((*path, "scale"), message, "remove the others")


def _places(fleet: Fleet) -> Iterator[Finding]:
    """Every variant, and every slot, fits, alone, on every kind of node it names."""
    for name, slot in fleet.slots.items():
        yield from _place(fleet, f"slot {name}", slot.place, ("slots", name, "place"))
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            if one.slot is not None:
                continue
            path: Path = ("models", name, "variants", variant, "place")
            yield from _place(fleet, f"{name}, variant {variant}", one.place, path)


def _place(fleet: Fleet, who: str, place: Place, path: Path) -> Iterator[Finding]:
    several = not isinstance(place.node, str)
    for index, label in enumerate(place.nodes):
        at: Path = (*path, "node", index) if several else (*path, "node")
        if label in place.nodes[:index]:
            yield Finding(at, f"'{label}' is named twice", "remove it here")
            continue
        node = fleet.nodes.get(label)
        if node is None:
            yield Finding(at, f"{who}: there is no node '{label}'", did_you_mean(label, fleet.nodes))
            continue
        if place.share > 0 and node.gpus == 0:
            with_gpus = [other for other, kind in fleet.nodes.items() if kind.gpus >= max(1, place.share)]
            hint = f"nodes that have: {_listed(with_gpus)}" if with_gpus else "remove the share"
            yield Finding(
                (*path, "share"), f"{who}: share {place.share:g}, but node '{label}' has no GPU", hint
            )
        elif place.share > node.gpus:
            message = f"{who}: share {place.share:g} is more than the {_gpus(node.gpus)} of node '{label}'"
            yield Finding((*path, "share"), message, f"at most {node.gpus}")
        if place.cpus > node.cpus:
            message = f"{who}: {place.cpus:g} cpus are more than the {node.cpus} of node '{label}'"
            yield Finding((*path, "cpus"), message, f"at most {node.cpus}")


def _gpus(count: int) -> str:
    return f"{count} GPU" if count == 1 else f"{count} GPUs"


def _listed(names: Iterable[str]) -> str:
    return ", ".join(f"'{name}'" for name in names)
