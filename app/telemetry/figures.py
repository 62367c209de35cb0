"""How fast each variant answers, out of what the doors counted at two moments. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from prometheus_client.core import Metric

Where = tuple[str, str]  # model, variant


@dataclass(slots=True)
class Counts:
    """Of one variant, since a door began. `seconds`, `first`: how many requests took up to so many seconds,
    in whole and until their first item."""

    requests: float = 0.0
    failed: float = 0.0
    tokens: float = 0.0
    seconds: dict[float, float] = field(default_factory=dict)
    first: dict[float, float] = field(default_factory=dict)

    def less(self, before: "Counts") -> "Counts":
        """What was counted since."""
        return Counts(
            self.requests - before.requests,
            self.failed - before.failed,
            self.tokens - before.tokens,
            {bound: count - before.seconds.get(bound, 0) for bound, count in self.seconds.items()},
            {bound: count - before.first.get(bound, 0) for bound, count in self.first.items()},
        )

    def add(self, other: "Counts") -> None:
        self.requests += other.requests
        self.failed += other.failed
        self.tokens += other.tokens
        for into, more in ((self.seconds, other.seconds), (self.first, other.first)):
            for bound, count in more.items():
                into[bound] = into.get(bound, 0) + count


# By door, as `page.Doors.counted` names them.
Seen = Mapping[str, Mapping[Where, Counts]]


@dataclass(frozen=True, slots=True)
class Figures:
    """Of one variant over some time; None where nothing was asked of it. Requests count when they have ended.
    `p50_s`, `p95_s`: seconds that a half and 95 % of all took no longer than, `first_p50_s`: to the first
    item of those that stream; between the bounds of a histogram they are interpolated."""

    requests: int
    failed: int
    tokens_per_s: float
    p50_s: float | None
    p95_s: float | None
    first_p50_s: float | None


def seen(doors: Mapping[str, Sequence[Metric]]) -> Seen:
    return {door: _counts(families) for door, families in doors.items()}


def figures(before: Seen, latest: Seen, now: Seen, seconds: float) -> dict[str, dict[str, Figures]]:
    """By model and variant. Between `before` and `now`; tokens per second of the last `seconds`, since
    `latest`. A door counts from when it was there at both moments: one that is new began at nothing, but
    nobody knows when."""
    whole, last = _between(before, now), _between(latest, now)
    told: dict[str, dict[str, Figures]] = {}
    for (model, variant), counts in whole.items():
        recent = last.get((model, variant), Counts())
        told.setdefault(model, {})[variant] = Figures(
            round(counts.requests),
            round(counts.failed),
            round(recent.tokens / seconds, 1) if seconds > 0 else 0.0,
            quantile(0.5, counts.seconds),
            quantile(0.95, counts.seconds),
            quantile(0.5, counts.first),
        )
    return told


def quantile(part: float, buckets: Mapping[float, float]) -> float | None:
    """As Prometheus' `histogram_quantile`, of cumulative counts by upper bound. What lies beyond the largest
    bound is told as that bound."""
    bounds = sorted(buckets)
    if not bounds or not (total := buckets[bounds[-1]]):
        return None
    wanted, below, counted = part * total, 0.0, 0.0
    for bound in bounds:
        if buckets[bound] >= wanted:
            if bound == float("inf"):
                return below
            within = buckets[bound] - counted
            return round(below + (bound - below) * (wanted - counted) / within, 4) if within else bound
        below, counted = bound, buckets[bound]
    return below


def _between(before: Seen, now: Seen) -> dict[Where, Counts]:
    whole: dict[Where, Counts] = {}
    for door in before.keys() & now.keys():
        for where, counts in now[door].items():
            whole.setdefault(where, Counts()).add(counts.less(before[door].get(where, Counts())))
    return whole


def _counts(families: Iterable[Metric]) -> dict[Where, Counts]:
    found: dict[Where, Counts] = {}
    for family in families:
        for sample in family.samples:
            of = sample.labels
            if "variant" not in of or "model" not in of:
                continue
            counts = found.setdefault((of["model"], of["variant"]), Counts())
            match sample.name:
                case "motley_requests_total":
                    counts.requests += sample.value
                    counts.failed += sample.value if of["status"].startswith("5") else 0
                case "motley_tokens_total" if of["kind"] == "completion":
                    counts.tokens += sample.value
                case "motley_request_seconds_bucket":
                    counts.seconds[float(of["le"])] = sample.value
                case "motley_time_to_first_token_seconds_bucket":
                    counts.first[float(of["le"])] = sample.value
    return found
