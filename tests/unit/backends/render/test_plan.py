"""What becomes of each variant when a fleet changes."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from backends.fleet.schema import Fleet
from backends.fleet.traffic import Public
from backends.render.plan import Step, plan, told
from backends.render.serve import serve_config
from backends.serve.declared import applications

FLEET: dict[str, Any] = {
    "version": 1,
    "nodes": {"lab": {"vendor": "nvidia", "vram": "8Gi", "gpus": 1, "cpus": 4}, "cpu": {"cpus": 4}},
    "models": {
        "llama": {
            "task": "chat",
            "traffic": {"stable": 90, "canary": 10},
            "variants": {
                "stable": {
                    "engine": "fake",
                    "source": "builtin://fake",
                    "options": {"words": 3, "context": 64},
                    "place": {"node": "lab", "share": 0.6},
                },
                "canary": {
                    "engine": "fake",
                    "source": "builtin://fake",
                    "place": {"node": "lab", "share": 0.2},
                },
            },
        },
        "voice": {"task": "speak", "engine": "fake", "source": "builtin://fake", "place": {"node": "cpu"}},
    },
}
Change = Callable[[dict[str, Any]], Any]


def rendered(raw: dict[str, Any]) -> dict[str, Any]:
    return applications(serve_config(Fleet.model_validate(raw)))


def steps(change: Change) -> dict[str, Step]:
    raw = deepcopy(FLEET)
    change(raw["models"])
    return {step.who: step for step in plan(rendered(FLEET), rendered(raw))}


def test_the_same_fleet_changes_nothing() -> None:
    assert {step.fate for step in steps(lambda models: None).values()} == {"unchanged"}
    # How long a process may drain is no matter of what serves.
    slower = applications(serve_config(Fleet.model_validate(FLEET), drain_s=5))
    assert {step.fate for step in plan(rendered(FLEET), slower)} == {"unchanged"}


def set_words(models: Any) -> None:
    models["llama"]["variants"]["stable"]["options"]["words"] = 4


def set_context(models: Any) -> None:
    models["llama"]["variants"]["stable"]["options"]["context"] = 128


def set_limits(models: Any) -> None:
    models["llama"]["variants"]["stable"]["scale"] = {"max_queued": 1, "max_ongoing": 2}


def set_source(models: Any) -> None:
    models["llama"]["variants"]["canary"]["source"] = "builtin://other"


def set_place(models: Any) -> None:
    models["llama"]["variants"]["canary"]["place"]["share"] = 0.3


def set_replicas(models: Any) -> None:
    models["voice"]["scale"] = {"replicas": [2, 2]}


@pytest.mark.parametrize(
    ("change", "who", "fate", "why", "gap"),
    [
        (set_words, "llama (stable)", "in place", ("options.words",), False),
        (set_limits, "llama (stable)", "in place", ("max_ongoing", "max_queued"), False),
        (set_context, "llama (stable)", "replaced", ("options.context",), True),
        (set_source, "llama (canary)", "replaced", ("source",), False),
        (set_place, "llama (canary)", "replaced", ("share", "place"), True),
        (set_replicas, "voice", "in place", ("replicas",), False),
    ],
)
def test_one_change(change: Change, who: str, fate: str, why: tuple[str, ...], gap: bool) -> None:
    found = steps(change)
    assert (found[who].fate, found[who].why, found[who].gap) == (fate, why, gap)
    assert {step.fate for name, step in found.items() if name != who} == {"unchanged"}


def test_models_come_and_go() -> None:
    def change(models: Any) -> None:
        models["more"] = models.pop("voice")

    found = steps(change)
    assert {name: step.fate for name, step in found.items()} == {
        "voice": "removed", "more": "added", "llama (stable)": "unchanged", "llama (canary)": "unchanged"
    }  # fmt: skip


def test_what_the_doors_are_told_replaces_nothing() -> None:
    def change(models: Any) -> None:
        models["llama"] |= {"traffic": {"stable": 50, "canary": 50}, "aliases": ["llm"], "timeout_s": 5}

    assert {step.fate for step in steps(change).values()} == {"unchanged"}
    raw = deepcopy(FLEET)
    change(raw["models"])
    before, after = (Public(fleet=Fleet.model_validate(one)) for one in (FLEET, raw))
    assert told(before, after) == [
        "llama: traffic stable 90 %, canary 10 % → stable 50 %, canary 50 %",
        "llama: aliases, timeout_s",
    ]
    assert told(before, before) == told(None, after) == []


@pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")  # in Ray's own models
@pytest.mark.filterwarnings("ignore:The `metrics_interval_s` field")  # its successor has no effect yet
def test_scaling_by_load_instead_of_a_number_is_another_version_for_serve() -> None:
    """Serve counts the policy among the code: the plan says so rather than surprise."""
    from ray.serve._private.deploy_utils import get_app_code_version
    from ray.serve.schema import ServeApplicationSchema

    def change(models: Any) -> None:
        models["voice"]["scale"] = {"replicas": [1, 2]}

    found, raw = steps(change)["voice"], deepcopy(FLEET)
    change(raw["models"])
    versions = [
        get_app_code_version(ServeApplicationSchema.model_validate(rendered(one)["voice--main"]))
        for one in (FLEET, raw)
    ]
    assert (found.fate == "replaced") == (versions[0] != versions[1])


def test_a_step_is_a_line() -> None:
    assert str(Step("a", "llama (canary)", "replaced", ("source",))) == (
        "replaced   llama (canary) (source; the new one beside the old)"
    )
    assert str(Step("a", "voice", "removed")) == "removed    voice"
