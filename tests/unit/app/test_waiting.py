"""What a replica lacks that waits for a place, as people and programs see it."""

from collections.abc import Sequence

import httpx2

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.contract.state import Footprint, ReplicaState, VariantState
from backends.fleet.live import Node
from backends.fleet.schema import Fleet

FLEET = Fleet.model_validate(
    {
        "version": 1,
        "nodes": {"elminster": {"vendor": "nvidia", "vram": "8Gi", "gpus": 1, "cpus": 8}, "drizzt": {}},
        "models": {
            name: {"task": "chat", "engine": "fake", "source": "builtin://fake", "place": place}
            for name, place in {
                "serves": {"node": "elminster", "share": 0.5},
                "third": {"node": "elminster", "share": 0.6},
                "away": {"node": "drizzt"},
            }.items()
        },
    }
)
SERVES = ReplicaState(
    "elminster", 7, machine="e", gpus=(0,), footprint=Footprint(4 * 2**30, 2**30, 2**29, 99)
)


class Cluster(LocalUpstream):
    """Of one node, on which one of three models has its place."""

    def states(self) -> dict[str, VariantState]:
        waits = VariantState(pending=1)
        ready = VariantState("ready", replicas=(SERVES,))
        return {"serves--main": ready, "third--main": waits, "away--main": waits}

    def nodes(self) -> Sequence[Node]:
        return (Node("e", "elminster", 8, 1),)


async def test_it_is_told_what_is_lacking() -> None:
    app = create_app(Settings(_env_file=None), FLEET, Cluster({}))
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://door") as client:
        ready = (await client.get("/ready")).json()["models"]
        told = (await client.get("/v1/fleet")).json()
        metrics = (await client.get("/metrics")).text
    why = {
        "serves": "",
        "third": "needs 0.6 of a GPU on elminster; serves 0.5 leaves 0.5 of one",
        "away": "no node drizzt in the cluster",
    }
    assert {name: model["stage"] for name, model in ready.items()} == why
    variants = {name: model["variants"]["main"] for name, model in told["models"].items()}
    assert {name: variant["message"] for name, variant in variants.items()} == why
    assert variants["third"]["pending"] == 1
    memory = {"granted": 4 * 2**30, "estimated": 2**30, "vram": 2**29, "ram": 99}
    assert variants["serves"]["replicas"][0]["memory"] == memory
    [card] = told["gpus"]
    assert (card["node"], card["gpu"], card["share"]) == ("elminster", 0, 0.5)
    assert card["entries"][0]["used"] == 2**29
    line = 'motley_replica_memory_bytes{app="serves--main",node="elminster",of="vram",pid="7"} 5.36870912e+08'
    assert line in metrics
