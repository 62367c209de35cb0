"""What a variant's process must know, and the host made from it: one way for every upstream."""

from typing import Any, TypedDict

from backends.contract.engine import GpuShare, ModelRef, Vendor
from backends.contract.tasks import Verb
from backends.engines.registry import engine_class
from backends.estimates import estimated
from backends.host import Host
from backends.sources import locate


class Spec(TypedDict):
    """JSON-able; rendered from the fleet by `backends.render.serve.spec`.

    `vram`: bytes of one GPU of the node; `share`: of one GPU, or a number of GPUs.
    """

    model: str
    variant: str
    task: Verb
    engine: str
    source: str
    options: dict[str, Any]
    share: float
    vendor: Vendor
    vram: int
    max_ongoing: int
    max_queued: int


def host(spec: Spec) -> Host:
    """Nothing is loaded yet. Raises KeyError for an unknown engine, pydantic's ValidationError for
    options it does not take, InvalidRequest for a source that is not there."""
    engine = engine_class(spec["engine"])
    model = ModelRef(spec["model"], spec["task"], spec["source"], locate(spec["source"]))
    options = engine.Options(**spec["options"])
    share = GpuShare(spec["share"], spec["vendor"], spec["vram"])
    return Host(
        engine(model, options, share),
        share=share,
        estimate=lambda: estimated(engine, model, options, share),
        max_ongoing=spec["max_ongoing"],
        max_queued=spec["max_queued"],
    )
