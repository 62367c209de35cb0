"""`POST /v1/responses`: OpenAI's newer endpoint, a chat whose items and events have names."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.routes.body import JsonRoute
from app.routes.chat import answered
from app.routes.desk import AtDesk
from app.wire.responses import Responded, ResponsesRequest

router = APIRouter(tags=["chat"], route_class=JsonRoute)


@router.post(
    "/v1/responses",
    summary="Respond",
    response_model=None,
    responses={200: {"model": Responded, "content": {"text/event-stream": {}}}},
)
async def responses(body: ResponsesRequest, request: Request, desk: AtDesk) -> Response:
    """An answer in one document, or with `stream` as named events, the last of which has it whole.
    Nothing is kept: what was said before comes with `input`."""
    return await answered(body, request, desk, "responses", body.user)
