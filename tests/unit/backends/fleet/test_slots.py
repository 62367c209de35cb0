"""Slots in the fleet file: what follows from one, and what contradicts it."""

from collections.abc import Callable
from typing import Any

import pytest

from backends.fleet.crowding import crowding
from backends.fleet.load import load
from backends.fleet.placement import asks
from backends.fleet.problems import Problem
from backends.fleet.schema import Fleet
from backends.render.serve import serve_config

TEXT = """\
version: 1
nodes:
  laptop: {cpus: 2}
  elminster: {vendor: nvidia, gpus: 1, cpus: 8, vram: 8Gi}
slots:
  evening: {place: {node: elminster, share: 0.5}}
  desk: {place: {node: laptop}, most: 1}
models:
  a: {task: chat, engine: fake, source: builtin://fake, slot: evening, options: {needs: 3000000000}}
  b: {task: chat, engine: fake, source: builtin://fake, slot: evening, memory: 1Gi, pin: true}
  c: {task: chat, engine: fake, source: builtin://fake, slot: desk, scale: {max_ongoing: 3}}
"""


@pytest.fixture
def fleet(write: Callable[[str], Any]) -> Fleet:
    return load(write(TEXT))


def test_a_variant_has_the_place_of_its_slot(fleet: Fleet) -> None:
    a, b, c = (fleet.models[name].variants["main"] for name in "abc")
    assert a.place == b.place == fleet.slots["evening"].place
    assert [one.scale.may_be_cold for one in (a, b, c)] == [True, False, True]
    assert (c.scale.max_ongoing, fleet.holds("evening"), fleet.holds("desk")) == (3, 4 * 2**30, None)
    # What the doors are told is the same once more.
    assert Fleet.model_validate(fleet.model_dump(mode="json")) == fleet


def test_it_is_placed_once_and_is_one_application(fleet: Fleet) -> None:
    assert [(ask.model, ask.share) for ask in asks(fleet)] == [("slot evening", 0.5), ("slot desk", 0)]
    applications = {one["name"]: one for one in serve_config(fleet)["applications"]}
    assert applications.keys() == {"slot_evening", "slot_desk", "door"}
    spec = applications["slot_evening"]["args"]["spec"]
    assert spec["members"].keys() == {"a--main", "b--main"}
    assert (spec["pinned"], spec["declared"]) == (["b--main"], {"b--main": 2**30})


def test_it_takes_room_from_others(fleet: Fleet) -> None:
    slots = {**fleet.slots, "more": fleet.slots["evening"], "third": fleet.slots["evening"]}
    (finding,) = crowding(fleet.model_copy(update={"slots": slots}))
    assert (
        finding.message
        == "slot third: needs 0.5 of a GPU on elminster; slot evening 0.5 and slot more 0.5 fill it"
    )


@pytest.mark.parametrize(
    ("before", "after", "place", "said"),
    [
        ("slot: desk", "slot: dsk", "models.c.slot", "there is no slot 'dsk'"),
        ("slot: desk,", "slot: desk, place: {node: elminster},", "models.c.place", "that of the slot 'desk'"),
        ("{max_ongoing: 3}", "{replicas: [1, 1]}", "models.c.scale", "only 'max_ongoing' and 'max_queued'"),
        ("{max_ongoing: 3}", "{idle_s: 9}", "models.c.scale", "only 'max_ongoing' and 'max_queued'"),
        ("slot: desk,", "place: {node: laptop}, pin: true,", "models.c.pin", "for models in a slot"),
        (", most: 1", "", "slots.desk", "nothing says how much the slot desk holds"),
        ("share: 0.5}", "share: 0.5}, memory: 2Gi", "slots.evening.memory", "its share says what it holds"),
        ("{node: laptop}", "{node: lptop}", "slots.desk.place.node", "there is no node 'lptop'"),
        ("{node: laptop}", "{}", "slots.desk.place", "the key 'node' is missing"),
        ("memory: 1Gi", "memory: 2Gi", "models.a.slot", "takes 2.8 GiB of the slot evening, which holds 4"),
        ("needs: 3000000000", "needs: 9000000000", "models.a.slot", "share"),
        ("most: 1}", "most: 1}\n  spare: {place: {node: laptop}, most: 1}", "slots.spare", "no model is in"),
    ],
)  # fmt: skip
def test_what_cannot_be(
    before: str, after: str, place: str, said: str, found: Callable[..., list[Problem]]
) -> None:
    assert before in TEXT
    problems = found(TEXT.replace(before, after))
    if said == "share":  # told by the share itself
        assert "its share of 0.5 is 4.0 GiB" in problems[0].message
        return
    assert [one.place for one in problems] == [place]
    assert said in problems[0].message


def test_all_of_it_is_right(found: Callable[..., list[Problem]]) -> None:
    assert found(TEXT) == []
