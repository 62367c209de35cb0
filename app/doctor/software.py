"""Python, Ray, and the packages that a fleet's engines need."""

import platform
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from packaging.requirements import Requirement

from app.doctor.cards import NAMES
from app.doctor.finding import Finding, ok, warning, wrong
from app.doctor.machine import Machine
from backends.contract.engine import Vendor
from backends.engines.registry import ENGINES
from backends.fleet.schema import Fleet, Variant
from backends.sources.address import parse

# What torch was built for, as `torch/version.py` names it.
_BUILDS: dict[str, Vendor] = {"cuda": "nvidia", "hip": "amd", "xpu": "intel"}
# What has the builds for each; the index that pip asks anyway has NVIDIA's.
_INDEX = "--index-url https://download.pytorch.org/whl/"
_TORCH: dict[Vendor, str] = {
    "nvidia": "torch",
    "amd": f"{_INDEX}rocm6.4 torch",
    "intel": f"{_INDEX}xpu torch",
}


def placed(fleet: Fleet | None, node: str | None) -> list[Variant]:
    """What may run on a kind of node."""
    models = fleet.models.values() if fleet is not None else ()
    return [one for model in models for one in model.variants.values() if node in one.place.nodes]


def packages(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """Motley's own, and those of the extras that this fleet and these settings need."""
    own = machine.package("motley")
    asked = [Requirement(one) for one in (own.requires if own else None) or ()]
    if own is None or not asked:
        yield warning(
            "packages",
            "Motley is not installed as a package: nobody can say what it needs",
            "pip install --no-deps -e .",
        )
        return
    found = [*_lacking(machine, asked, "")]
    for extra, why in _extras(machine, fleet, node):
        found += [f"{one}, for {why}" for one in _lacking(machine, asked, extra)]
    yield from (
        wrong("packages", f"{said} is needed", f"pip install '{said.partition(' (')[0]}'") for said in found
    )
    if not found:
        ray = machine.version("ray")
        said = f"Python {platform.python_version()}, Ray {ray}, Motley {own.version}"
        yield ok("packages", f"{said}: all that is needed is here")


def _lacking(machine: Machine, asked: Iterable[Requirement], extra: str) -> Iterator[str]:
    """Those of an extra (of none: of Motley itself) that are missing, or of a version that does not fit."""
    for one in asked:
        version = machine.version(one.name)
        fits = version is not None and one.specifier.contains(version, prereleases=True)
        if _needed(one, extra) and not fits and not (extra and _needed(one, "")):
            extras = f"[{','.join(sorted(one.extras))}]" if one.extras else ""
            found = f"here is {version}" if version else "it is missing"
            yield f"{one.name}{extras}{one.specifier} ({found})"


def _needed(one: Requirement, extra: str) -> bool:
    """Here, by its marker."""
    return one.marker is None or one.marker.evaluate({"extra": extra})


def _extras(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[tuple[str, str]]:
    """Names of extras, and what needs them."""
    needed = {}
    for one in placed(fleet, node):
        entry = ENGINES.get(one.engine)
        if entry is not None and entry.extra:
            needed[entry.extra] = f"the engine {one.engine}"
        if parse(one.source).scheme == "s3":
            needed["s3"] = "sources in s3://"
    settings = machine.environment
    if settings.get("MOTLEY_USAGE_URL", "").startswith("postgres"):
        needed["postgres"] = "MOTLEY_USAGE_URL"
    if settings.get("MOTLEY_LIMITS_URL"):
        needed["redis"] = "MOTLEY_LIMITS_URL"
    if any(name.startswith("OTEL_EXPORTER_OTLP") and settings[name] for name in settings):
        needed["otlp"] = "OTEL_EXPORTER_OTLP_…"
    yield from needed.items()


def torch(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """Whether torch was built for the cards on which engines of this environment are to compute."""
    if fleet is None or node is None:
        return
    vendor, found = fleet.nodes[node].vendor, machine.package("torch")
    on_torch = [one.engine for one in placed(fleet, node) if one.place.share and _needs_torch(one.engine)]
    if not on_torch or found is None or vendor == "cpu":
        return
    told = machine.text(Path(str(found.locate_file("torch/version.py"))))
    builds = {_BUILDS[name] for name in re.findall(r"^(cuda|hip|xpu)\b[^=]*= *'[^']+'", told, re.MULTILINE)}
    if vendor not in builds:
        built = " and ".join(NAMES[one] for one in sorted(builds)) or "CPUs alone"
        said = f"torch {found.version} is built for {built}, {on_torch[0]} has {NAMES[vendor]}'s cards"
        yield wrong("torch", said, f"pip install --force-reinstall {_TORCH[vendor]}")
    else:
        yield ok("torch", f"{found.version}, built for {NAMES[vendor]}")


def _needs_torch(engine: str) -> bool:
    entry = ENGINES.get(engine)
    return entry is not None and entry.extra in ("whisper", "sentence-transformers")
