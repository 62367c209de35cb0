"""`/metrics`: what all doors counted, each under its name, and what the replicas say of themselves."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import accumulate
from typing import Protocol

from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from app.telemetry.metrics import Meters
from backends.contract.state import VariantState
from backends.contract.tally import WAITS, Tally

_CIRCUIT = {"closed": 0, "half-open": 0.5, "open": 1}
_REPLICA = ("app", "node", "pid")


class Doors(Protocol):
    """All doors to one fleet."""

    async def counted(self) -> Mapping[str, Sequence[Metric]]:
        """What each has counted, by a name that no other door ever has. Those that do not answer in time
        are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Alone:
    """The only door there is."""

    meters: Meters

    async def counted(self) -> Mapping[str, Sequence[Metric]]:
        return {"": self.meters.counted()}


@dataclass(frozen=True, slots=True, eq=False)  # a registry keeps it by its identity
class Page(Collector):
    """One answer. `doors`: as `Doors.counted`; where the name is empty, there is but this one."""

    doors: Mapping[str, Sequence[Metric]]
    states: Mapping[str, VariantState]

    def text(self) -> bytes:
        """Prometheus' text format."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(self)
        return generate_latest(registry)

    def collect(self) -> Iterator[Metric]:
        yield from merged(self.doors)
        yield from _variants(self.states)
        yield from _swaps(self.states)
        yield from _replicas(self.states)


def merged(doors: Mapping[str, Sequence[Metric]]) -> Iterable[Metric]:
    """One family of each name. A series keeps its door: were they added up here, the sum would fall when a
    door ends, and Prometheus take that for a restart of all."""
    families: dict[str, Metric] = {}
    for door, counted in doors.items():
        label = {"door": door} if door else {}
        for family in counted:
            whole = families.setdefault(
                family.name, Metric(family.name, family.documentation, family.type, family.unit)
            )
            for sample in family.samples:
                # Moments of making are for formats that this one is not.
                if not sample.name.endswith("_created"):
                    whole.samples.append(sample._replace(labels={**sample.labels, **label}))
    return families.values()


def _variants(states: Mapping[str, VariantState]) -> Iterator[Metric]:
    ready = GaugeMetricFamily("motley_variant_ready", "1 when it serves.", labels=["app"])
    down = GaugeMetricFamily("motley_variant_down", "1 when it died or could not start.", labels=["app"])
    circuit = GaugeMetricFamily(
        "motley_variant_circuit",
        "1 while the door that was asked leaves it alone after failures, 0.5 while one request tries it.",
        labels=["app"],
    )
    for app, state in states.items():
        ready.add_metric([app], float(state.ready))
        down.add_metric([app], float(state.readiness == "down"))
        circuit.add_metric([app], _CIRCUIT[state.circuit])
    yield ready
    yield down
    yield circuit
    yield _summed("busy", "Tasks its engines work on.", states)
    yield _summed("ongoing", "Tasks that have a place.", states)
    yield _summed("queued", "Tasks that wait for a place.", states)


def _summed(of: str, about: str, states: Mapping[str, VariantState]) -> Metric:
    gauge = GaugeMetricFamily(f"motley_variant_{of}", about, labels=["app"])
    for app, state in states.items():
        gauge.add_metric([app], sum(getattr(replica, of) for replica in state.replicas))
    return gauge


def _swaps(states: Mapping[str, VariantState]) -> Iterator[Metric]:
    labels = ("app", "instead_of")
    count = CounterMetricFamily("motley_slot_swaps", "Times it came into its slot.", labels=labels)
    seconds = CounterMetricFamily(
        "motley_slot_swap_seconds", "What they took, closing the one before included.", labels=labels
    )
    for app, state in states.items():
        for other, (times, took) in state.swaps.items():
            count.add_metric((app, other), times)
            seconds.add_metric((app, other), took)
    yield count
    yield seconds


def _replicas(states: Mapping[str, VariantState]) -> Iterator[Metric]:
    memory = GaugeMetricFamily(
        "motley_replica_memory_bytes",
        "Of a replica: granted of a card, estimated, really taken of cards (vram) and the machine (ram).",
        labels=(*_REPLICA, "of"),
    )
    queue = HistogramMetricFamily(
        "motley_queue_seconds", "What tasks waited for a place in a replica.", labels=_REPLICA
    )
    engine = _counter("engine_seconds", "Places taken in a replica, in seconds of each task.")
    wasted = _counter("wasted_engine_seconds", "… of which, after the caller had left.")
    gpu = _counter("gpu_seconds", "The same, of a GPU: times the share of it.")
    gpu_wasted = _counter("wasted_gpu_seconds", "… of which, after the caller had left.")
    for app, state in states.items():
        for replica in state.replicas:
            where = (app, replica.node, str(replica.pid))
            for of, size in asdict(replica.footprint).items():
                if size is not None:
                    memory.add_metric((*where, of), size)
            if (tally := replica.tally) is None:  # it did not report: a zero would be a restart
                continue
            queue.add_metric(where, _buckets(tally), tally.waited_s)
            engine.add_metric(where, tally.engine_s)
            wasted.add_metric(where, tally.wasted_s)
            gpu.add_metric(where, tally.engine_s * tally.share)
            gpu_wasted.add_metric(where, tally.wasted_s * tally.share)
    yield from (memory, queue, engine, wasted, gpu, gpu_wasted)


def _counter(name: str, about: str) -> CounterMetricFamily:
    return CounterMetricFamily(f"motley_{name}", about, labels=_REPLICA)


def _buckets(tally: Tally) -> list[tuple[str, float]]:
    bounds = [*map(str, WAITS), "+Inf"]
    return list(zip(bounds, map(float, accumulate(tally.waits)), strict=True))
