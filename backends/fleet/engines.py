"""The third ring: do the engines do what the fleet asks of them? And all three rings together."""

import math
from collections.abc import Iterator, Mapping
from importlib import import_module
from pathlib import Path as File
from typing import Any

from pydantic import ValidationError

from backends.contract.engine import GpuShare, Memory
from backends.contract.errors import InvalidRequest, SourceFailed
from backends.engines.registry import ENGINES, Entry, engine_class
from backends.estimates import here, taken
from backends.fleet import wording
from backends.fleet.agree import agree
from backends.fleet.load import read, shape
from backends.fleet.problems import Finding, FleetError, Path, did_you_mean, shown
from backends.fleet.schema import Fleet
from backends.sizes import size_in_bytes
from backends.sources import locate, pickles
from backends.sources.address import SCHEMES, parse


def check(path: str | File, engines: Mapping[str, Entry] = ENGINES) -> Fleet:
    """A fleet that passed the three rings. Raises FleetError with everything that is wrong."""
    document = read(path)
    fleet, problems = shape(document)
    if fleet is not None:
        findings = [*agree(fleet), *hosted(fleet, engines)] or [*fitting(fleet)]
        problems += [document.problem(finding) for finding in findings]
    if fleet is None or problems:
        raise FleetError(str(path), problems)
    return fleet


def hosted(fleet: Fleet, engines: Mapping[str, Entry] = ENGINES) -> list[Finding]:
    """Imports the modules of the engines used (not what they import in `load`)."""
    return [
        finding
        for name, model in fleet.models.items()
        for variant in model.variants
        for finding in _variant(fleet, name, variant, engines)
    ]


def estimates(fleet: Fleet) -> dict[tuple[str, str], Memory | None]:
    """By model and variant, of a fleet that passed `check`; None where nothing can be said here."""
    found = {}
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            engine = engine_class(one.engine)
            options, share = engine.Options(**one.options), fleet.granted(one.place)
            found[name, variant] = here(engine, name, model.task, one.source, options, share)
    return found


def fitting(fleet: Fleet) -> Iterator[Finding]:
    """Every model in a slot fits into it, beside those that never leave it."""
    known = estimates(fleet)
    for slot, found in fleet.slots.items():
        whole = fleet.holds(slot)
        inside = fleet.members(slot)
        if not inside:
            yield Finding(
                ("slots", slot),
                f"no model is in the slot {slot}",
                "name it as a variant's 'slot', or remove it",
            )
        sizes = {  # of those of which anything can be said here
            who: taken(
                engine_class(one.engine),
                None if one.memory is None else size_in_bytes(one.memory),
                known[who],
                whole,
            )
            for who, one in inside.items()
            if known[who] or one.memory or getattr(engine_class(one.engine), "fills", False)
        }
        pinned = [who for who, one in inside.items() if one.pin]
        for who in inside:
            beside = sum(sizes.get(other, 0) for other in pinned if other != who)
            path: Path = ("models", who[0], "variants", who[1], "slot")
            about = f"{who[0]}, variant {who[1]}:"
            if whole is not None and who in sizes and sizes[who] + beside > whole:
                needs = f"takes {sizes[who] / 2**30:.1f} GiB" if sizes[who] != whole else "takes all"
                rest = f", and what is pinned there {beside / 2**30:.1f} GiB" if beside else ""
                message = f"{about} {needs} of the slot {slot}, which holds {whole / 2**30:.1f} GiB{rest}"
                yield Finding(path, message, "a larger slot, or 'memory' where the model takes less")
            elif found.most is not None and len({who, *pinned}) > found.most:
                message = f"{about} never has a turn in the slot {slot}: as many are pinned as it holds"
                yield Finding(path, message, "pin fewer, or let it hold more")


def _variant(fleet: Fleet, name: str, variant: str, engines: Mapping[str, Entry]) -> Iterator[Finding]:
    task, one = fleet.models[name].task, fleet.models[name].variants[variant]
    path: Path = ("models", name, "variants", variant)
    yield from _source(one.source, (*path, "source"))
    if not one.allow_pickle:
        yield from _pickles(one.source, (*path, "source"))
    at = (*path, "engine")
    entry = engines.get(one.engine)
    if entry is None:
        yield Finding(at, f"there is no engine {shown(one.engine)}", did_you_mean(one.engine, engines))
        return
    if task not in entry.tasks:
        able = sorted(name for name, other in engines.items() if task in other.tasks and name != "fake")
        does = ", ".join(sorted(entry.tasks))
        hint = f"engines that do: {', '.join(able)}" if able else ""
        yield Finding(at, f"the engine '{one.engine}' does not {task}, it does {does}", hint)
    try:
        module, _, attribute = entry.path.partition(":")
        engine: Any = getattr(import_module(module), attribute)
    except Exception as error:  # whatever a module raises is a sentence here, not a traceback
        yield _absent(one.engine, entry, error, at)
        return
    try:
        options = engine.Options.model_validate(one.options)
    except ValidationError as error:
        yield from wording.findings(error, engine.Options, (*path, "options"))
        return
    if getattr(options, "sleep", False) and not (one.slot and one.place.share):
        message = f"{name}, variant {variant}: only a model in a slot with a share of a card can sleep"
        yield Finding((*path, "options", "sleep"), message, "remove it")
    if fleet.nodes.keys() >= set(one.place.nodes):
        share = fleet.granted(one.place)
        memory = here(engine, name, task, one.source, options, share)
        if refusal := share.refusal(memory):
            yield Finding(
                (*path, "place", "share"), f"{name}, variant {variant}: {refusal}", _enough(memory, share)
            )


def _enough(memory: Memory | None, share: GpuShare) -> str:
    """The least share of a hundredth that holds it."""
    least = math.ceil(100 * memory.total / share.vram) / 100 if memory else 1
    return f"a share of {least:g} holds it" if least <= 1 else "choose a larger card or a smaller model"


def _absent(name: str, entry: Entry, error: Exception, at: Path) -> Finding:
    hint = f"pip install motley[{entry.extra}]" if entry.extra else "install motley again"
    if isinstance(error, ModuleNotFoundError) and error.name:
        return Finding(at, f"the engine '{name}' is not installed here: it needs '{error.name}'", hint)
    return Finding(at, f"the engine '{name}' cannot be imported here ({type(error).__name__})", hint)


def _source(source: str, at: Path) -> Iterator[Finding]:
    """Whether something is there is a question for the node, not for here."""
    try:
        parse(source)
    except ValueError as error:
        what, hint = error.args
        scheme, said, _ = source.partition("://")
        near = did_you_mean(scheme, SCHEMES) if said and scheme not in SCHEMES else ""
        yield Finding(at, f"the source {shown(source)} {what}", near if near.startswith("did") else hint)


def _pickles(source: str, at: Path) -> Iterator[Finding]:
    """Where the files are on this machine."""
    try:
        if (path := locate(source)) is not None:
            pickles.refuse(path)
    except SourceFailed as refused:
        yield Finding(at, refused.message)
    except (InvalidRequest, OSError):
        return
