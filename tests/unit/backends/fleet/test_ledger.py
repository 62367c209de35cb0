"""Who is on which GPU, by what the replicas say."""

from backends.contract.state import Footprint, ReplicaState, VariantState
from backends.fleet.ledger import Entry, ledger
from backends.fleet.schema import Fleet

FLEET = Fleet.model_validate(
    {
        "version": 1,
        "nodes": {"card": {"vendor": "nvidia", "vram": "8Gi", "gpus": 2, "cpus": 8}, "plain": {}},
        "models": {
            name: {"task": "embed", "engine": "fake", "source": "builtin://x", "place": place}
            for name, place in {
                "half": {"node": "card", "share": 0.5},
                "other": {"node": "card", "share": 0.3},
                "both": {"node": "card", "share": 2},
                "none": {"node": "plain"},
            }.items()
        },
    }
)


def replica(pid: int, machine: str, *gpus: int, has: Footprint | None = None) -> ReplicaState:
    return ReplicaState("card", pid, machine=machine, gpus=gpus, footprint=has or Footprint())


def test_a_card_holds_what_its_replicas_have() -> None:
    states = {
        "half--main": VariantState(
            "ready", replicas=(replica(1, "m1", 1, has=Footprint(400, 300, 350, 90)),)
        ),
        "other--main": VariantState("ready", replicas=(replica(2, "m1", 1, has=Footprint(240, None)),)),
        "both--main": VariantState(
            "ready", replicas=(replica(3, "m2", 0, 1, has=Footprint(1600, 900, 800)),)
        ),
        "none--main": VariantState("ready", replicas=(ReplicaState("plain", 4, machine="m3"),)),
    }
    shared, one, two = ledger(FLEET, states)
    assert (shared.node, shared.machine, shared.gpu, shared.vram) == ("card", "m1", 1, 8 * 2**30)
    assert shared.share == 0.8
    assert shared.entries == (
        Entry("half", "main", 1, 0.5, 400, 300, 350),
        Entry("other", "main", 2, 0.3, 240, None, None),
    )
    assert (one.machine, one.gpu, two.gpu) == ("m2", 0, 1)
    assert one.entries == two.entries == (Entry("both", "main", 3, 1, 800, 450, 400),)
    assert one.share == 1


def test_nothing_runs() -> None:
    assert ledger(FLEET, {}) == []
