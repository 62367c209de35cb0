"""`POST /tokenize` and `/detokenize`: what a text is to a model that chats, and back."""

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.routes.body import JsonRoute
from app.routes.chat import answered
from app.routes.desk import AtDesk
from app.wire.tokens import Detokenized, DetokenizeRequest, Tokenized, TokenizeRequest

router = APIRouter(tags=["chat"], route_class=JsonRoute)


@router.post(
    "/tokenize", summary="Text to tokens", response_model=None, responses={200: {"model": Tokenized}}
)
async def tokenize(body: TokenizeRequest, request: Request, desk: AtDesk) -> Response:
    """The tokens of a text, or of a conversation as the model's template writes it. Never a
    fallback's: those would be other tokens."""
    return await answered(body, request, desk, "tokenize")


@router.post(
    "/detokenize", summary="Tokens to text", response_model=None, responses={200: {"model": Detokenized}}
)
async def detokenize(body: DetokenizeRequest, request: Request, desk: AtDesk) -> Response:
    """The text of tokens of the model's own."""
    return await answered(body, request, desk, "detokenize")
