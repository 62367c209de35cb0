"""Names, weights, readiness."""

from collections import Counter

import pytest

from app.catalogue import Catalogue, readiness
from backends.contract.errors import InvalidRequest, ModelDown, ModelNotFound, NotReady, TaskUnsupported
from backends.contract.state import VariantState

from .conftest import fleet

VARIANT = {"engine": "fake", "source": "builtin://fake", "place": {"node": "here"}}
SPLIT = {
    "task": "chat",
    "aliases": ["llm"],
    "traffic": {"stable": 80, "canary": 20},
    "variants": {"stable": VARIANT, "canary": VARIANT},
}
READY = VariantState("ready")


@pytest.fixture
def catalogue() -> Catalogue:
    return Catalogue(fleet(**{"org/llama": SPLIT, "embedder": {"task": "embed"}}))


def test_names_and_aliases(catalogue: Catalogue) -> None:
    target = catalogue.target("llm", "chat")
    assert (target.model, target.engine, target.timeout_s) == ("org/llama", "fake", 600)
    assert target.app == f"org-llama--{target.variant}"
    with pytest.raises(ModelNotFound):
        catalogue.target("gpt-9", "chat")
    with pytest.raises(TaskUnsupported):
        catalogue.target("embedder", "chat")
    with pytest.raises(InvalidRequest) as caught:
        catalogue.target("", "chat")
    assert caught.value.param == "model"


def test_weights(catalogue: Catalogue) -> None:
    seen = Counter(catalogue.target("llm", "chat").variant for _ in range(2000))
    assert 0.1 < seen["canary"] / 2000 < 0.3
    by_user = Counter(catalogue.target("llm", "chat", f"user-{n}").variant for n in range(2000))
    assert 0.15 < by_user["canary"] / 2000 < 0.25


def test_one_user_one_variant(catalogue: Catalogue) -> None:
    assert len({catalogue.target("llm", "chat", "ann").variant for _ in range(50)}) == 1


@pytest.mark.parametrize("down", [VariantState("down"), VariantState("loading"), VariantState()])
def test_a_variant_that_is_not_ready_gives_way(catalogue: Catalogue, down: VariantState) -> None:
    states = {"org-llama--stable": down, "org-llama--canary": READY}
    assert {catalogue.target("llm", "chat", None, states).variant for _ in range(30)} == {"canary"}
    assert catalogue.target("llm", "chat", "ann", states).variant == "canary"


def test_a_variant_without_traffic_never_steps_in() -> None:
    catalogue = Catalogue(fleet(m={**SPLIT, "traffic": {"stable": 100, "canary": 0}}))
    states = {"m--stable": VariantState("down"), "m--canary": READY}
    with pytest.raises(ModelDown):
        catalogue.target("m", "chat", None, states)


def test_loading_says_when_to_come_back(catalogue: Catalogue) -> None:
    loading = VariantState("loading", progress=0.25, seconds=10)
    with pytest.raises(NotReady) as caught:
        catalogue.target("embedder", "embed", None, {"embedder--main": loading})
    assert (caught.value.code, caught.value.retry_after) == ("model_loading", 30)
    assert "25%" in caught.value.message
    with pytest.raises(NotReady) as waiting:
        catalogue.target("embedder", "embed", None, {})
    assert (waiting.value.code, waiting.value.retry_after) == ("model_loading", 2)


def test_a_name_comes_before_its_state(catalogue: Catalogue) -> None:
    with pytest.raises(TaskUnsupported):
        catalogue.target("embedder", "chat", None, {})


def test_a_model_is_as_well_as_its_best_variant() -> None:
    down, loading = VariantState("down"), VariantState("loading")
    assert readiness({"a": down, "b": loading}) is loading
    assert readiness({"a": loading, "b": READY}) is READY


COLD = VariantState("cold")
MAY_BE_COLD = {**VARIANT, "scale": {"replicas": [0, 1]}}


@pytest.mark.parametrize(
    ("model", "wait_s"),
    [
        ({"scale": {"replicas": [0, 1]}}, 55),
        ({"scale": {"replicas": [0, 1]}, "wait_s": 5}, 5),
        ({"scale": {"replicas": [0, 1]}, "fallback": ["spare"]}, 0),
        ({"scale": {"replicas": [0, 1]}, "fallback": ["spare"], "wait_s": 5}, 5),
        ({}, 0),
        ({"wait_s": 5}, 5),
    ],
)
def test_how_long_a_load_is_waited_for(model: dict[str, object], wait_s: float) -> None:
    target = Catalogue(fleet(m=model, spare={})).target("m", "chat", None, {"m--main": COLD})
    assert (target.wait_s, target.patient, target.trouble is not None) == (wait_s, True, True)


def test_who_may_not_wait_is_told_at_once() -> None:
    catalogue = Catalogue(fleet(kept={}, patient={"wait_s": 5}))
    loading = {"kept--main": VariantState("loading"), "patient--main": VariantState("loading")}
    with pytest.raises(NotReady):
        catalogue.target("kept", "chat", None, loading)
    assert catalogue.target("patient", "chat", None, loading).patient
    with pytest.raises(ModelDown):
        catalogue.target("patient", "chat", None, {"patient--main": VariantState("down")})


def test_a_cold_variant_gives_way_and_wakes() -> None:
    split = {
        **SPLIT,
        "variants": {"stable": VARIANT, "canary": MAY_BE_COLD},
        "traffic": {"stable": 1, "canary": 99},
    }
    catalogue = Catalogue(fleet(m=split))
    states = {"m--stable": READY, "m--canary": COLD}
    targets = [catalogue.target("m", "chat", None, states) for _ in range(50)]
    assert {target.variant for target in targets} == {"stable"}
    assert {target.wakes for target in targets} >= {"m--canary"}
    # A load is better than nothing at all.
    states["m--stable"] = VariantState("down")
    assert {catalogue.target("m", "chat", None, states).variant for _ in range(50)} == {"canary"}


USERS = [f"user-{number}" for number in range(4000)]


def chosen(**weights: int) -> dict[str, str]:
    """Each user's variant."""
    model = {"task": "chat", "traffic": weights, "variants": dict.fromkeys(weights, VARIANT)}
    catalogue = Catalogue(fleet(m=model))
    return {user: catalogue.target("m", "chat", user).variant for user in USERS}


@pytest.mark.parametrize("sticky", [True, False])
def test_two_thousand_requests_are_split_within_three_points(sticky: bool) -> None:
    for share in (1, 10, 50, 90):
        split = {"traffic": {"stable": 100 - share, "canary": share}}
        catalogue = Catalogue(fleet(m={**SPLIT, **split}))
        users = [f"caller-{number}" if sticky else None for number in range(2000)]
        seen = Counter(catalogue.target("m", "chat", user).variant for user in users)
        assert abs(seen["canary"] / 20 - share) < 3


def test_a_growing_canary_takes_the_callers_it_needs_and_moves_nobody_else() -> None:
    before, after = chosen(stable=90, canary=10), chosen(stable=70, canary=30)
    moved = [user for user in USERS if before[user] != after[user]]
    assert {after[user] for user in moved} == {"canary"}
    assert len(moved) / len(USERS) == pytest.approx(0.2, abs=0.03)


def test_of_three_only_few_more_move_than_need_to() -> None:
    before, after = chosen(one=50, two=30, three=20), chosen(one=40, two=30, three=30)
    moved = sum(before[user] != after[user] for user in USERS)
    assert 0.08 < moved / len(USERS) < 0.14


def test_the_order_in_the_file_does_not_matter() -> None:
    assert chosen(one=50, two=30, three=20) == chosen(three=20, one=50, two=30)


def test_who_is_in_one_canary_is_not_in_all_of_them() -> None:
    catalogue = Catalogue(fleet(a=SPLIT, b={**SPLIT, "aliases": []}))
    both = Counter(
        (catalogue.target("a", "chat", user).variant, catalogue.target("b", "chat", user).variant)
        for user in USERS
    )
    assert both["canary", "canary"] / len(USERS) == pytest.approx(0.04, abs=0.02)


def test_a_variant_that_is_away_gets_its_callers_back() -> None:
    weights = {"one": 50, "two": 30, "three": 20}
    model = {"task": "chat", "traffic": weights, "variants": dict.fromkeys(weights, VARIANT)}
    catalogue = Catalogue(fleet(m=model))
    up = {f"m--{variant}": READY for variant in weights}
    away = {**up, "m--two": VariantState("down")}
    before, during, after = (
        {user: catalogue.target("m", "chat", user, states).variant for user in USERS}
        for states in (up, away, up)
    )
    assert before == after
    assert {user for user in USERS if before[user] != during[user]} == {
        user for user in USERS if before[user] == "two"
    }
