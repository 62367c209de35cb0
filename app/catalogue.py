"""Public name or alias → `Target`: existence, task, readiness, variant by weight."""

import hashlib
import math
import random
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from backends.contract.errors import InvalidRequest, ModelDown, ModelNotFound, NotReady, TaskUnsupported
from backends.contract.state import Origin, VariantState
from backends.contract.tasks import Verb
from backends.fleet.schema import Fleet, Model, app_name
from backends.fleet.traffic import Public, Weights, withdrawn


@dataclass(slots=True)
class Target:
    """Where one request goes. Made anew per request: the upstream writes `node` into it, and where
    there is one the `fingerprint` of who answered.

    `timeout_s`: the longest the request may take, its fallbacks included; `alone_s`: the model's
    own part of that. `trouble`: why the variant cannot answer now, as far as is known; with
    `fallbacks` (models' own names) that is no failure yet. `single`: the variant has one replica,
    never more. `sticky`: what the variant was chosen by. `passed`: the models that were asked in
    vain before this one, and their errors' codes.
    """

    app: str
    model: str
    variant: str
    engine: str
    task: Verb
    timeout_s: float
    node: str | None = None
    fingerprint: str | None = None
    alone_s: float = 0.0
    trouble: NotReady | None = None
    fallbacks: tuple[str, ...] = ()
    single: bool = False
    sticky: str | None = None
    passed: tuple[tuple[str, str], ...] = ()

    def alone(self) -> None:
        """Without its fallbacks. Raises its trouble, NotReady or ModelDown."""
        self.fallbacks, self.timeout_s = (), self.alone_s
        if self.trouble is not None:
            raise self.trouble

    def answered(self, by: Origin) -> None:
        self.node, self.fingerprint = by.node, by.fingerprint

    def take(self, other: "Target", spent: float, passed: Sequence[tuple[str, str]]) -> None:
        """Become `other`, who answers after `spent` seconds in which the models of `passed` did not."""
        self.app, self.model, self.variant, self.engine = other.app, other.model, other.variant, other.engine
        self.node, self.fingerprint = other.node, other.fingerprint
        self.alone_s, self.passed = other.alone_s, tuple(passed)
        self.timeout_s = spent + other.alone_s


class Catalogue:
    """The public half of the fleet: names, aliases, traffic. `since`: Unix seconds."""

    def __init__(self, fleet: Fleet) -> None:
        self.since = int(time.time())
        self.update(Public(fleet=fleet))

    @property
    def fleet(self) -> Fleet:
        return self.public.fleet

    def update(self, public: Public) -> None:
        """Take a new fleet in one step: requests in flight keep their targets."""
        fleet = public.fleet
        names = {alias: name for name, model in fleet.models.items() for alias in model.aliases}
        names.update({name: name for name in fleet.models})
        self.public, self._names = public, names

    async def shift(self, model: str, judged: Weights, weights: Weights, why: str) -> bool:
        """As `app.upstream.trials.Shift`, where nobody else must hear of it."""
        changed = withdrawn(self.public, model, judged, weights, time.time(), why)
        declared = changed is not self.public
        self.update(changed)
        return declared

    def resolve(self, public: str) -> tuple[str, Model]:
        """A name or alias → (the model's own name, the model). Raises ModelNotFound."""
        name = self._names.get(public)
        if name is None:
            raise ModelNotFound(f"The model `{public}` does not exist", param="model")
        return name, self.fleet.models[name]

    def has(self, public: str) -> bool:
        return public in self._names

    def target(
        self,
        public: str,
        task: Verb,
        sticky: str | None = None,
        states: Mapping[str, VariantState] | None = None,
    ) -> Target:
        """Choose the variant that answers: the same one for the same `sticky` (a user), else by
        weight. With `states`, a variant that is not ready gives its share to those that are.

        Raises InvalidRequest (empty name), ModelNotFound, TaskUnsupported, and, when no variant
        is ready, NotReady or ModelDown.
        """
        if not public:
            raise InvalidRequest("you must provide a model", param="model")
        name, model = self.resolve(public)
        if model.task != task:
            raise TaskUnsupported(
                f"The model `{public}` does {model.task}; this endpoint needs one that does {task}",
                param="model",
            )
        target = self.at(name, public, sticky, states)
        target.fallbacks = self._fallbacks(name)
        if target.trouble is not None and not target.fallbacks:
            raise target.trouble
        target.timeout_s += sum(self.fleet.models[other].timeout_s for other in target.fallbacks)
        return target

    def at(
        self, name: str, public: str, sticky: str | None, states: Mapping[str, VariantState] | None
    ) -> Target:
        """One model by its own name, without its fallbacks; `public` is what errors call it. What
        keeps every variant from answering is the target's `trouble`."""
        model, trouble = self.fleet.models[name], None
        variant = _choose(name, model.weights, sticky)
        if states is not None and not _state(states, name, variant).ready:
            ready = {
                other: weight
                for other, weight in model.weights.items()
                if weight and _state(states, name, other).ready
            }
            if ready:
                variant = _choose(name, ready, sticky)
            else:
                trouble = _not_ready(public, _state(states, name, variant))
        chosen, seconds = model.variants[variant], model.timeout_s
        return Target(
            app_name(name, variant), name, variant, chosen.engine, model.task, seconds,
            alone_s=seconds, trouble=trouble, sticky=sticky, single=chosen.scale.replicas == (1, 1),
        )  # fmt: skip

    def _fallbacks(self, name: str) -> tuple[str, ...]:
        """Who may answer for a model, in turn: its fallbacks, each followed by its own."""
        found: dict[str, None] = {}

        def follow(of: str) -> None:
            for other in self.fleet.models[of].fallback:
                if other not in found and other != name:
                    found[other] = None
                    follow(other)

        follow(name)
        return tuple(found)

    def states(self, name: str, states: Mapping[str, VariantState]) -> dict[str, VariantState]:
        """Of every variant of a model, by variant; `waiting` where nothing is known yet."""
        return {variant: _state(states, name, variant) for variant in self.fleet.models[name].variants}


def readiness(states: Mapping[str, VariantState]) -> VariantState:
    """A model is doing as well as the best of its variants: that one's state."""
    best = ("ready", "loading", "waiting", "down")
    return min(states.values(), key=lambda state: best.index(state.readiness))


def _state(states: Mapping[str, VariantState], model: str, variant: str) -> VariantState:
    return states.get(app_name(model, variant), VariantState())


def _not_ready(public: str, state: VariantState) -> NotReady:
    if state.readiness == "down":
        return ModelDown(f"The model `{public}` is down" + (f": {state.message}" if state.message else ""))
    if state.readiness == "waiting":
        return NotReady(f"The model `{public}` is waiting for its place")
    done = f", {state.progress:.0%} done" if state.progress is not None else ""
    left = state.seconds / state.progress - state.seconds if state.progress else 2
    said = f"The model `{public}` is loading since {state.seconds:.0f} s{done}"
    return NotReady(said, retry_after=min(max(left, 1), 60))


def _choose(model: str, weights: Mapping[str, int], sticky: str | None) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    if sticky is None:
        return random.choices(list(weights), list(weights.values()))[0]
    # Weighted rendezvous: a variant that gains takes callers from the others, and nobody else moves;
    # one that is away hands its own on, and gets them back.
    return max(weights, key=lambda variant: weights[variant] * _chance(f"{model}\0{variant}\0{sticky}"))


def _chance(key: str) -> float:
    """The same for the same key; over all keys, `weight * _chance` is largest as often as `weight` says."""
    drawn = (int.from_bytes(hashlib.sha256(key.encode()).digest()[:6]) + 0.5) / (1 << 48)
    return -1 / math.log(drawn)
