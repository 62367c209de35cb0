"""What a door knows of the variants: Serve's controller and the replicas as they are told, the
connection to each replica over loopback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from app.upstream.watch import Watch
from backends.contract.errors import ModelDown
from backends.contract.state import ReplicaState, VariantState
from backends.fleet.live import Node
from backends.serve.pulse import Pulse

APP = "a--main"


class Cluster:
    """Serve's word, which nothing but `serve` changes, and replicas that end without one."""

    def __init__(self) -> None:
        self.replicas: dict[str, str] = {}
        self.pulses: dict[str, Pulse] = {}
        self.felt: dict[str, str] = {}
        self.asked = 0
        self.watch = Watch(self._report, self._details, self._nodes)

    async def _details(self) -> dict[str, Any]:
        told = [
            {"replica_id": name, "state": state, "pid": 7, "node_id": "n", "start_time_s": 0.0}
            for name, state in self.replicas.items()
        ]
        deployment = {"status": "HEALTHY", "target_num_replicas": 1, "replicas": told}
        told_of = {"status": "RUNNING", "last_deployed_time_s": 0.0, "deployments": {"Replica": deployment}}
        return {"applications": {APP: told_of}}

    async def _nodes(self) -> tuple[dict[str, str], tuple[Node, ...]]:
        return {"n": "here"}, ()

    async def _report(self, app: str) -> list[VariantState]:
        self.asked += 1
        return [
            VariantState(
                "ready", replicas=(ReplicaState("here", 7, pulse=where, id=name),), facts={"of": name}
            )
            for name, where in self.felt.items()
        ]

    async def run(self, *names: str) -> None:
        for name in names:
            self.replicas[name] = "RUNNING"
            self.pulses[name] = Pulse(name)
            self.felt[name] = await self.pulses[name].start("127.0.0.1")
        await self.until(lambda: {*names} <= self.alive())

    async def end(self, name: str) -> None:
        """As a kernel ends it: no goodbye, and nobody listens any more."""
        pulse = self.pulses.pop(name)
        del self.felt[name]
        assert pulse._server is not None
        pulse._server.close()
        for door in list(pulse._doors):
            door.transport.abort()
        await self.until(lambda: name not in self.alive())

    def alive(self) -> set[str]:
        conditions = self.watch._pulses.conditions()
        return {name for name, condition in conditions.items() if condition == "alive"}

    async def until(self, true: Any) -> None:
        async with asyncio.timeout(30):
            while not true():
                await asyncio.sleep(0.01)

    @property
    def state(self) -> VariantState:
        return self.watch.states[APP]


@pytest.fixture
async def cluster() -> AsyncIterator[Cluster]:
    one = Cluster()
    one.watch.start()
    yield one
    await one.watch.close()
    for pulse in one.pulses.values():
        await pulse.close()


async def test_one_that_ends_is_down_while_serve_still_says_running(cluster: Cluster) -> None:
    await cluster.run("r1")
    assert (cluster.state.readiness, cluster.state.facts) == ("ready", {"of": "r1"})
    never: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(cluster.watch.while_up(APP, never))
    await cluster.end("r1")
    await cluster.until(lambda: cluster.state.readiness == "down")
    with pytest.raises(ModelDown):
        await waiting
    assert cluster.replicas == {"r1": "RUNNING"}
    # And stays so, however often Serve says otherwise, until there is another.
    await asyncio.sleep(1)
    assert cluster.state.readiness == "down"
    await cluster.run("r2")
    await cluster.until(lambda: cluster.state.ready)
    assert [replica.id for replica in cluster.state.replicas] == ["r2"]
    answer = asyncio.get_running_loop().create_future()
    answer.set_result("answer")
    assert await cluster.watch.while_up(APP, answer) == "answer"


async def test_one_of_two_is_no_downfall(cluster: Cluster) -> None:
    await cluster.run("r1", "r2")
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(cluster.watch.while_up(APP, answer))
    await cluster.end("r1")
    await cluster.until(lambda: len(cluster.state.replicas) == 1)
    assert (cluster.state.readiness, cluster.state.replicas[0].id) == ("ready", "r2")
    answer.set_result("by the other")
    assert await waiting == "by the other"


async def test_what_waits_for_one_that_vanished_is_dropped(cluster: Cluster) -> None:
    await cluster.run("r1")
    dropped: list[int] = []
    with cluster.watch.when_down(APP, lambda: dropped.append(1)):
        with cluster.watch.when_down(APP, lambda: dropped.append(2)):
            pass
        await cluster.end("r1")
        await cluster.until(lambda: dropped)
    assert dropped == [1]
    with cluster.watch.when_down(APP, lambda: dropped.append(3)):
        pass
    assert dropped == [1, 3]


async def test_one_that_stops_in_good_order_finishes(cluster: Cluster) -> None:
    """Serve says STOPPING; what it has in hand is waited for."""
    await cluster.run("r1")
    answer: asyncio.Future[str] = asyncio.get_running_loop().create_future()
    waiting = asyncio.create_task(cluster.watch.while_up(APP, answer))
    cluster.replicas["r1"] = "STOPPING"
    await cluster.pulses["r1"].close()
    await asyncio.sleep(1.2)
    answer.set_result("its last")
    assert await waiting == "its last"


async def test_replicas_are_asked_until_they_are_known_and_then_no_more(cluster: Cluster) -> None:
    await cluster.run("r1")
    asked = cluster.asked
    await asyncio.sleep(1.2)
    assert cluster.asked == asked
    cluster.replicas["mute"] = "RUNNING"
    await cluster.until(lambda: cluster.asked >= asked + 2)
