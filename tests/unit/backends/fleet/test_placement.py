"""Nothing is placed twice, nothing too much, and what has a place finds one."""

import random

import pytest

from backends.fleet.crowding import crowding, in_the_way
from backends.fleet.placement import Ask, Machine, Placement, asks, machines, room_for, solve
from backends.fleet.schema import Fleet

SEEDS = range(200)


def ask(share: float, *nodes: str, number: int = 1, cpus: float = 0) -> Ask:
    return Ask(f"m{share:g}", "main", number, nodes or ("node",), share, cpus)


def sound(placement: Placement, wanted: list[Ask], there: list[Machine]) -> None:
    """Each replica once, on a machine of its kind, within what the machine has."""
    assert sorted([*(seat.ask for seat in placement.seats), *placement.left]) == sorted(wanted)
    for seat in placement.seats:
        assert seat.machine in there
        assert seat.machine.kind in seat.ask.nodes
        assert len(set(seat.gpus)) == len(seat.gpus) == (seat.ask.share and max(1, int(seat.ask.share)))
    for machine in there:
        seats = [seat for seat in placement.seats if seat.machine == machine]
        assert sum(seat.ask.cpus for seat in seats) <= machine.cpus + 1e-9
        for gpu in range(machine.gpus):
            assert sum(min(1, seat.ask.share) for seat in seats if gpu in seat.gpus) <= 1 + 1e-9


@pytest.mark.parametrize("seed", SEEDS)
def test_what_was_cut_from_whole_gpus_fits_them_again(seed: int) -> None:
    """A packing exists by construction: GPUs of several machines, each cut into shares at random."""
    dice = random.Random(seed)
    kinds = ["a", "b", "c"][: dice.randint(1, 3)]
    there = [
        Machine(kind, number + 1, dice.randint(1, 8), dice.randint(1, 3))
        for kind in kinds
        for number in range(dice.randint(1, 2))
    ]
    wanted: list[Ask] = []
    for machine in there:
        cores, gpus = float(machine.cpus), machine.gpus
        while gpus:
            whole = dice.randint(2, gpus) if gpus > 1 and dice.random() < 0.3 else 1
            gpus -= whole
            cuts = sorted(dice.sample(range(1, 10), dice.randint(0, 3))) if whole == 1 else []
            parts = [(end - start) / 10 for start, end in zip([0, *cuts], [*cuts, 10], strict=True)]
            for share in parts if whole == 1 else [float(whole)]:
                cpus = round(dice.uniform(0, cores), 1) if dice.random() < 0.5 else 0.0
                cores -= cpus
                nodes = {machine.kind, dice.choice(kinds)}
                wanted.append(Ask(f"m{len(wanted)}", "main", 1, tuple(sorted(nodes)), share, max(0, cpus)))
    dice.shuffle(wanted)
    placement = solve(wanted, there)
    sound(placement, wanted, there)
    assert not placement.left


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_too_much_is_left_over_for_a_reason(seed: int) -> None:
    dice = random.Random(seed)
    there = [Machine(kind, 1, 4, dice.randint(0, 2)) for kind in "ab"]
    wanted = [
        Ask(
            f"m{number}", "main", 1, ("a", "b") if dice.random() < 0.3 else (dice.choice("ab"),),
            dice.choice((0, 0.2, 0.5, 0.6, 1, 2)), dice.choice((0, 0, 1, 2)),
        )
        for number in range(dice.randint(1, 12))
    ]  # fmt: skip
    placement = solve(wanted, there)
    sound(placement, wanted, there)
    for one in placement.left:
        lack, why = in_the_way(one, there, placement.seats)
        assert lack in ("share", "cpus")
        assert why.startswith("needs ")


def test_best_fit_alone_would_not_do() -> None:
    """It puts the two of 0.4 together, and three of 0.3; the fourth of them is left over."""
    wanted = [ask(share, number=number) for number, share in enumerate((0.4, 0.4, 0.3, 0.3, 0.3, 0.3))]
    placement = solve(wanted, [Machine("node", 1, 1, 2)])
    assert not placement.left
    sound(placement, wanted, [Machine("node", 1, 1, 2)])


def test_a_share_never_spans_two_gpus_and_whole_ones_are_whole() -> None:
    node = Machine("node", 1, 8, 2)
    assert len(solve([ask(0.6, number=n) for n in range(3)], [node]).left) == 1
    (seat, small) = solve([ask(1), ask(0.1)], [node]).seats
    assert set(seat.gpus).isdisjoint(small.gpus)
    assert solve([ask(2), ask(0.1)], [node]).left == (ask(0.1),)
    assert room_for(0.5, [0.5, 0.6]) == (0,)
    assert room_for(2, [1, 0.9, 1]) == (0, 2)
    assert room_for(0.7, [0.5, 0.6]) is None
    assert room_for(0, []) == ()


def test_what_needs_no_gpu_leaves_the_cores_beside_them_free() -> None:
    plain, card = Machine("plain", 1, 2, 0), Machine("card", 1, 2, 1)
    wanted = [ask(0, "plain", "card", cpus=2), ask(1, "card", cpus=2)]
    assert [seat.machine for seat in solve(wanted, [card, plain]).seats] == [plain, card]


def test_a_thousand_nodes() -> None:
    dice = random.Random(7)
    nodes = {
        f"kind-{kind}": {"vendor": "nvidia", "gpus": 8, "cpus": 64, "count": 100, "vram": "80Gi"}
        for kind in range(10)
    }
    models = {
        f"m{number}": {
            "task": "chat", "engine": "fake", "source": "builtin://fake",
            "place": {
                "node": f"kind-{number % 10}", "share": dice.choice((0.25, 0.5, 0.3, 1, 2)), "cpus": 1,
            },
            "scale": {"replicas": [40, 40]},
        }
        for number in range(100)
    }  # fmt: skip
    fleet = Fleet.model_validate({"version": 1, "nodes": nodes, "models": models})
    placement = solve(asks(fleet), machines(fleet))
    sound(placement, asks(fleet), machines(fleet))
    assert len(placement.seats) == 4000


def test_how_many_nodes_would_do() -> None:
    fleet = Fleet.model_validate(
        {
            "version": 1,
            "nodes": {"card": {"vendor": "nvidia", "gpus": 2, "cpus": 4, "count": 2}},
            "models": {
                "big": {
                    "task": "chat", "engine": "fake", "source": "builtin://fake",
                    "place": {"node": "card", "share": 0.6}, "scale": {"replicas": [9, 9]},
                },
            },
        }
    )  # fmt: skip
    [finding] = crowding(fleet)
    assert finding.message == (
        "big, variant main, replica 5: needs 0.6 of a GPU on card; 4 × big 0.6 leave 0.4 of one"
    )
    assert finding.hint == "lower a share to fit, add a node (count: 5), or start from 0 replicas"
