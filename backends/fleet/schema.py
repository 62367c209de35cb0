"""The first ring: the shape of `fleet.yaml`. Unknown keys are refused everywhere.

Whether the parts agree with one another is `agree.py`; whether the engines accept their
options is `engines.py`; reading a file, with line numbers, is `load.py`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import (
    Discriminator,
    Field,
    GetJsonSchemaHandler,
    Tag,
    ValidationInfo,
    field_validator,
    model_validator,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import PydanticCustomError

from backends.contract.engine import GpuShare, Vendor
from backends.contract.tasks import Verb
from backends.fleet.atoms import Name, Number, PublicName, Strict, Whole
from backends.fleet.steps import Steps
from backends.sizes import SIZE, size_in_bytes

Size = Annotated[str, Field(pattern=SIZE, examples=["8Gi"])]

# A little less than the minute that proxies and load balancers often give a silent request.
PATIENCE_S = 55.0


class Node(Strict):
    """A kind of node: Ray labels here, a worker group under KubeRay."""

    vendor: Vendor = "cpu"
    card: str | None = Field(None, description="The card's name, for people.")
    vram: Size | None = Field(None, description="Memory of one GPU.")
    gpus: Whole = Field(0, ge=0, description="GPUs per node of this kind.")
    cpus: Whole = Field(1, ge=1, description="CPU cores per node of this kind.")
    memory: Size | None = None
    image: str | None = Field(None, description="Which of Motley's images this kind runs.")
    count: Whole = Field(1, ge=1, le=1000, description="How many nodes of this kind there are.")

    @model_validator(mode="after")
    def _gpus_have_a_vendor(self) -> "Node":
        if (self.vendor == "cpu") != (self.gpus == 0):
            raise ValueError("a node with gpus names its vendor (nvidia, amd, intel); one without is `cpu`")
        return self


def _one_or_several(node: Any) -> str:
    return "several" if isinstance(node, list | tuple) else "one"


# Discriminated, so that a bad name in a list is not also "not a string".
Kinds = Annotated[
    Annotated[Name, Tag("one")] | Annotated[tuple[Name, ...], Field(min_length=1), Tag("several")],
    Discriminator(_one_or_several),
]


def _listed(kinds: str | tuple[str, ...]) -> tuple[str, ...]:
    return (kinds,) if isinstance(kinds, str) else kinds


class Place(Strict):
    """Where a variant runs: one kind of node, or any of several."""

    node: Kinds = Field(description="A key of `nodes`, or a list of them: any of those.")
    share: Number = Field(0, ge=0, description="A fraction of one GPU, or a whole number of GPUs.")
    cpus: Number = Field(0, ge=0, description="CPU cores to reserve; 0 reserves none.")

    @property
    def nodes(self) -> tuple[str, ...]:
        return _listed(self.node)

    @model_validator(mode="after")
    def _fraction_or_whole(self) -> "Place":
        if self.share > 1 and self.share != int(self.share):
            raise ValueError("share must be a fraction up to 1 or a whole number of GPUs")
        return self


class Scale(Strict):
    """How many replicas, when there are more or fewer of them, and how much each takes on at once."""

    replicas: tuple[Whole, Whole] = Field(
        (1, 1), description="At least, at most. Where it begins at 0, a request loads the model."
    )
    target_ongoing: Whole = Field(8, ge=1, description="Requests per replica that autoscaling aims at.")
    window_s: Number = Field(
        10, ge=2, description="Seconds over which the requests are averaged that autoscaling counts."
    )
    up_delay_s: Number = Field(
        10, ge=0, description="Seconds of too many requests before a replica is added."
    )
    down_delay_s: Number = Field(
        300, ge=0, description="Seconds of too few requests before one is taken away."
    )
    idle_s: Number = Field(
        300, gt=0, description="Seconds without a request before the last replica stops, if it may."
    )
    max_ongoing: Whole = Field(16, ge=1, description="Requests one replica runs at once.")
    max_queued: Whole = Field(64, ge=0, description="Requests that wait at one replica; one more gets 503.")

    @property
    def may_be_cold(self) -> bool:
        """No replica is kept for nobody."""
        return self.replicas[0] == 0

    @model_validator(mode="after")
    def _in_order(self) -> "Scale":
        low, high = self.replicas
        if not 0 <= low <= high or high < 1:
            raise ValueError("replicas is [at least, at most], with 0 ≤ least ≤ most and most ≥ 1")
        return self

    @model_validator(mode="after")
    def _to_some_effect(self) -> "Scale":
        """A default says nothing; anything else would be ignored in silence."""
        low, high = self.replicas
        if low and self._differs("idle_s"):
            raise ValueError("idle_s needs replicas that begin at 0: with at least one, none goes when idle")
        for name in ("window_s", "up_delay_s", "down_delay_s"):
            if max(1, low) == high and self._differs(name):
                raise ValueError(f"{name} needs replicas that may become more than {high}")
        return self

    def _differs(self, name: str) -> bool:
        return bool(getattr(self, name) != type(self).model_fields[name].default)


class Slot(Strict):
    """One place for several variants, which take turns in it. What it holds at once is what the place grants
    of a card, or else `memory`."""

    place: Place
    memory: Size | None = Field(
        None,
        description="What it holds at once, where the place grants nothing of a card, or none of known size.",
    )
    most: Whole | None = Field(None, ge=1, description="So many models at once, at most.")


class Variant(Strict):
    """One deployable: an engine with a model in it, placed somewhere, or in a slot."""

    engine: str
    source: str = Field(
        description=(
            "Where the model's files are: builtin://NAME, file:///PATH, pvc://CLAIM/PATH, "
            "hf://ORG/NAME@REVISION, s3://BUCKET/PREFIX or https://HOST/ARCHIVE#sha256=HEX."
        )
    )
    allow_pickle: Annotated[bool, Field(strict=True)] = Field(
        False, description="Take weights that are Python pickles, too: reading them may run any code."
    )
    options: dict[str, Any] = Field({}, description="The engine's own options.")
    place: Place
    scale: Scale = Scale()
    slot: Name | None = Field(None, description="A key of `slots`, in the place of a `place`.")
    pin: bool = Field(False, strict=True, description="Always in its slot, and never evicted.")
    memory: Size | None = Field(
        None, description="What it takes of its slot. Not given: what the engine estimates, else all of it."
    )

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """A place, or a slot that has one."""
        schema = handler(core_schema)
        _place_or_slot(handler.resolve_ref_schema(schema))
        return schema


def _place_or_slot(schema: JsonSchemaValue) -> None:
    schema["required"] = [key for key in schema["required"] if key != "place"]
    schema["anyOf"] = [{"required": ["place"]}, {"required": ["slot"]}]


VARIANT_KEYS = frozenset(Variant.model_fields)


class Rollback(Strict):
    """When the traffic of the other variants goes back to one of them, by itself.

    What counts is the door's own view: failures (5xx, streams that broke) and seconds to the first item.
    What the caller did wrong, or did not wait for, says nothing of a variant.
    """

    to: Name | None = Field(
        None, description="Where it goes back to; by default `stable`, else the first variant."
    )
    errors: Number = Field(
        0.05, ge=0, lt=1, description="By how much more of its requests a variant may fail: 0.05 is 5 points."
    )
    latency: Number = Field(
        2.0, gt=1, description="How many times as long as there its first item may typically take."
    )
    window_s: Number = Field(60, gt=0, description="Seconds that are looked back over.")
    requests: Whole = Field(20, ge=1, description="Requests that each of the two must have had in these.")


# What a model of steps leaves to the models that they name.
OF_VARIANTS = ("wait_s", "fallback", "traffic", "rollback")


class Model(Strict):
    """One public name. Traffic is split over its variants by weight; a chain has steps instead."""

    task: Verb
    aliases: tuple[PublicName, ...] = ()
    description: str = ""
    timeout_s: Number = Field(
        600, gt=0, description="The longest a request may take, in seconds; a fallback then has its own."
    )
    wait_s: Number | None = Field(
        None,
        ge=0,
        description=(
            "The longest a request may wait for the model to load, in seconds; then it gets 503 and is told "
            "when to come back. Not given: 55 where no replica is kept and no fallback answers, else 0."
        ),
    )
    fallback: tuple[PublicName, ...] = Field(
        (),
        description=(
            "Models that answer, one after the other, when this one is down, loading, overloaded, too slow "
            "or broken; each is followed by its own fallbacks. Vectors of different models do not mix."
        ),
    )
    steps: Steps | None = Field(
        None, description="Of a chain: other models of this fleet, by name or alias, that answer together."
    )
    variants: dict[Name, Variant]
    traffic: dict[Name, Annotated[Whole, Field(ge=0, le=100)]] = Field(
        {}, description="Per cent of the requests per variant, 100 in all."
    )
    rollback: Rollback | None = Field(
        None, description="When a variant that does worse loses its traffic; never, where nothing is said."
    )

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, raw: Any) -> Any:
        """A model of one variant may write its keys directly; they become the variant `main`. A chain
        has none."""
        if not isinstance(raw, dict) or "variants" in raw:
            return raw
        if not VARIANT_KEYS & raw.keys():
            return {**raw, "variants": {}} if raw.get("steps") is not None else raw
        variant = {key: value for key, value in raw.items() if key in VARIANT_KEYS}
        rest = {key: value for key, value in raw.items() if key not in VARIANT_KEYS}
        return {**rest, "variants": {"main": variant}}

    @field_validator("variants")
    @classmethod
    def _variants_or_steps(cls, variants: dict[str, Variant], info: ValidationInfo) -> dict[str, Variant]:
        if "steps" in info.data:  # else they are wrong, which is said already
            chain = info.data["steps"] is not None
            if chain and variants:
                raise ValueError("a model has an engine of its own, or 'steps': not both")
            if not chain and not variants:
                context = {"min_length": 1, "actual_length": 0}
                raise PydanticCustomError("too_short", "needs at least 1 entry, has 0", context)
        return variants

    @model_validator(mode="after")
    def _left_to_the_steps(self) -> "Model":
        for name in OF_VARIANTS if self.steps is not None else ():
            if getattr(self, name) != type(self).model_fields[name].default:
                raise ValueError(f"a model of steps has no '{name}': the models that it names have theirs")
        return self

    @classmethod
    def __get_pydantic_json_schema__(cls, core_schema: Any, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        """All three forms in one object, so that editors complete the keys of any."""
        schema = handler.resolve_ref_schema(handler(core_schema))
        variant = handler.resolve_ref_schema(handler(Variant.__pydantic_core_schema__))
        _place_or_slot(variant)
        own = dict.fromkeys(variant["properties"], False)
        long = {"required": ["variants"], "properties": {**own, "steps": False}}
        short = {key: variant[key] for key in ("required", "anyOf")}
        short["properties"] = {"variants": False, "steps": False}
        chain = {
            "required": ["steps"],
            "properties": {**own, **dict.fromkeys(("variants", *OF_VARIANTS), False)},
        }
        schema["required"] = [key for key in schema["required"] if key != "variants"]
        schema["properties"] = {**schema["properties"], **variant["properties"]}
        schema["properties"]["variants"]["minProperties"] = 1  # but of a chain, which writes none
        forms = {"Variants": long, "One variant": short, "Steps": chain}
        return {**schema, "oneOf": [{"title": title, **form} for title, form in forms.items()]}

    @property
    def weights(self) -> dict[str, int]:
        """Per cent per variant; all to the only one where the file says nothing."""
        if self.traffic or not self.variants:
            return dict(self.traffic)
        return {next(iter(self.variants)): 100}

    def patience(self, variant: str) -> float:
        """Seconds that a request may wait for a variant to load."""
        if self.wait_s is not None:
            return self.wait_s
        return PATIENCE_S if self.variants[variant].scale.may_be_cold and not self.fallback else 0.0

    @property
    def home(self) -> str:
        """The variant that the others are judged by, and that a rollback goes to."""
        if self.rollback is not None and self.rollback.to is not None:
            return self.rollback.to
        return "stable" if "stable" in self.variants else next(iter(self.variants))


class Door(Strict):
    """The front door: how many processes, and where."""

    replicas: Whole = Field(1, ge=1, le=100, description="Two or more, so that one may end or be replaced.")
    node: Kinds | None = Field(
        None, description="A key of `nodes`, or a list of them. None: any node, that of a model too."
    )

    @property
    def nodes(self) -> tuple[str, ...]:
        return _listed(self.node or ())


class Fleet(Strict):
    """The whole file."""

    version: Literal[1]
    door: Door = Door()
    drain_s: Number = Field(
        30, gt=0, description="How long a process that stops may finish what it runs, in seconds."
    )
    nodes: dict[Name, Node] = Field(min_length=1)
    slots: dict[Name, Slot] = Field({}, description="Places in which several variants take turns.")
    models: dict[PublicName, Model] = Field(min_length=1)

    @model_validator(mode="before")
    @classmethod
    def _in_slots(cls, raw: Any) -> Any:
        """What the slot of a variant says of it: its place, and whether it may be away."""
        if not isinstance(raw, dict) or not isinstance(raw.get("models"), dict):
            return raw
        nodes, slots = (
            found if isinstance(found := raw.get(key), dict) else {} for key in ("nodes", "slots")
        )
        models = {name: _seated(model, slots, nodes) for name, model in raw["models"].items()}
        return {**raw, "models": models}

    def granted(self, place: Place) -> GpuShare:
        """What a place grants of a card: of the smallest among the nodes it names."""
        nodes = [self.nodes[label] for label in place.nodes]
        vram = min(size_in_bytes(node.vram or "0") for node in nodes)
        return GpuShare(place.share, nodes[0].vendor, vram)

    def members(self, slot: str) -> dict[tuple[str, str], Variant]:
        """(model, variant) → the variant, of all that are in a slot."""
        return {
            (name, variant): one
            for name, model in self.models.items()
            for variant, one in model.variants.items()
            if one.slot == slot
        }

    def holds(self, slot: str) -> int | None:
        """Bytes that a slot holds at once; None where that is not counted."""
        found = self.slots[slot]
        size = size_in_bytes(found.memory) if found.memory is not None else self.granted(found.place).granted
        return size or None


def _seated(raw: Any, slots: dict[Any, Any], nodes: dict[Any, Any]) -> Any:
    """A model as it was written, and each of its variants that is in a slot with what follows from that."""
    if not isinstance(raw, dict):
        return raw
    if isinstance(variants := raw.get("variants"), dict):
        return {**raw, "variants": {name: _seated(one, slots, nodes) for name, one in variants.items()}}
    if raw.get("slot") is None:
        return raw
    scale, slot = raw.get("scale", {}), slots.get(raw["slot"]) if isinstance(raw["slot"], str) else None
    if isinstance(scale, dict):
        scale = {"replicas": [int(raw.get("pin") is True), 1], **scale}
    try:
        place: Any = Place.model_validate(slot["place"]).model_dump()  # type: ignore[index]
    except (KeyError, TypeError, ValueError):  # told where it stands, and not for each variant once more
        place = {"node": next(iter(nodes), "none")}
    return {"place": place, **raw, "scale": scale}


def slot_name(slot: str) -> str:
    """The Serve application of a slot. No variant has one with that character in it."""
    return f"slot_{slot}"


def app_name(model: str, variant: str) -> str:
    """The Serve application of a variant: the address that both sides compute."""
    return f"{re.sub('[^a-zA-Z0-9]+', '-', model).strip('-').lower()}--{variant}"
