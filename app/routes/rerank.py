"""Everything that the verb `rerank` answers: `/v1/rerank`, `/v2/rerank`, `/rerank`, `/score`."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.catalogue import Target
from app.errors import JINAS, Json, naming
from app.formats import rankings
from app.routes.body import JsonRoute
from app.routes.desk import AtDesk, Desk
from app.streaming import answer_or_gone
from app.telemetry.visit import Visit
from app.wire.rerank import (
    Ranked,
    RankedV2,
    RerankRequest,
    RerankV1Request,
    ScoreRequest,
    Scores,
    TextScore,
    TextsRequest,
)
from backends.contract.results import Ranking, Usage
from backends.contract.tasks import RerankTask

router = APIRouter(tags=["rerank"], route_class=JsonRoute)


@router.post(
    JINAS,
    summary="Order documents by relevance",
    response_model=None,
    responses={200: {"model": Ranked}},
)
async def rerank(body: RerankV1Request, request: Request, desk: AtDesk) -> Response:
    """The documents by falling relevance to the query, in a shape that is Jina's and Cohere's v1."""
    ranking, visit = await ranked(body, request, desk), Visit.of(request.scope)
    return Json(
        rankings.v1(
            ranking,
            visit.request_id,
            visit.answering,
            body.documents,
            top_n=body.top_n,
            with_documents=body.shows,
        )
    )


@router.post(
    "/v2/rerank",
    summary="Order documents by relevance, in Cohere's shape",
    response_model=None,
    responses={200: {"model": RankedV2}},
)
async def rerank_v2(body: RerankRequest, request: Request, desk: AtDesk) -> Response:
    """The documents by falling relevance to the query, in the shape of Cohere's v2."""
    ranking, visit = await ranked(body, request, desk), Visit.of(request.scope)
    return Json(
        rankings.v2(
            ranking,
            visit.request_id,
            body.documents,
            top_n=body.top_n,
            with_documents=bool(body.return_documents),
        )
    )


@router.post(
    "/rerank",
    summary="Order texts by relevance, in TEI's shape",
    response_model=None,
    responses={200: {"model": list[TextScore]}},
)
async def rerank_texts(body: TextsRequest, request: Request, desk: AtDesk) -> Response:
    """A bare array of scores, the best first."""
    target = desk.target(request, "rerank", body.model)
    with naming(documents="texts"):
        ranking = await _ask(request, desk, target, [(body.query, tuple(body.texts))])
    return Json(rankings.tei(ranking, body.texts, with_texts=bool(body.return_text)))


@router.post(
    "/v1/score",
    summary="Score pairs of texts",
    response_model=None,
    responses={200: {"model": Scores}},
)
@router.post(
    "/score",
    summary="Score pairs of texts",
    response_model=None,
    responses={200: {"model": Scores}},
)
async def score(body: ScoreRequest, request: Request, desk: AtDesk) -> Response:
    """How relevant one text is to another, in vLLM's shape and in the order they were given."""
    target = desk.target(request, "rerank", body.model, body.user)
    with naming(query="text_1", documents="text_2"):
        ranking = await _ask(request, desk, target, body.asked())
    visit = Visit.of(request.scope)
    return Json(rankings.scores(ranking, visit.request_id, visit.answering))


async def ranked(body: RerankRequest, request: Request, desk: Desk) -> Ranking:
    texts = body.texts()
    target = desk.target(request, "rerank", body.model, body.user)
    return await _ask(request, desk, target, [(body.query, texts)], body.max_tokens_per_doc)


async def _ask(
    request: Request,
    desk: Desk,
    target: Target,
    asked: list[tuple[str, tuple[str, ...]]],
    max_tokens: int | None = None,
) -> Ranking:
    """Of every query and its documents, one after the other. Where there are several, no fallback answers:
    what two models say cannot be compared."""
    if len(asked) > 1:
        target.alone()
    visit = Visit.of(request.scope)

    async def answers() -> Ranking:
        found = [
            await desk.upstream.call(target, RerankTask(visit.request_id, query, documents, max_tokens))
            for query, documents in asked
        ]
        scores = tuple(score for ranking in found for score in ranking.scores)
        return Ranking(scores, sum(ranking.tokens for ranking in found))

    ranking = await answer_or_gone(request, answers())
    visit.usage = Usage(ranking.tokens)
    return ranking
