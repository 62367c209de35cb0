"""`POST /v1/embeddings`, and `/embed` in TEI's shape."""

from fastapi import APIRouter, Request
from openai.types import CreateEmbeddingResponse
from starlette.responses import Response

from app.catalogue import Target
from app.errors import Json, naming
from app.formats import vectors
from app.routes.body import JsonRoute
from app.routes.desk import AtDesk, Desk
from app.streaming import answer_or_gone
from app.telemetry.visit import Visit
from app.wire.embeddings import EmbeddingsRequest, EmbedRequest
from backends.contract.results import Usage, Vectors
from backends.contract.tasks import EmbedTask

router = APIRouter(tags=["embeddings"], route_class=JsonRoute)


@router.post(
    "/v1/embeddings",
    summary="Embed texts",
    response_model=None,
    responses={200: {"model": CreateEmbeddingResponse}},
)
async def embeddings(body: EmbeddingsRequest, request: Request, desk: AtDesk) -> Response:
    """A vector per text, as numbers or (`encoding_format`) as base64 of little-endian float32."""
    found, visit = await embedded(body, request, desk), Visit.of(request.scope)
    return Json(vectors.render(found, visit.answering, as_base64=body.encoding_format == "base64"))


async def embedded(body: EmbeddingsRequest, request: Request, desk: Desk) -> Vectors:
    target = desk.target(request, "embed", body.model, body.user)
    texts = await desk.vocabulary.texts(body.input)
    task = EmbedTask(Visit.of(request.scope).request_id, texts, body.dimensions, body.input_type)
    return await _vectors(request, desk, target, task)


@router.post(
    "/embed",
    summary="Embed texts, in TEI's shape",
    response_model=None,
    responses={200: {"model": list[list[float]]}},
)
async def embed(body: EmbedRequest, request: Request, desk: AtDesk) -> Response:
    """A bare array with a vector per text, of length 1."""
    target = desk.target(request, "embed", body.model)
    task = EmbedTask(Visit.of(request.scope).request_id, tuple(body.inputs), body.dimensions)
    with naming(input="inputs"):
        return Json(vectors.rows(await _vectors(request, desk, target, task)))


async def _vectors(request: Request, desk: Desk, target: Target, task: EmbedTask) -> Vectors:
    found = await answer_or_gone(request, desk.upstream.call(target, task))
    Visit.of(request.scope).usage = Usage(found.tokens)
    return found
