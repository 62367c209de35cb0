"""A node's raylet is killed under load on all five verbs: the other nodes' models go on, its own answer
503 soon, nobody hangs, and they are back when it is."""

from collections.abc import Iterator

import psutil
import pytest

from tests.ray.faults import BOTH, FAR, NEAR, ROOMS, Load, burning, kill
from tests.ray.nodes import Nodes, serving


@pytest.fixture(scope="module")
def nodes() -> Iterator[Nodes]:
    with serving(ROOMS) as nodes:
        yield nodes


def test_no_false_alarm_on_a_full_cpu(nodes: Nodes) -> None:
    """A few seconds of it; `python -m bench.fleet calm` takes minutes."""
    load = Load(nodes.url)
    with burning(psutil.cpu_count() or 2), load.running(every=1.0):
        load.until(lambda: all(len(load.of(model)) >= 4 for model in (*FAR, *NEAR, BOTH)), 120)
    assert {one.status for one in load.of(*FAR, *NEAR, BOTH)} == {200}


def test_a_node_dies_and_comes_back(nodes: Nodes) -> None:
    there = {one["node"] for one in replicas(nodes, BOTH)}
    assert there == {"near", "far"}
    death = kill(nodes, "far")
    print(f"\n{death.told()}")
    assert not death.errors
    # Sound that was on its way ends without its last piece: nothing else can say that it is not whole.
    assert {(one.model, one.code) for one in death.cut} <= {("espeak-ng", "RemoteProtocolError")}
    assert len(death.cut) <= 1
    assert death.codes <= {"model_down", "model_loading"}
    assert death.retry_after >= 1
    assert death.refused <= 3 + death.stalled
    assert death.hung <= 5 + death.stalled
    assert death.waited <= 5 + death.stalled
    assert death.back <= death.loads + 20 + death.stalled
    assert {one["node"] for one in replicas(nodes, BOTH)} >= {"near"}


def replicas(nodes: Nodes, model: str) -> list[dict[str, object]]:
    (variant,) = nodes.models()[model]["variants"].values()
    found: list[dict[str, object]] = variant["replicas"]
    return found
