"""`POST /v1/embeddings`."""

from fastapi import APIRouter, Depends, Request
from openai.types import CreateEmbeddingResponse
from starlette.responses import Response

from app.errors import Json, need_json
from app.formats import vectors
from app.routes.desk import AtDesk
from app.streaming import answer_or_gone
from app.telemetry.visit import Visit
from app.wire.embeddings import EmbeddingsRequest
from backends.contract.results import Usage
from backends.contract.tasks import EmbedTask

router = APIRouter(tags=["embeddings"], dependencies=[Depends(need_json)])


@router.post(
    "/v1/embeddings",
    summary="Embed texts",
    response_model=None,
    responses={200: {"model": CreateEmbeddingResponse}},
)
async def embeddings(body: EmbeddingsRequest, request: Request, desk: AtDesk) -> Response:
    """A vector per text, as numbers or (`encoding_format`) as base64 of little-endian float32."""
    target = desk.target(request, "embed", body.model, body.user)
    visit = Visit.of(request.scope)
    task = EmbedTask(visit.request_id, tuple(body.input), body.dimensions)
    found = await answer_or_gone(request, desk.upstream.call(target, task))
    visit.usage = Usage(found.tokens)
    return Json(vectors.render(found, visit.answering, as_base64=body.encoding_format == "base64"))
