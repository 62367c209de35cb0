"""What becomes of each variant when another config is declared. Pure; it follows Serve's own rule:
other code or arguments, or another place, are a new process; anything else is taken in place."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backends.fleet import DOOR
from backends.fleet.traffic import Public, complete

Fate = Literal["added", "removed", "replaced", "in place", "unchanged"]
Application = Mapping[str, Any]

_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Step:
    """`app`: the application's name, `who`: the model (and variant) in the fleet's words; `why`: what
    differs. `gap`: where it is replaced, that there is no room for the new one beside the old."""

    app: str
    who: str
    fate: Fate
    why: tuple[str, ...] = ()
    gap: bool = False

    def __str__(self) -> str:
        about = ", ".join(self.why)
        if self.fate == "replaced":
            about += "; no room beside it: it stops first" if self.gap else "; the new one beside the old"
        return f"{self.fate:<10} {self.who}" + (f" ({about})" if about else "")


def plan(before: Mapping[str, Application], after: Mapping[str, Application]) -> list[Step]:
    """The way from one set of applications (by name) to another, variants first, then what the doors are
    told besides."""
    steps = [Step(app, _who(found), "removed") for app, found in before.items() if app not in after]
    for app, found in after.items():
        if app == DOOR:
            continue
        if app not in before:
            steps.append(Step(app, _who(found), "added"))
            continue
        why = tuple(_differences(_facts(before[app]), _facts(found)))
        anew = _process(before[app]) != _process(found)
        fate: Fate = "replaced" if anew else "in place" if why else "unchanged"
        steps.append(
            Step(app, _who(found), fate, why, anew and not _deployment(found).get("max_surge_percent"))
        )
    return steps


def told(before: Public | None, after: Public) -> list[str]:
    """What the doors are told that is no matter of a process, a line per model."""
    lines = []
    for name, model in after.fleet.models.items():
        was = before.fleet.models.get(name) if before else None
        if was is None:
            continue
        if complete(was) != complete(model):
            lines.append(f"{name}: traffic {_split(complete(was))} → {_split(complete(model))}")
        public = ("aliases", "description", "timeout_s", "fallback", "rollback")
        if other := [key for key in public if getattr(was, key) != getattr(model, key)]:
            lines.append(f"{name}: {', '.join(other)}")
    return lines


def _split(weights: Mapping[str, int]) -> str:
    return ", ".join(f"{variant} {share} %" for variant, share in weights.items())


def _who(application: Application) -> str:
    spec = application.get("args", {}).get("spec")
    if spec is None:
        return str(application["name"])
    if "slot" in spec:
        return f"slot {spec['slot']}"
    return spec["model"] if spec["variant"] == "main" else f"{spec['model']} ({spec['variant']})"


def _deployment(application: Application) -> Mapping[str, Any]:
    (deployment,) = application["deployments"]
    return deployment  # type: ignore[no-any-return]


def _process(application: Application) -> tuple[Any, ...]:
    """What Serve makes the version of a process from."""
    deployment = _deployment(application)
    code = (application["import_path"], application.get("args"), application.get("runtime_env"))
    scaling = deployment.get("autoscaling_config")
    # One that scales and one that does not differ for Serve as if their code did.
    policy = [scaling.get("policy")] if isinstance(scaling, dict) else []
    return (*code, policy, deployment.get("ray_actor_options"))


def _facts(application: Application) -> dict[str, Any]:
    """Everything that tells one variant from another, in the fleet's words."""
    deployment, facts = _deployment(application), dict[str, Any]()
    for half in (application.get("args", {}).get("spec", {}), deployment.get("user_config", {})):
        for key, value in half.items():
            facts.update(
                {f"options.{name}": one for name, one in value.items()} if key == "options" else {key: value}
            )
    facts["place"] = deployment.get("ray_actor_options")
    facts["replicas"] = (deployment.get("num_replicas"), deployment.get("autoscaling_config"))
    return facts


def _differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> Iterator[str]:
    for key in dict.fromkeys((*before, *after)):
        if before.get(key, _ABSENT) != after.get(key, _ABSENT):
            yield key
