"""Prometheus: what was asked of which variant, how soon it answered, and how it ended."""

from collections.abc import Iterator, Mapping
from dataclasses import asdict

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, Metric
from prometheus_client.registry import Collector
from starlette.types import ASGIApp, Receive, Scope, Send

from app.telemetry.visit import Visit
from backends.contract.state import VariantState

_WHERE = ("verb", "model", "variant")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_CIRCUIT = {"closed": 0, "half-open": 0.5, "open": 1}


class Meters:
    """One set per app, in a registry of its own: labels are the fleet's names, so they are few."""

    def __init__(self) -> None:
        registry = self.registry = CollectorRegistry()
        self.requests = Counter(
            "motley_requests", "Requests that reached a model.", (*_WHERE, "status"), registry=registry
        )
        self.seconds = Histogram(
            "motley_request_seconds", "Whole requests.", _WHERE, buckets=_SECONDS, registry=registry
        )
        self.first = Histogram(
            "motley_first_item_seconds", "To the first item.", _WHERE, buckets=_SECONDS, registry=registry
        )
        self.tokens = Counter("motley_tokens", "Tokens.", (*_WHERE, "kind"), registry=registry)
        self.cut = Counter(
            "motley_streams_cut", "Streams that began and broke off.", (*_WHERE, "reason"), registry=registry
        )
        self.fallbacks = Counter(
            "motley_fallbacks",
            "Requests for `model` that it could not answer, and `fallback` did.",
            ("verb", "model", "fallback", "reason"),
            registry=registry,
        )
        self.retries = Counter(
            "motley_retries", "Requests asked once more, elsewhere.", (*_WHERE, "reason"), registry=registry
        )
        self.steps = Histogram(
            "motley_step_seconds",
            "Steps of chains; `code` is ok, left, or an error's.",
            ("chain", "step", "model", "code"),
            buckets=_SECONDS,
            registry=registry,
        )
        self.rollbacks = Counter(
            "motley_rollbacks",
            "Traffic that this door took from a `variant` that did worse.",
            ("model", "variant", "reason"),
            registry=registry,
        )
        self.ready = Gauge("motley_variant_ready", "1 when it serves.", ("app",), registry=registry)
        self.busy = Gauge("motley_variant_busy", "Tasks its engines work on.", ("app",), registry=registry)
        self.queued = Gauge("motley_variant_queued", "Tasks that wait.", ("app",), registry=registry)
        self.memory = Gauge(
            "motley_replica_memory_bytes",
            "Of a replica: granted of a card, estimated, really taken of cards (vram) and the machine (ram).",
            ("app", "node", "pid", "of"),
            registry=registry,
        )
        self.circuit = Gauge(
            "motley_variant_circuit",
            "1 while it is left alone after many failures, 0.5 while one request tries it.",
            ("app",),
            registry=registry,
        )

        self.swapped = _Swapped()
        registry.register(self.swapped)

    def rolled_back(self, model: str, variant: str, reason: str) -> None:
        self.rollbacks.labels(model, variant, reason).inc()

    def stepped(self, chain: str, step: str, model: str, code: str, seconds: float) -> None:
        self.steps.labels(chain, step, model, code).observe(seconds)

    def count(self, visit: Visit) -> None:
        """Take down a visit that has ended. One that reached no model is HTTP's to count."""
        target = visit.target
        if target is None:
            return
        where = (target.task, target.model, target.variant)
        self.requests.labels(*where, str(visit.status or 499)).inc()
        self.seconds.labels(*where).observe(visit.elapsed())
        for model, reason in target.passed:
            self.fallbacks.labels(target.task, model, target.model, reason).inc()
        if target.retried is not None:
            self.retries.labels(*where, target.retried).inc()
        if visit.first is not None:
            self.first.labels(*where).observe(visit.first - visit.started)
        if visit.usage.prompt_tokens:
            self.tokens.labels(*where, "prompt").inc(visit.usage.prompt_tokens)
        if visit.usage.completion_tokens:
            self.tokens.labels(*where, "completion").inc(visit.usage.completion_tokens)
        if visit.cut is not None:
            self.cut.labels(*where, visit.cut).inc()

    def render(self, states: Mapping[str, VariantState]) -> bytes:
        """Prometheus' text format."""
        for gauge in (self.ready, self.busy, self.queued, self.memory, self.circuit):
            gauge.clear()
        self.swapped.states = states
        for app, state in states.items():
            self.ready.labels(app).set(state.ready)
            self.busy.labels(app).set(sum(replica.busy for replica in state.replicas))
            self.queued.labels(app).set(sum(replica.queued for replica in state.replicas))
            self.circuit.labels(app).set(_CIRCUIT[state.circuit])
            for replica in state.replicas:
                for of, size in asdict(replica.footprint).items():
                    if size is not None:
                        self.memory.labels(app, replica.node, str(replica.pid), of).set(size)
        return generate_latest(self.registry)


class _Swapped(Collector):
    """What its process has counted of each model in a slot: no door has seen all of it."""

    def __init__(self) -> None:
        self.states: Mapping[str, VariantState] = {}

    def collect(self) -> Iterator[Metric]:
        labels = ("app", "instead_of")
        count = CounterMetricFamily("motley_slot_swaps", "Times it came into its slot.", labels=labels)
        seconds = CounterMetricFamily(
            "motley_slot_swap_seconds", "What they took, closing the one before included.", labels=labels
        )
        for app, state in self.states.items():
            for other, (times, took) in state.swaps.items():
                count.add_metric((app, other), times)
                seconds.add_metric((app, other), took)
        yield count
        yield seconds


class Metered:
    """Counts each visit when it has ended."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app, self.meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                self.meters.count(Visit.of(scope))
