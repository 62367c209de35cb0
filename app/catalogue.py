"""Public name or alias → `Target`: existence, task, readiness, variant by weight."""

import asyncio
import hashlib
import math
import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from backends.contract.errors import (
    Forbidden,
    InvalidRequest,
    ModelDown,
    ModelNotFound,
    NotReady,
    TaskUnsupported,
)
from backends.contract.state import Origin, Readiness, VariantState
from backends.contract.tasks import Verb
from backends.fleet.schema import Fleet, Model, app_name
from backends.fleet.steps import Part, Steps
from backends.fleet.traffic import Public, Weights, withdrawn

READY: frozenset[Readiness] = frozenset({"ready"})
# What a load will end, or does already.
COMING: frozenset[Readiness] = frozenset({"cold", "loading", "waiting"})
BEST: tuple[Readiness, ...] = ("ready", "loading", "cold", "waiting", "down")
# What stands in a chain's target in the place of a variant and its engine.
CHAIN = "chain"


@dataclass(slots=True)
class Bill:
    """What a request has taken of GPUs, whoever was asked on its way: share x seconds."""

    gpu_s: float = 0.0


@dataclass(slots=True)
class Target:
    """Where one request goes. Made anew per request: the upstream writes `node` into it, and where
    there is one the `fingerprint` of who answered.

    `timeout_s`: the longest the request may take, its fallbacks included; `alone_s`: the model's
    own part of that. `trouble`: why the variant cannot answer now, as far as is known; with
    `fallbacks` (models' own names) that is no failure yet, and where it is `patient` a load may end it,
    for which the request may wait `wait_s` (`held` is set while it does). `wakes`: the application of a
    cold variant whose turn it was, to be loaded while this one answers. `single`: the variant has one
    replica, never more. `sticky`: what the variant was chosen by. `retried`: why it was asked a second
    time. `passed`: the models that were asked in vain before this one, and their errors' codes. `asked`:
    the name that errors call it by. `chain`: the steps of a model that is made of others (it has no `app`);
    `steps`: who was asked on its way, `label=model/variant` each. `cold_s`: how long the request has waited
    for a load. `bill`: one for all that one request asks.
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
    retried: str | None = None
    passed: tuple[tuple[str, str], ...] = ()
    asked: str = ""
    patient: bool = False
    wait_s: float = 0.0
    wakes: str | None = None
    chain: Steps | None = None
    steps: list[str] = field(default_factory=list)
    cold_s: float = 0.0
    held: asyncio.Event = field(default_factory=asyncio.Event, compare=False, repr=False)
    bill: Bill = field(default_factory=Bill, compare=False, repr=False)

    def alone(self) -> None:
        """Without its fallbacks. Raises its trouble, NotReady or ModelDown, unless that may be waited for."""
        self.fallbacks, self.timeout_s = (), self.alone_s
        if self.trouble is not None and not self.patient:
            raise self.trouble

    def answered(self, by: Origin) -> None:
        self.node, self.fingerprint = by.node, by.fingerprint

    def move(self, other: "Target", why: str) -> None:
        """Be asked once more: at `other`, another variant of the same model, or at itself."""
        self.app, self.variant, self.engine = other.app, other.variant, other.engine
        self.node, self.fingerprint, self.single, self.retried = None, None, other.single, why
        self.trouble, self.wakes, self.wait_s = None, None, other.wait_s

    def take(self, other: "Target", spent: float, passed: Sequence[tuple[str, str]]) -> None:
        """Become `other`, who answers after `spent` seconds in which the models of `passed` did not."""
        self.app, self.model, self.variant, self.engine = other.app, other.model, other.variant, other.engine
        self.node, self.fingerprint = other.node, other.fingerprint
        self.retried = other.retried
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
        may: Callable[[str], bool] | None = None,
    ) -> Target:
        """Choose the variant that answers: the same one for the same `sticky` (a user), else by
        weight. With `states`, a variant that is not ready gives its share to those that are. `may`: whether
        the caller may use a model, by its own name; a fallback that he may not use is none for him.

        Raises InvalidRequest (empty name), ModelNotFound, Forbidden, TaskUnsupported, and, when no variant is
        ready or may be waited for, NotReady or ModelDown.
        """
        if not public:
            raise InvalidRequest("you must provide a model", param="model")
        name, model = self.resolve(public)
        if may is not None and not may(name):
            raise Forbidden(f"This API key may not use the model `{public}` so", param="model")
        if model.task != task:
            raise TaskUnsupported(
                f"The model `{public}` does {model.task}; this endpoint needs one that does {task}",
                param="model",
            )
        if model.steps is not None:
            return self._chain(name, public, sticky)
        target = self.at(name, public, sticky, states)
        target.fallbacks = tuple(other for other in self._fallbacks(name) if may is None or may(other))
        if target.trouble is not None and not target.patient and not target.fallbacks:
            raise target.trouble
        target.timeout_s += sum(self.fleet.models[other].timeout_s for other in target.fallbacks)
        return target

    def _chain(self, name: str, public: str, sticky: str | None) -> Target:
        """Whether its steps can be taken is found out step by step."""
        model = self.fleet.models[name]
        return Target(
            "", name, CHAIN, CHAIN, model.task, model.timeout_s,
            alone_s=model.timeout_s, sticky=sticky, asked=public, chain=model.steps,
            wait_s=sum(one.patience(one.home) for one in map(self.fleet.models.get, self.below(name)) if one),
        )  # fmt: skip

    def parts(self, name: str) -> list[Part]:
        """The steps of a chain, each with its model's own name; none of another model."""
        model = self.fleet.models[name]
        parts = model.steps.parts(model.task) if model.steps is not None else []
        return [part._replace(model=self.resolve(part.model)[0]) for part in parts]

    def below(self, name: str) -> list[str]:
        """The models with engines that a model is made of; itself, where it is no chain."""
        parts = self.parts(name)
        if not parts:
            return [name]
        return list(dict.fromkeys(below for part in parts for below in self.below(part.model)))

    def at(
        self, name: str, public: str, sticky: str | None, states: Mapping[str, VariantState] | None
    ) -> Target:
        """One model by its own name, without its fallbacks; `public` is what errors call it. What
        keeps every variant from answering is the target's `trouble`."""
        model, trouble, wakes = self.fleet.models[name], None, None
        variant = _choose(name, model.weights, sticky)
        state = VariantState("ready") if states is None else _state(states, name, variant)
        if states is not None and not state.ready:
            able = _among(model, name, states, READY)
            if able and state.readiness == "cold":
                wakes = app_name(name, variant)
            if not able and state.readiness == "down":
                able = _among(model, name, states, COMING)
            if able:
                variant = _choose(name, able, sticky)
                state = _state(states, name, variant)
            if not state.ready:
                trouble = not_ready(public, state)
        target = self._made(name, variant, sticky)
        target.patient = state.readiness == "cold" or (state.readiness in COMING and target.wait_s > 0)
        target.asked, target.trouble, target.wakes = public, trouble, wakes
        return target

    def another(self, target: Target, states: Mapping[str, VariantState]) -> Target | None:
        """Another variant of the same model that is ready, by weight; None where there is none."""
        model = self.fleet.models.get(target.model)
        able = _among(model, target.model, states, READY) if model is not None else {}
        able.pop(target.variant, None)
        return (
            self._made(target.model, _choose(target.model, able, target.sticky), target.sticky)
            if able
            else None
        )

    def _made(self, name: str, variant: str, sticky: str | None) -> Target:
        model = self.fleet.models[name]
        chosen, seconds = model.variants[variant], model.timeout_s
        return Target(
            app_name(name, variant), name, variant, chosen.engine, model.task, seconds,
            alone_s=seconds, sticky=sticky, single=chosen.slot is not None or chosen.scale.replicas == (1, 1),
            wait_s=model.patience(variant),
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

    def state(self, name: str, states: Mapping[str, VariantState]) -> VariantState:
        """Of a model, that of the best of its variants; of a chain, of the model in it that does worst."""
        models = {below: readiness(self.states(below, states)) for below in self.below(name)}
        if (chain := app_name(name, CHAIN)) in states and self.fleet.models[name].steps is not None:
            models[name] = states[chain]
        worst = max(models, key=lambda below: BEST.index(models[below].readiness))
        if worst == name:
            return models[worst]
        message = f"{worst}: {models[worst].message}" if models[worst].message else ""
        return replace(models[worst], message=message, facts={}, replicas=())


def readiness(states: Mapping[str, VariantState]) -> VariantState:
    """A model is doing as well as the best of its variants: that one's state."""
    return min(states.values(), key=lambda state: BEST.index(state.readiness))


def _state(states: Mapping[str, VariantState], model: str, variant: str) -> VariantState:
    return states.get(app_name(model, variant), VariantState())


def _among(
    model: Model, name: str, states: Mapping[str, VariantState], those: frozenset[Readiness]
) -> dict[str, int]:
    """The weights of the variants that have some and are in one of those states."""
    return {
        variant: weight
        for variant, weight in model.weights.items()
        if weight and _state(states, name, variant).readiness in those
    }


def not_ready(public: str, state: VariantState) -> NotReady:
    """Why it cannot answer, and when to come back."""
    if state.readiness == "down":
        why = f": {state.message}" if state.message else ""
        return ModelDown(f"The model `{public}` is down{why}", retry_after=state.retry_s)
    if state.readiness == "waiting":
        return NotReady(f"The model `{public}` is waiting for its place")
    if state.readiness == "cold":
        return NotReady(f"The model `{public}` is cold, and begins to load")
    said = f"The model `{public}` is loading since {state.seconds:.0f} s"
    if not state.progress:
        return NotReady(said)
    left = state.seconds / state.progress - state.seconds
    return NotReady(
        f"{said}, {state.progress:.0%} done, about {left:.0f} s left", retry_after=min(max(left, 1), 60)
    )


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
