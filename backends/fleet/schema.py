"""The first ring: the shape of `fleet.yaml`. Unknown keys are refused everywhere.

Whether the parts agree with one another is `agree.py`; whether the engines accept their
options is `engines.py`; reading a file, with line numbers, is `load.py`.
"""

import re
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from backends.contract.engine import Vendor
from backends.contract.tasks import Verb

# Public names may be hub-like (`org/name`); variants and nodes become labels and DNS names.
PublicName = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9._/-]{0,94}$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?$")]
Size = Annotated[str, Field(pattern=r"^[0-9]+(\.[0-9]+)?(Ki|Mi|Gi|Ti)?$", examples=["8Gi"])]

_UNITS = {"": 1, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def size_in_bytes(size: str) -> int:
    """`"8Gi"` → 8589934592 (Kubernetes' binary units)."""
    number, unit = re.fullmatch(r"([0-9.]+)([KMGT]i)?", size).groups("")  # type: ignore[union-attr]
    return int(float(number) * _UNITS[unit])


class Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Node(Strict):
    """A kind of node: Ray labels here, a worker group under KubeRay."""

    vendor: Vendor = "cpu"
    card: str | None = Field(None, description="The card's name, for people.")
    vram: Size | None = Field(None, description="Memory of one GPU.")
    gpus: int = Field(0, ge=0, description="GPUs per node of this kind.")
    cpus: int = Field(1, ge=1, description="CPU cores per node of this kind.")
    memory: Size | None = None
    image: str | None = Field(None, description="Which of Motley's images this kind runs.")

    @model_validator(mode="after")
    def _gpus_have_a_vendor(self) -> "Node":
        if (self.vendor == "cpu") != (self.gpus == 0):
            raise ValueError("a node with gpus names its vendor (nvidia, amd, intel); one without is `cpu`")
        return self


class Place(Strict):
    """Where a variant runs: one kind of node, or any of several."""

    node: Name | tuple[Name, ...]
    share: float = Field(0, ge=0, description="A fraction of one GPU, or a whole number of GPUs.")
    cpus: float = Field(0, ge=0, description="CPU cores to reserve; 0 reserves none.")

    @property
    def nodes(self) -> tuple[str, ...]:
        return (self.node,) if isinstance(self.node, str) else self.node

    @model_validator(mode="after")
    def _fraction_or_whole(self) -> "Place":
        if self.share > 1 and self.share != int(self.share):
            raise ValueError("share must be a fraction up to 1 or a whole number of GPUs")
        return self


class Scale(Strict):
    """How many replicas, and how much each takes on at once."""

    replicas: tuple[int, int] = Field((1, 1), description="At least, at most.")
    target_ongoing: int = Field(8, ge=1, description="Requests per replica that autoscaling aims at.")
    max_ongoing: int = Field(16, ge=1, description="Requests one replica runs at once.")
    max_queued: int = Field(64, ge=0, description="Requests that wait at one replica; one more gets 503.")

    @model_validator(mode="after")
    def _in_order(self) -> "Scale":
        low, high = self.replicas
        if not 0 <= low <= high or high < 1:
            raise ValueError("replicas is [at least, at most], with 0 ≤ least ≤ most and most ≥ 1")
        return self


class Variant(Strict):
    """One deployable: an engine with a model in it, placed somewhere."""

    engine: str
    source: str = Field(description="Where the model's files are: builtin://NAME or file:///PATH.")
    options: dict[str, Any] = Field({}, description="The engine's own options.")
    place: Place
    scale: Scale = Scale()


_VARIANT_KEYS = frozenset(Variant.model_fields)


class Model(Strict):
    """One public name. Traffic is split over its variants by weight."""

    task: Verb
    aliases: tuple[PublicName, ...] = ()
    description: str = ""
    timeout_s: float = Field(600, gt=0, description="The longest a request may take, in seconds.")
    variants: dict[Name, Variant] = Field(min_length=1)
    traffic: dict[Name, int] = {}

    @model_validator(mode="before")
    @classmethod
    def _short_form(cls, raw: Any) -> Any:
        """A model of one variant may write its keys directly; they become the variant `main`."""
        if not isinstance(raw, dict) or "variants" in raw or not _VARIANT_KEYS & raw.keys():
            return raw
        variant = {key: value for key, value in raw.items() if key in _VARIANT_KEYS}
        rest = {key: value for key, value in raw.items() if key not in _VARIANT_KEYS}
        return {**rest, "variants": {"main": variant}}

    @property
    def weights(self) -> dict[str, int]:
        """Per cent per variant; all to the only one where the file says nothing."""
        if self.traffic:
            return dict(self.traffic)
        return {next(iter(self.variants)): 100}


class Fleet(Strict):
    """The whole file."""

    version: Literal[1]
    nodes: dict[Name, Node] = Field(min_length=1)
    models: dict[PublicName, Model] = Field(min_length=1)


def app_name(model: str, variant: str) -> str:
    """The Serve application of a variant: the address that both sides compute."""
    return f"{re.sub('[^a-zA-Z0-9]+', '-', model).strip('-').lower()}--{variant}"
