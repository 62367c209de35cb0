"""Public name or alias → `Target`: existence, task, variant by weight."""

import hashlib
import random
from dataclasses import dataclass

from backends.contract.errors import InvalidRequest, ModelNotFound, TaskUnsupported
from backends.contract.tasks import Verb
from backends.fleet.schema import Fleet, Model, app_name


@dataclass(slots=True)
class Target:
    """Where one request goes. Made anew per request: the upstream writes `node` into it."""

    app: str
    model: str
    variant: str
    engine: str
    task: Verb
    timeout_s: float
    node: str | None = None


class Catalogue:
    """The public half of the fleet: names, aliases, traffic."""

    def __init__(self, fleet: Fleet) -> None:
        self.update(fleet)

    def update(self, fleet: Fleet) -> None:
        """Take a new fleet in one step: requests in flight keep their targets."""
        names = {alias: name for name, model in fleet.models.items() for alias in model.aliases}
        names.update({name: name for name in fleet.models})
        self.fleet, self._names = fleet, names

    def resolve(self, public: str) -> tuple[str, Model]:
        """A name or alias → (the model's own name, the model). Raises ModelNotFound."""
        name = self._names.get(public)
        if name is None:
            raise ModelNotFound(f"The model `{public}` does not exist", param="model")
        return name, self.fleet.models[name]

    def has(self, public: str) -> bool:
        return public in self._names

    def target(self, public: str, task: Verb, sticky: str | None = None) -> Target:
        """Choose the variant that answers: the same one for the same `sticky` (a key or user),
        else by weight. Raises ModelNotFound, TaskUnsupported, InvalidRequest (empty name)."""
        if not public:
            raise InvalidRequest("you must provide a model", param="model")
        name, model = self.resolve(public)
        if model.task != task:
            raise TaskUnsupported(
                f"The model `{public}` does {model.task}; this endpoint needs one that does {task}",
                param="model",
            )
        variant = _choose(model.weights, sticky)
        return Target(
            app_name(name, variant), name, variant, model.variants[variant].engine, task, model.timeout_s
        )


def _choose(weights: dict[str, int], sticky: str | None) -> str:
    if len(weights) == 1:
        return next(iter(weights))
    total = sum(weights.values())
    if sticky is None:
        point = random.randrange(total)
    else:
        point = int.from_bytes(hashlib.sha256(sticky.encode()).digest()[:8]) % total
    for variant, weight in weights.items():
        point -= weight
        if point < 0:
            return variant
    raise AssertionError("weights are positive and sum to the total")
