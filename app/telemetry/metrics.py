"""What this door counts: what was asked of which variant, how soon it answered, and how it ended.

Every label has few values, none of which a caller can make: routes are the router's own, models and
variants the fleet's, methods and codes those there are. The files in `deploy/observability` are written
in these names.
"""

from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from prometheus_client import CollectorRegistry, Counter, Histogram
from prometheus_client.core import Metric
from starlette.types import ASGIApp, Receive, Scope, Send

from app.catalogue import Target
from app.telemetry.visit import Visit

_WHERE = ("verb", "model", "variant")
_SECONDS = (0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 300)
_BETWEEN = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.035, 0.05, 0.075, 0.1, 0.2, 0.5, 1)
_METHODS = frozenset({"GET", "POST", "DELETE", "PUT", "PATCH", "OPTIONS", "HEAD"})


class Meters:
    """One set per app, in a registry of its own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.http = self._counter("http_requests", "All requests.", "method", "route", "status")
        self.refused = self._counter(
            "refused", "Requests that reached no model, by the error's code.", "route", "code"
        )
        self.requests = self._counter("requests", "Requests that reached a model.", *_WHERE, "status")
        self.seconds = self._histogram("request_seconds", "Whole requests.", *_WHERE)
        self.first = self._histogram(
            "time_to_first_token_seconds",
            "Of answers that stream: to the first token, sound or segment.",
            *_WHERE,
        )
        self.between = self._histogram(
            "inter_token_latency_seconds",
            "Of chats that stream: between two tokens, the mean of each request.",
            *_WHERE,
            buckets=_BETWEEN,
        )
        self.cold = self._histogram(
            "cold_start_seconds", "What requests waited until their model was loaded.", *_WHERE
        )
        self.tokens = self._counter("tokens", "Tokens, by the models' own count.", *_WHERE, "kind")
        self.audio = self._counter("audio_seconds", "Seconds of audio, heard or spoken.", *_WHERE, "kind")
        self.characters = self._counter("characters", "Characters of texts to speak.", *_WHERE)
        self.cut = self._counter("streams_cut", "Streams that began and broke off.", *_WHERE, "reason")
        self.fallbacks = self._counter(
            "fallbacks",
            "Requests for `model` that it could not answer, and `fallback` did.",
            *("verb", "model", "fallback", "reason"),
        )
        self.retries = self._counter("retries", "Requests asked once more, elsewhere.", *_WHERE, "reason")
        self.steps = self._histogram(
            "step_seconds",
            "Steps of chains; `code` is ok, left, or an error's.",
            *("chain", "step", "model", "code"),
        )
        self.rollbacks = self._counter(
            "rollbacks",
            "Traffic that this door took from a `variant` that did worse.",
            *("model", "variant", "reason"),
        )
        self.captured = self._counter(
            "captured", "Requests with their answers: written, dropped, failed.", "outcome"
        )
        self._series = lru_cache(1024)(self._of)

    def rolled_back(self, model: str, variant: str, reason: str) -> None:
        self.rollbacks.labels(model, variant, reason).inc()

    def stepped(self, chain: str, step: str, model: str, code: str, seconds: float) -> None:
        self.steps.labels(chain, step, model, code).observe(seconds)

    def kept(self, outcome: str, exchanges: int) -> None:
        self.captured.labels(outcome).inc(exchanges)

    def counted(self) -> Sequence[Metric]:
        """All of it now. Can be pickled."""
        return list(self.registry.collect())

    def count(self, visit: Visit, method: str, route: str) -> None:
        """Take down a visit that has ended."""
        status = str(visit.status or 499)
        method = method if method in _METHODS else "other"
        self._series(self.http, method, route, status).inc()
        if visit.target is not None:
            self._answered(visit, visit.target, status)
        elif visit.code:
            self._series(self.refused, route, visit.code).inc()

    def _answered(self, visit: Visit, target: Target, status: str) -> None:
        where, of = (target.task, target.model, target.variant), self._series
        of(self.requests, *where, status).inc()
        of(self.seconds, *where).observe(visit.elapsed())
        if visit.streams and visit.first is not None:
            of(self.first, *where).observe(visit.first - visit.started)
            if visit.between is not None:
                of(self.between, *where).observe(visit.between)
        if target.cold_s:
            of(self.cold, *where).observe(target.cold_s)
        amounts = (
            (self.tokens, "prompt", visit.usage.prompt_tokens),
            (self.tokens, "completion", visit.usage.completion_tokens),
            (self.audio, "heard", visit.heard_s),
            (self.audio, "spoken", visit.spoken_s),
        )
        for counter, kind, amount in amounts:
            if amount:
                of(counter, *where, kind).inc(amount)
        if visit.characters:
            of(self.characters, *where).inc(visit.characters)
        if visit.cut is not None:
            of(self.cut, *where, visit.cut).inc()
        if target.retried is not None:
            of(self.retries, *where, target.retried).inc()
        for model, reason in target.passed:
            of(self.fallbacks, target.task, model, target.model, reason).inc()

    def _of(self, family: Any, *labels: str) -> Any:
        """One series. `labels()` takes a lock and makes a key anew, each time: a third of what counting
        costs."""
        return family.labels(*labels)

    def _counter(self, name: str, about: str, *labels: str) -> Counter:
        return Counter(f"motley_{name}", about, labels, registry=self.registry)

    def _histogram(
        self, name: str, about: str, *labels: str, buckets: Sequence[float] = _SECONDS
    ) -> Histogram:
        return Histogram(f"motley_{name}", about, labels, buckets=buckets, registry=self.registry)


class Metered:
    """Counts each visit when it has ended. Stands where a path has lost its alias."""

    def __init__(self, app: ASGIApp, meters: Meters) -> None:
        self.app, self.meters = app, meters

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self.app(scope, receive, send)
        finally:
            if scope["type"] == "http":
                self.meters.count(Visit.of(scope), scope["method"], routed(scope))


def routed(scope: Scope) -> str:
    """The route's pattern, which the router has left in the scope; `none` where it found none."""
    return getattr(scope.get("route"), "path", "none")
