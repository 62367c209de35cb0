"""Of the second ring: do the steps of the chains name models that can take them? Pure."""

from collections.abc import Iterator, Mapping
from dataclasses import fields

from backends.contract.tasks import EmbedTask, RerankTask, SpeakTask, TranscribeTask, Verb
from backends.fleet.problems import Finding, Path, did_you_mean
from backends.fleet.schema import Fleet, Model
from backends.fleet.steps import Sequence, Steps, Switch

# What a switch can ask of a task that is no JSON body: its fields, but for what is no plain value.
FIELDS: Mapping[Verb, tuple[str, ...]] = {
    task.verb: tuple(
        one.name for one in fields(task) if one.name not in ("request_id", "audio", "sample", "vad")
    )
    for task in (TranscribeTask, SpeakTask, EmbedTask, RerankTask)
}


def chained(fleet: Fleet) -> Iterator[Finding]:
    """Every step is a model of its task, and no chain comes back to itself."""
    names = {alias: name for name, model in fleet.models.items() for alias in model.aliases}
    names.update({name: name for name in fleet.models})
    for name, model in fleet.models.items():
        if model.steps is not None:
            path: Path = ("models", name, "steps")
            yield from _shape(model, model.steps, path)
            yield from _parts(fleet, names, name, path)


def _shape(model: Model, steps: Steps, path: Path) -> Iterator[Finding]:
    if model.task not in steps.tasks:
        able = ", ".join(steps.tasks)
        yield Finding(path, f"no {model.task} is made of these steps", f"they make: {able}")
    if isinstance(steps, Sequence):
        for at, (stage, part) in enumerate(zip(steps.sequence, steps.parts(model.task), strict=True)):
            if stage.prompt is not None and part.task != "chat":
                told = f"step {at + 1} does {part.task}, and so takes no 'prompt'"
                yield Finding((*path, "sequence", at, "prompt"), told, "remove it")
    if isinstance(steps, Switch):
        if steps.classify is not None and model.task == "transcribe":
            told = "a classifier reads text, and what is transcribed is sound"
            yield Finding((*path, "classify"), told, "remove it")
        known = (*FIELDS.get(model.task, ()), "text")
        for at, rule in enumerate(steps.switch):
            if model.task != "chat" and rule.field is not None and rule.field not in known:
                told = f"a request to {model.task} has no field '{rule.field}'"
                yield Finding((*path, "switch", at, "field"), told, did_you_mean(rule.field, known))


def _parts(fleet: Fleet, names: Mapping[str, str], name: str, path: Path) -> Iterator[Finding]:
    model = fleet.models[name]
    assert model.steps is not None
    for part in model.steps.parts(model.task):
        at = (*path, *part.path)
        found = names.get(part.model)
        if found is None:
            same = [known for known, one in fleet.models.items() if one.task == part.task and known != name]
            yield Finding(at, f"there is no model '{part.model}'", did_you_mean(part.model, same))
        elif fleet.models[found].task != part.task:
            told = f"'{part.model}' does {fleet.models[found].task}, and this step {part.task}"
            yield Finding(at, told, "name a model of that task")
        elif circle := _circle(fleet, names, name, found):
            told = f"the steps go in a circle: {' → '.join(circle)}"
            yield Finding(at, told, "a chain may be a step of another, but not in turn")


def _circle(fleet: Fleet, names: Mapping[str, str], name: str, step: str) -> list[str]:
    """The way from `name` by its step back to `name`; empty where there is none."""
    ways, seen = [[name, step]], {step}
    for way in ways:
        if way[-1] == name:
            return way
        model = fleet.models[way[-1]]
        for part in model.steps.parts(model.task) if model.steps is not None else ():
            following = names.get(part.model)
            if following is not None and following not in seen:
                seen.add(following)
                ways.append([*way, following])
    return []
