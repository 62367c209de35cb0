"""The fleet beside the nodes that are there."""

from typing import Any

import pytest

from backends.contract.state import ReplicaState, VariantState
from backends.fleet.live import Node, explained, lacking, on_these, reasons
from backends.fleet.schema import Fleet

ELMINSTER = Node("e", "elminster", 8, 1)
DRIZZT = Node("d", "drizzt", 8, 1)


def fleet(**shares: float) -> Fleet:
    """Models on elminster with these shares, and `bge` on drizzt with 0.8."""
    places: dict[str, Any] = {name: {"node": "elminster", "share": share} for name, share in shares.items()}
    places["bge"] = {"node": "drizzt", "share": 0.8, "cpus": 2}
    card = {"vendor": "nvidia", "vram": "8Gi", "gpus": 1, "cpus": 8}
    return Fleet.model_validate(
        {
            "version": 1,
            "nodes": {"elminster": card, "drizzt": card},
            "models": {
                name: {"task": "embed", "engine": "fake", "source": "builtin://x", "place": place}
                for name, place in places.items()
            },
        }
    )


def serves(machine: str, node: str, *gpus: int) -> VariantState:
    return VariantState("ready", replicas=(ReplicaState(node, 1, machine=machine, gpus=gpus),))


WAITS = VariantState(pending=1)


def test_the_cluster_has_what_the_fleet_says() -> None:
    assert lacking(fleet(), [ELMINSTER, DRIZZT]) == []
    placement, waits = on_these(fleet(whisper=0.5), [ELMINSTER, DRIZZT])
    assert (len(placement.seats), waits) == (2, [])


@pytest.mark.parametrize(
    ("nodes", "said"),
    [
        ([ELMINSTER], ["no node drizzt in the cluster"]),
        (
            [Node("e", "elminster", 4, 0), DRIZZT],
            [
                "elminster: the fleet says 1 gpus, the cluster has 0",
                "elminster: the fleet says 8 cpus, the cluster has 4",
            ],
        ),
        ([ELMINSTER, DRIZZT, Node("x", "", 1, 0)], ["not in the fleet: unlabelled"]),
    ],
)
def test_what_the_cluster_lacks(nodes: list[Node], said: list[str]) -> None:
    assert lacking(fleet(), nodes) == said


def test_fewer_nodes_of_a_kind() -> None:
    more = fleet().model_dump()
    more["nodes"]["drizzt"]["count"] = 3
    assert lacking(Fleet.model_validate(more), [ELMINSTER, DRIZZT]) == [
        "drizzt: 1 of 3 nodes are in the cluster"
    ]


def test_who_would_wait_on_these_nodes() -> None:
    _, waits = on_these(fleet(whisper=0.5), [Node("e", "elminster", 8, 0)])
    assert waits == [
        "whisper, variant main, replica 1: needs 0.5 of a GPU on elminster, which has 0",
        "bge, variant main, replica 1: no node drizzt in the cluster",
    ]


def test_why_a_replica_waits() -> None:
    states = {
        "whisper--main": serves("e", "elminster", 0),
        "xtts--main": serves("e", "elminster"),
        "third--main": WAITS,
        "bge--main": WAITS,
    }
    of = fleet(whisper=0.5, xtts=0.5, third=0.5)
    assert reasons(of, [ELMINSTER], states) == {
        "third--main": "needs 0.5 of a GPU on elminster; whisper 0.5 and xtts 0.5 fill it",
        "bge--main": "no node drizzt in the cluster",
    }
    # The node is back, and the replica only just being started there.
    assert "bge--main" not in reasons(of, [ELMINSTER, DRIZZT], states)


def test_a_share_finds_no_room_on_two_halves() -> None:
    states = {"a--main": serves("e", "elminster", 0), "b--main": serves("e", "elminster", 1)}
    two = Node("e", "elminster", 8, 2)
    waiting = {**states, "c--main": WAITS}
    why = "needs 0.6 of a GPU on elminster; a 0.5 and b 0.5 leave 0.5 of one"
    assert reasons(fleet(a=0.5, b=0.5, c=0.6), [two], waiting) == {"c--main": why}
    # Had they been put on one, it would have had the other.
    together = {**waiting, "b--main": serves("e", "elminster", 0)}
    assert reasons(fleet(a=0.5, b=0.5, c=0.6), [two], together) == {}


def test_a_ready_variant_may_lack_a_replica() -> None:
    states = {
        "a--main": VariantState("ready", replicas=(ReplicaState("elminster", 1, machine="e"),), pending=1)
    }
    why = "needs 0.8 of a GPU on elminster; a 0.8 leaves 0.2 of one"
    assert reasons(fleet(a=0.8), [ELMINSTER, DRIZZT], states) == {"a--main": why}


def test_what_is_not_deployed_waits_for_nothing() -> None:
    assert reasons(fleet(a=0.5), [], {}) == {}


def test_who_is_down_without_a_word_was_ended() -> None:
    states = {
        "a--main": VariantState("down"),
        "b--main": VariantState("down", message="needs 5 GiB"),
        "c--main": VariantState("loading"),
    }
    told = explained(fleet(a=0.2, b=0.2, c=0.2), [ELMINSTER], states)
    assert "process ended" in told["a--main"].message
    assert told["b--main"] == states["b--main"]
    assert told["c--main"] == states["c--main"]
