"""`POST /v1/rerank`."""

from fastapi import APIRouter, Depends, Request
from starlette.responses import Response

from app.errors import Json, need_json
from app.formats import rankings
from app.routes.desk import AtDesk
from app.streaming import answer_or_gone
from app.telemetry.visit import Visit
from app.wire.rerank import RerankRequest
from backends.contract.results import Usage
from backends.contract.tasks import RerankTask

router = APIRouter(tags=["rerank"], dependencies=[Depends(need_json)])


@router.post("/v1/rerank", summary="Order documents by relevance", response_model=None)
async def rerank(body: RerankRequest, request: Request, desk: AtDesk) -> Response:
    """The documents by falling relevance to the query, in Jina's shape."""
    target = desk.target(request, "rerank", body.model, body.user)
    visit = Visit.of(request.scope)
    task = RerankTask(visit.request_id, body.query, tuple(body.documents))
    ranking = await answer_or_gone(request, desk.upstream.call(target, task))
    visit.usage = Usage(ranking.tokens)
    shown = rankings.render(
        ranking,
        visit.answering,
        body.documents,
        top_n=body.top_n,
        with_documents=body.return_documents is not False,
    )
    return Json(shown)
