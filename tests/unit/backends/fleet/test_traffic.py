"""Traffic that is changed while it serves."""

from typing import Any

import pytest

from backends.fleet.schema import Fleet
from backends.fleet.traffic import (
    Public,
    TrafficRefused,
    carried,
    complete,
    promoted,
    rolled_back,
    shifted,
    withdrawn,
)

VARIANT = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}


def fleet(*variants: str, name: str = "org/llama", **rest: Any) -> Fleet:
    model = {"task": "chat", "aliases": ["llm"], "variants": dict.fromkeys(variants, VARIANT), **rest}
    return Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": {name: model}})


def public(stable: int = 90, canary: int = 10) -> Public:
    return Public(fleet=fleet("stable", "canary", traffic={"stable": stable, "canary": canary}))


def weights(told: Public) -> dict[str, int]:
    return complete(told.fleet.models["org/llama"])


def test_another_split() -> None:
    told = shifted(public(), "llm", {"canary": 30, "stable": 70}, at=5)
    assert weights(told) == {"stable": 70, "canary": 30}
    change = told.traffic["org/llama"]
    assert (change.before, change.at, change.why) == ({"stable": 90, "canary": 10}, 5, "")
    assert Public.model_validate_json(told.model_dump_json()) == told


def test_the_same_split_is_no_change() -> None:
    told = shifted(public(), "llm", {"canary": 30, "stable": 70}, at=5)
    assert shifted(told, "llm", {"stable": 70, "canary": 30}, at=9) is told


def test_promote_and_roll_back() -> None:
    told = promoted(public(), "org/llama", "canary", at=1)
    assert weights(told) == {"stable": 0, "canary": 100}
    back = rolled_back(told, "llm", at=2)
    assert weights(back) == {"stable": 90, "canary": 10}
    assert weights(rolled_back(back, "llm", at=3)) == {"stable": 0, "canary": 100}


@pytest.mark.parametrize(
    ("model", "split", "said"),
    [
        ("llama", {"stable": 100}, "there is no model 'llama'"),
        ("llm", {"stabel": 100}, "no variant 'stabel' (did you mean 'stable'?)"),
        ("llm", {"stable": 90}, "90 in all"),
        ("llm", {"stable": 60, "canary": 60}, "120 in all"),
        ("llm", {"stable": 110, "canary": -10}, "less than nothing"),
    ],
)
def test_what_makes_no_sense_is_refused(model: str, split: dict[str, int], said: str) -> None:
    with pytest.raises(TrafficRefused) as caught:
        shifted(public(), model, split, at=0)
    assert said in str(caught.value)


def test_nothing_to_go_back_to() -> None:
    with pytest.raises(TrafficRefused, match="stands as it was deployed"):
        rolled_back(public(), "llm", at=0)


def test_a_verdict_on_other_weights_changes_nothing() -> None:
    """Somebody was quicker: a door that judged what is no longer in force must not undo it."""
    now, home = public(70, 30), {"stable": 100, "canary": 0}
    assert withdrawn(now, "org/llama", {"stable": 90, "canary": 10}, home, 0, "worse") is now
    gone = withdrawn(now, "org/llama", {"stable": 70, "canary": 30}, home, 0, "worse")
    assert weights(gone) == home
    assert gone.traffic["org/llama"].why == "worse"
    assert withdrawn(gone, "org/llama", {"stable": 70, "canary": 30}, home, 0, "worse") is gone
    assert withdrawn(now, "removed", {"stable": 100}, home, 0, "worse") is now


def test_a_deploy_keeps_the_way_back() -> None:
    deployed = carried(public(100, 0), public(90, 10).fleet, at=7)
    assert deployed.traffic["org/llama"].before == {"stable": 100}
    assert weights(rolled_back(deployed, "llm", at=8)) == {"stable": 100, "canary": 0}
    # The same file once more changes neither the split nor the way back.
    assert carried(deployed, deployed.fleet, at=9) == deployed
    # A live change, and the file again: its split is in force, and the live one the way back.
    live = shifted(deployed, "llm", {"stable": 50, "canary": 50}, at=10)
    again = carried(live, deployed.fleet, at=11)
    assert weights(again) == {"stable": 90, "canary": 10}
    assert again.traffic["org/llama"].before == {"stable": 50, "canary": 50}


def test_there_is_no_way_back_to_a_variant_that_went() -> None:
    live = shifted(public(), "llm", {"stable": 50, "canary": 50}, at=1)
    assert carried(live, fleet("stable"), at=2).traffic == {}
    assert carried(live, fleet("stable", name="other"), at=2).traffic == {}
