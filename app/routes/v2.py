"""The open inference protocol (V2) of KServe and Triton, but for `infer`: what there is, and how it does."""

from typing import Any, Literal, TypeVar

import orjson
from fastapi import APIRouter, Request
from pydantic import BaseModel, Field
from starlette.responses import Response

from app.catalogue import not_ready, readiness
from app.errors import Json, checked
from app.routes import health, loading
from app.routes.desk import AtDesk, Desk, caller
from app.telemetry.visit import Visit
from app.wire.base import Strict
from app.wire.signatures import SIGNATURES
from backends.contract.errors import Forbidden, InvalidRequest, ModelNotFound
from backends.contract.state import Readiness
from backends.fleet.schema import PATIENCE_S, Model

router = APIRouter(tags=["open inference protocol"])

# Variants share a model's traffic by weight, and no caller chooses between them: models have one version.
VERSION = "1"
STATES: dict[Readiness, Literal["READY", "LOADING", "UNAVAILABLE"]] = {
    "ready": "READY", "loading": "LOADING", "waiting": "LOADING",
    "cold": "UNAVAILABLE", "down": "UNAVAILABLE",
}  # fmt: skip


class Server(BaseModel):
    name: str
    version: str
    extensions: list[str]


class Live(BaseModel):
    live: bool


class Ready(BaseModel):
    ready: bool


class ModelReady(Ready):
    name: str


class TensorOf(BaseModel):
    name: str
    datatype: Literal["BYTES", "FP32"]
    shape: list[int]


class Metadata(BaseModel):
    name: str
    versions: list[str]
    platform: str
    inputs: list[TensorOf]
    outputs: list[TensorOf]


class Indexed(BaseModel):
    name: str
    version: str
    state: Literal["READY", "LOADING", "UNAVAILABLE"]
    reason: str


class IndexRequest(Strict):
    """`ready`: of those alone that are."""

    ready: bool = False


class LoadRequest(Strict):
    """`parameters`: none is offered; what a model is, is the fleet's."""

    parameters: dict[str, Any] = Field(default_factory=dict)


B = TypeVar("B", bound=Strict)


@router.get("/v2", summary="What serves here", response_model=None, responses={200: {"model": Server}})
async def server(request: Request) -> Response:
    extensions = ["binary_tensor_data", "model_repository"]
    return Json({"name": "motley", "version": request.app.version, "extensions": extensions})


@router.get(
    "/v2/health/live", summary="Alive, as V2 has it", response_model=None, responses={200: {"model": Live}}
)
async def live() -> Response:
    """200 while the process answers, whatever the models do."""
    return Json({"live": True})


@router.get(
    "/v2/health/ready",
    summary="All models ready, as V2 has it",
    response_model=None,
    responses={200: {"model": Ready}, 503: {"model": Ready}},
)
async def ready(request: Request, desk: AtDesk) -> Response:
    """Yes or no, as `/ready` has it; under an alias's path, of that one model."""
    models = health.asked_of(Visit.of(request.scope), desk)
    return _told({}, all(health.serves(desk, name, state) for name, state in models.items()))


# Of two decorators the lower one comes first, and a model's name may hold slashes.
@router.get(
    "/v2/models/{model:path}/ready",
    summary="Whether a model is ready", response_model=None,
    responses={200: {"model": ModelReady}, 503: {"model": ModelReady}},
)  # fmt: skip
@router.get(
    "/v2/models/{model:path}/versions/{version}/ready",
    summary="Whether a version of a model is ready", response_model=None,
    responses={200: {"model": ModelReady}, 503: {"model": ModelReady}},
)  # fmt: skip
async def model_ready(model: str, request: Request, desk: AtDesk, version: str = VERSION) -> Response:
    """One that a request would load is."""
    name, _ = seen(model, version, request, desk)
    state = desk.catalogue.state(name, desk.states())
    return _told({"name": model}, health.serves(desk, name, state))


@router.get(
    "/v2/models/{model:path}",
    summary="The tensors of a model", response_model=None, responses={200: {"model": Metadata}},
)  # fmt: skip
@router.get(
    "/v2/models/{model:path}/versions/{version}",
    summary="The tensors of a version of a model", response_model=None, responses={200: {"model": Metadata}},
)  # fmt: skip
async def metadata(model: str, request: Request, desk: AtDesk, version: str = VERSION) -> Response:
    """-1 is any number. A chat takes one of its inputs."""
    name, found = seen(model, version, request, desk)
    signature = SIGNATURES[found.task]
    outputs = [spec.told() for spec in signature.outputs]
    if found.task == "embed":
        best = readiness(desk.catalogue.states(name, desk.upstream.states()))
        outputs[0]["shape"][1] = best.facts.get("dimensions", -1)
    return Json(
        {
            "name": model,
            "versions": [VERSION],
            "platform": f"motley_{found.task}",
            "inputs": [spec.told() for spec in signature.inputs],
            "outputs": outputs,
        }
    )


@router.post(
    "/v2/repository/index",
    summary="List models, as V2 has it", response_model=None, responses={200: {"model": list[Indexed]}},
)  # fmt: skip
async def index(request: Request, desk: AtDesk) -> Response:
    """Every model that the key may use, by its own name; with `{"ready": true}` those that are."""
    only = (await _body(request, IndexRequest)).ready
    states, may_see = desk.states(), caller(request).may_see
    told = []
    for name, model in desk.catalogue.fleet.models.items():
        state = desk.catalogue.state(name, states)
        if may_see(model.task, name) and (state.ready or not only):
            reason = "" if state.ready else state.stage or state.message or state.readiness
            told.append(
                {"name": name, "version": VERSION, "state": STATES[state.readiness], "reason": reason}
            )
    return Json(told)


@router.post(
    "/v2/repository/models/{model:path}/load", summary="Load a model, as V2 has it", response_model=None
)
async def load(model: str, request: Request, desk: AtDesk) -> Response:
    """200 once it is loaded, which is waited for a minute. As `/v1/models/{model}/load` besides."""
    await _nothing(request)
    name, loaded = await loading.brought(model, desk, PATIENCE_S)
    if not loaded:
        raise not_ready(model, desk.catalogue.state(name, desk.upstream.states()))
    return Response()


@router.post(
    "/v2/repository/models/{model:path}/unload", summary="Unload a model, as V2 has it", response_model=None
)
async def unload(model: str, request: Request, desk: AtDesk) -> Response:
    """200 where it goes as soon as nothing runs. As `/v1/models/{model}/unload` besides."""
    await _nothing(request, unload_dependents=False)
    await loading.unload(model, desk)
    return Response()


def must_be_version(model: str, version: str) -> None:
    """Raises ModelNotFound."""
    if version != VERSION:
        said = f"The model `{model}` has one version, {VERSION}: variants are chosen by the fleet's traffic"
        raise ModelNotFound(said, param="version")


def seen(model: str, version: str, request: Request, desk: Desk) -> tuple[str, Model]:
    """A model that the caller may see: its own name, and itself. Raises ModelNotFound and Forbidden."""
    name, found = desk.catalogue.resolve(model)
    if not caller(request).may_see(found.task, name):
        raise Forbidden(f"This API key may not use the model `{model}`", param="model")
    must_be_version(model, version)
    return name, found


def _told(about: dict[str, Any], ready: bool) -> Response:
    return Json({**about, "ready": ready}, 200 if ready else 503, None if ready else {"retry-after": "2"})


async def _body(request: Request, shape: type[B]) -> B:
    """Clients send none, or one without a media type."""
    sent = await request.body()
    try:
        return checked(shape, orjson.loads(sent) if sent else {})
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The body is not valid JSON: {error}") from None


async def _nothing(request: Request, **fine: object) -> None:
    """Clients send what they do not ask for, too."""
    for name, value in (await _body(request, LoadRequest)).parameters.items():
        if name not in fine or fine[name] != value:
            raise InvalidRequest(
                f"'parameters.{name}' is not offered on this endpoint", param=f"parameters.{name}"
            )
