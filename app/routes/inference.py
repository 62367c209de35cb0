"""`POST /v2/models/{model}/infer`: every verb as tensors, in KServe's and Triton's open inference protocol.

Tensors and parameters become the request of the OpenAI route, and are asked as it is; its answer becomes
tensors: `app/routes/tensors.py`.
"""

from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any

from fastapi import APIRouter, Header, Request
from starlette.responses import Response

from app.formats.tensors import render
from app.guard.body import BINARY_LENGTH
from app.routes.desk import AtDesk
from app.routes.tensors import Fields, told
from app.routes.v2 import VERSION, must_be_version
from app.settings import MB
from app.telemetry.visit import Visit
from app.wire.signatures import SIGNATURES, Spec
from app.wire.tensors import Asked, InferResponse, Tensor, described, read
from backends.contract.errors import BodyUnsupported, InvalidRequest, TooLarge
from backends.contract.results import Usage
from backends.contract.tasks import Verb

router = APIRouter(tags=["open inference protocol"])

# Parameters that the protocol's clients have a meaning for, and we none.
RESERVED = frozenset({"sequence_id", "sequence_start", "sequence_end", "priority", "timeout"})

_BINARY = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
_SHOWN: Any = {
    "response_model": None,
    "openapi_extra": {
        "requestBody": {
            "required": True,
            "content": {"application/json": {"schema": described()}, **_BINARY},
        }
    },
    "responses": {200: {"model": InferResponse, "content": _BINARY}},
}


@router.post("/v2/models/{model:path}/infer", summary="Ask a model, in tensors", **_SHOWN)
@router.post(
    "/v2/models/{model:path}/versions/{version}/infer",
    summary="Ask a version of a model, in tensors",
    **_SHOWN,
)
async def infer(
    model: str,
    request: Request,
    desk: AtDesk,
    version: str = VERSION,
    header: Annotated[
        str | None, Header(alias=BINARY_LENGTH, description="Bytes of JSON, before what is binary.")
    ] = None,
) -> Response:
    """What the model answers, in the tensors that `GET /v2/models/{model}` tells; as JSON, or as binary data
    behind it where that is asked for."""
    if request.headers.get("content-encoding", "identity") != "identity":
        raise BodyUnsupported("send the body as it is, not compressed", param="content-encoding")
    body = await request.body()
    asked = read(body, header)
    verb = desk.catalogue.resolve(model)[1].task
    must_be_version(model, version)
    if verb != "transcribe" and len(body) > desk.settings.max_body_mb * MB:  # an upload may be longer
        raise TooLarge(f"the body is larger than {desk.settings.max_body_mb:g} MB, the limit here")
    signature = SIGNATURES[verb]
    wanted, tensors = _wanted(asked, signature.outputs), _given(asked, signature.inputs)
    made = {one.name: one for one in await told(verb, tensors, _fields(asked, verb, model), request, desk)}
    binary = wanted if asked.binary is None else asked.binary
    content, length = render(_about(asked, Visit.of(request.scope)), [made[name] for name in wanted], binary)
    if length is None:
        return Response(content, media_type="application/json")
    return Response(content, headers={BINARY_LENGTH: str(length)}, media_type="application/octet-stream")


def _about(asked: Asked, visit: Visit) -> Fields:
    about: Fields = {"model_name": visit.answering, "model_version": VERSION}
    if asked.request.id is not None:
        about["id"] = asked.request.id
    if visit.usage != Usage():
        about["parameters"] = asdict(visit.usage)
    return about


def _wanted(asked: Asked, specs: tuple[Spec, ...]) -> list[str]:
    known = [spec.name for spec in specs]
    if asked.request.outputs is None:
        return known
    for number, one in enumerate(asked.request.outputs):
        if one.name not in known:
            said = f"'outputs[{number}].name' must be one of {', '.join(known)}"
            raise InvalidRequest(said, param=f"outputs[{number}].name")
    return list(dict.fromkeys(one.name for one in asked.request.outputs)) or known


def _given(asked: Asked, specs: tuple[Spec, ...]) -> Mapping[str, Tensor]:
    """The tensors, none of them strange, and of one element where there is but one."""
    known = {spec.name: spec for spec in specs}
    for number, name in enumerate(asked.tensors):
        if name not in known:
            said = f"'inputs[{number}].name' must be one of {', '.join(known)}"
            raise InvalidRequest(said, param=f"inputs[{number}].name")
        if known[name].shape == (1,) and len(asked.tensors[name].elements) != 1:
            raise InvalidRequest(f"'{name}' must have one element: send a request for each", param=name)
    return asked.tensors


def _fields(asked: Asked, verb: Verb, model: str) -> Fields:
    for name in asked.parameters:
        if name in SIGNATURES[verb].withheld | RESERVED:
            raise InvalidRequest(f"'{name}' is no parameter of this endpoint", param=name)
    return {**asked.parameters, "model": model}
