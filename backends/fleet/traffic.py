"""What every door is told, and how its traffic changes while it serves. Pure.

A change is a new `Public`, declared like the one before: `backends.serve.declared` does that.
"""

from collections.abc import Mapping

from pydantic import Field

from backends.fleet.atoms import Name, PublicName, Strict
from backends.fleet.problems import did_you_mean
from backends.fleet.schema import Fleet, Model, Scale, Variant

Weights = Mapping[str, int]


class TrafficRefused(Exception):
    """A change that makes no sense for the fleet that runs; the text says why."""


class Change(Strict):
    """The last change of a model's traffic. `at`: Unix seconds; `why`: what a rollback by itself saw,
    empty where somebody asked for the change."""

    before: dict[Name, int]
    at: float
    why: str = ""


class Public(Strict):
    """The door's `user_config`. `traffic`: the last change per model, of those that were changed."""

    fleet: Fleet
    traffic: dict[PublicName, Change] = Field(default={})

    def named(self, public: str) -> tuple[str, Model]:
        """A model by its name or an alias. Raises TrafficRefused."""
        for name, model in self.fleet.models.items():
            if public == name or public in model.aliases:
                return name, model
        raise TrafficRefused(f"there is no model '{public}' ({did_you_mean(public, self.fleet.models)})")


def shifted(public: Public, model: str, weights: Weights, at: float, why: str = "") -> Public:
    """Per cent per variant; those not named get nothing. The same `Public` where that is so already.

    Raises TrafficRefused: an unknown model or variant, a negative weight, not 100 in all.
    """
    name, found = public.named(model)
    for variant in weights:
        _must_have(name, found, variant)
    if any(weight < 0 for weight in weights.values()):
        raise TrafficRefused("no variant can get less than nothing")
    if (total := sum(weights.values())) != 100:
        raise TrafficRefused(f"that makes {total} in all; it is in per cent: make it 100")
    before, after = complete(found), {variant: weights.get(variant, 0) for variant in found.variants}
    if before == after:
        return public
    change = Change(before=before, at=at, why=why)
    models = {**public.fleet.models, name: found.model_copy(update={"traffic": after})}
    return Public(
        fleet=public.fleet.model_copy(update={"models": models}), traffic={**public.traffic, name: change}
    )


def withdrawn(public: Public, model: str, judged: Weights, weights: Weights, at: float, why: str) -> Public:
    """`shifted`, unless the weights are others by now than those that were `judged`: then nothing changes."""
    found = public.fleet.models.get(model)
    if found is None or complete(found) != dict(judged):
        return public
    return shifted(public, model, weights, at, why)


def promoted(public: Public, model: str, variant: str, at: float) -> Public:
    """All traffic to one variant. Raises TrafficRefused."""
    return shifted(public, model, {variant: 100}, at)


def rolled_back(public: Public, model: str, at: float) -> Public:
    """As it was before the last change; done twice, it is as it was. Raises TrafficRefused."""
    name, _ = public.named(model)
    if name not in public.traffic:
        raise TrafficRefused(
            f"the traffic of '{name}' stands as it was deployed: there is nothing to go back to"
        )
    return shifted(public, name, public.traffic[name].before, at)


def carried(public: Public, fleet: Fleet, at: float) -> Public:
    """A newly deployed fleet in place of the one that runs: its traffic is what its file says, and where
    that differs the way back is kept, as long as there are the variants for it."""
    changes: dict[str, Change] = {}
    for name, model in fleet.models.items():
        before = public.fleet.models.get(name)
        if before is None:
            continue
        change = public.traffic.get(name)
        if complete(before) != complete(model):
            change = Change(before={one: share for one, share in before.weights.items() if share}, at=at)
        if change is not None and all(v in model.variants for v, share in change.before.items() if share):
            changes[name] = change
    return Public(fleet=fleet, traffic=changes)


def outward(fleet: Fleet) -> Fleet:
    """The fleet without what its replicas alone must know: options, and how much each takes on. So a change
    of those is none for the doors, and what stands in an option stays with its engine."""

    def half(variant: Variant) -> Variant:
        scale = variant.scale.model_copy(
            update={key: getattr(Scale(), key) for key in ("max_ongoing", "max_queued")}
        )
        return variant.model_copy(update={"options": {}, "scale": scale})

    def public(model: Model) -> Model:
        return model.model_copy(
            update={"variants": {name: half(one) for name, one in model.variants.items()}}
        )

    return fleet.model_copy(update={"models": {name: public(model) for name, model in fleet.models.items()}})


def complete(model: Model) -> dict[str, int]:
    """Per cent of every variant."""
    weights = model.weights
    return {variant: weights.get(variant, 0) for variant in model.variants}


def _must_have(name: str, model: Model, variant: str) -> None:
    if variant not in model.variants:
        hint = did_you_mean(variant, model.variants)
        raise TrafficRefused(f"'{name}' has no variant '{variant}' ({hint})")
