"""`POST /v1/completions`: OpenAI's older endpoint, a chat without roles."""

from fastapi import APIRouter, Request
from openai.types import Completion
from starlette.responses import Response

from app.routes.body import JsonRoute
from app.routes.chat import answered
from app.routes.desk import AtDesk
from app.wire.completions import CompletionRequest

router = APIRouter(tags=["chat"], route_class=JsonRoute)


@router.post(
    "/v1/completions",
    summary="Continue a text",
    response_model=None,
    responses={200: {"model": Completion, "content": {"text/event-stream": {}}}},
)
async def completions(body: CompletionRequest, request: Request, desk: AtDesk) -> Response:
    """What follows a text, or each of several; no roles, and no template around it."""
    return await answered(body, request, desk, "completions", body.user)
