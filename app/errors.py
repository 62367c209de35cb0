"""Every failure → OpenAI's envelope, in one place.

`{"error": {"message", "type", "param", "code"}}`, `code` always a string: the SDKs read nothing
else of a failed body. On the paths of the open inference protocol `error` is the message, and the rest
stands beside it.
"""

import logging
import math
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
from fastapi import Request
from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ValidationError
from python_multipart.multipart import parse_options_header
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.telemetry.visit import Visit
from backends.contract.errors import (
    BodyUnsupported,
    ClientGone,
    GatewayError,
    InvalidRequest,
    MethodNotAllowed,
    RouteNotFound,
    TooLarge,
    TooSlow,
    Unauthenticated,
)

log = logging.getLogger(__name__)

# Of those that Python knows, some decode to halves of surrogate pairs, which are no text.
_FORM_CHARSETS = frozenset({b"utf-8", b"utf8", b"us-ascii", b"iso-8859-1"})

# The route whose clients (LangChain's and LlamaIndex's) read `detail`, and nothing else, when it fails.
JINAS = "/v1/rerank"

M = TypeVar("M", bound=BaseModel)


class Json(Response):
    """A JSON document; numpy arrays allowed."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def envelope(error: GatewayError) -> dict[str, dict[str, str | None]]:
    return {
        "error": {
            "message": error.message,
            "type": error.type,
            "param": error.param,
            "code": error.code,
        }
    }


def response(error: GatewayError, headers: Mapping[str, str] | None = None, *, path: str = "") -> Json:
    """The error as the answer of a route, with `Retry-After` and `WWW-Authenticate` where they belong."""
    said = dict(headers or {})
    if error.retry_after is not None:
        said["retry-after"] = str(max(1, math.ceil(error.retry_after)))
    if isinstance(error, Unauthenticated):
        said["www-authenticate"] = "Bearer"
    if isinstance(error, TooSlow):
        said["connection"] = "close"  # else the rest is waited for before the next request
    content: dict[str, Any] = envelope(error)
    if path == JINAS:
        content["detail"] = error.message
    elif inference(path):
        told = content["error"]
        content = {"error": told.pop("message"), **told}
    return Json(content, error.status, said)


def inference(path: str) -> bool:
    """Whether a path is of the open inference protocol, whose clients read a bare string. One of Cohere's
    lies among them."""
    return path == "/v2" or (path.startswith("/v2/") and path != "/v2/rerank")


def unexpected() -> GatewayError:
    return GatewayError("The server had an error of its own; the operator's log has it under the request id")


@contextmanager
def naming(**fields: str) -> Iterator[None]:
    """What an engine says of a task's fields is said of the body's that they came from."""
    try:
        yield
    except InvalidRequest as error:
        error.param = fields.get(error.param or "", error.param)
        raise


class Boundary:
    """Nothing leaves but the envelope: contract errors as they are, anything else as a bare 500
    with its traceback in the log. Stands inside the request id, so that both carry it."""

    def __init__(self, app: ASGIApp) -> None:
        self.app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        begun = False

        async def sender(message: Message) -> None:
            nonlocal begun
            begun = begun or message["type"] == "http.response.start"
            await send(message)

        try:
            await self.app(scope, receive, sender)
        except Exception as caught:
            if isinstance(caught, GatewayError):
                error = caught
            else:
                log.exception("an unexpected error")
                error = unexpected()
            Visit.of(scope).code = error.code
            # Once begun, an answer cannot change: leaving it unfinished cuts the connection.
            if not begun:
                await response(error, path=scope["path"])(scope, receive, sender)


async def on_http_exception(request: Request, error: Exception) -> Response:
    """Starlette's own: unknown routes, wrong methods, malformed multipart."""
    assert isinstance(error, HTTPException)
    path = f"{request.method} {request.url.path}"
    match error.status_code:
        # FastAPI wraps whatever interrupts the reading of a body.
        case 400 if isinstance(error.__cause__, GatewayError):
            said: GatewayError = error.__cause__
        case 400 if isinstance(error.__cause__, ClientDisconnect):
            said = ClientGone("the client left while it sent the body")
        case 404:
            said = RouteNotFound(f"Unknown route: {path}")
        case 405:
            said = MethodNotAllowed(f"This route does not take that method: {path}")
        case 413:
            said = TooLarge("the body is too large")
        case status if status < 500:
            said = InvalidRequest(str(error.detail))
        case _:
            said = unexpected()
    Visit.of(request.scope).code = said.code
    return response(said, error.headers, path=request.url.path)


async def on_invalid(request: Request, error: Exception) -> Response:
    """What pydantic refused; the first finding speaks."""
    assert isinstance(error, RequestValidationError)
    said = _explain(error.errors()[0])
    Visit.of(request.scope).code = said.code
    return response(said, path=request.url.path)


async def need_form(request: Request) -> None:
    """A route's dependency. Raises BodyUnsupported when the body is no multipart form of text."""
    header, options = parse_options_header(request.headers.get("content-type"))
    kind = header.decode("latin-1")
    if kind != "multipart/form-data":
        raise BodyUnsupported(f"send the file as `multipart/form-data` (not {kind or 'none'})", param="file")
    if options.get(b"charset", b"utf-8").lower() not in _FORM_CHARSETS:
        raise BodyUnsupported("send the form in UTF-8")


def checked(shape: type[M], given: Any, at: str = "") -> M:
    """What FastAPI does with a body, of a document that stands at `at` in one. Raises InvalidRequest."""
    try:
        return shape.model_validate(given)
    except ValidationError as error:
        finding = error.errors()[0]
        finding["loc"] = ("body", *((at,) if at else ()), *finding["loc"])
        raise _explain(finding) from None


def param_of(location: Sequence[str | int]) -> str | None:
    """`("messages", 0, "role")` → `messages[0].role`, as OpenAI writes it."""
    path = ""
    for part in location:
        path += f"[{part}]" if isinstance(part, int) else f".{part}" if path else part
    return path or None


_SENTENCES = {
    "missing": "is required",
    "string_type": "must be a string",
    "bool_type": "must be a boolean",
    "bool_parsing": "must be a boolean",
    "int_type": "must be an integer",
    "int_parsing": "must be an integer",
    "int_from_float": "must be an integer",
    "float_type": "must be a number",
    "float_parsing": "must be a number",
    "finite_number": "must be a finite number",
    "list_type": "must be an array",
    "dict_type": "must be an object",
    "greater_than_equal": "must be at least {ge}",
    "less_than_equal": "must be at most {le}",
    "literal_error": "must be one of {expected}",
    "too_short": "must not be empty",
    "string_too_short": "must not be empty",
    "too_long": "must have at most {max_length:,} items",
    "string_too_long": "must have at most {max_length:,} characters",
    "value_error": "is not valid: {error}",
    "extra_forbidden": "is not offered on this endpoint",
}


def _explain(finding: Mapping[str, Any]) -> InvalidRequest:
    """One finding of pydantic's → a sentence for people, and the parameter it is about."""
    context = finding.get("ctx", {})
    if finding["type"] == "json_invalid":
        where = finding["loc"][-1]
        return InvalidRequest(f"The body is not valid JSON: {context.get('error')} at character {where}")
    param = param_of(finding["loc"][1:])  # the first says where it was: body, query, path
    if param is None:
        return InvalidRequest("The body must be a JSON object")
    sentence = _SENTENCES.get(finding["type"])
    said = sentence.format(**context) if sentence else f"is not valid: {finding['msg']}"
    return InvalidRequest(f"'{param}' {said}", param=param)
