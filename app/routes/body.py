"""Bodies that are JSON: read once, checked, and handed to the endpoint with the desk."""

from collections.abc import Callable, Coroutine
from typing import Any, cast

import orjson
from fastapi import Request, Response
from fastapi.routing import APIRoute
from pydantic import BaseModel
from starlette.requests import ClientDisconnect

from app.errors import checked
from backends.contract.errors import BodyUnsupported, ClientGone, InvalidRequest


class JsonRequest(Request):
    """One that is JSON by its own account, and by the standard's: no NaN, UTF-16, or halves of surrogate
    pairs, which Python would take."""

    async def json(self) -> Any:
        """Raises BodyUnsupported, InvalidRequest and ClientGone."""
        if not hasattr(self, "_json"):
            kind = self.headers.get("content-type", "").partition(";")[0].strip().lower()
            if kind != "application/json" and not (
                kind.startswith("application/") and kind.endswith("+json")
            ):
                said = f"send JSON, with `Content-Type: application/json` (not {kind or 'none'})"
                raise BodyUnsupported(said)
            try:
                self._json = orjson.loads(await self.body())
            except orjson.JSONDecodeError as error:
                raise InvalidRequest(f"The body is not valid JSON: {error}") from None
            except ClientDisconnect:
                raise ClientGone("the client left while it sent the body") from None
        return self._json


class JsonRoute(APIRoute):
    """Of endpoints that take `(body, request, desk)`. FastAPI describes them; to let it solve them as
    dependencies, for each request, would be a third of all that the door does."""

    def get_route_handler(self) -> Callable[[Request], Coroutine[Any, Any, Response]]:
        assert self.body_field is not None
        endpoint, shape = self.endpoint, cast(type[BaseModel], self.body_field.field_info.annotation)

        async def handler(given: Request) -> Response:
            request = JsonRequest(given.scope, given.receive)
            body = checked(shape, await request.json())
            answer = await endpoint(body, request, request.app.state.desk)
            assert isinstance(answer, Response)
            return answer

        return handler
