"""What a command sees of a cluster: Serve's REST API, with nothing behind it."""

from collections.abc import Callable
from typing import Any

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backends.fleet.traffic import Public
from backends.serve.declared import applications, public_of
from tests.api.doors import Served


class Dashboard:
    """Accepts what is declared; every application is up at the next look, but for those that `fails`
    names while their arguments are those it was told. `puts`: what was declared, one after the other."""

    def __init__(self, config: dict[str, Any] | None = None) -> None:
        self.config: dict[str, Any] = config or {"applications": []}
        self.puts: list[dict[str, Any]] = []
        self.refuses = ""
        self.fails: Callable[[dict[str, Any]], bool] = lambda application: False
        path = "/api/serve/applications/"
        routes = [Route(path, self._get, methods=["GET"]), Route(path, self._put, methods=["PUT"])]
        self._served = Served(Starlette(routes=routes))
        self.address = self._served.base_url

    @property
    def public(self) -> Public:
        told = public_of(self.config)
        assert told is not None
        return told

    def close(self) -> None:
        self._served.close()

    async def _get(self, _: Request) -> Response:
        found = {
            name: {
                "status": "DEPLOY_FAILED" if self.fails(application) else "RUNNING",
                "deployed_app_config": application,
            }
            for name, application in applications(self.config).items()
        }
        return JSONResponse({"proxy_location": "HeadOnly", "applications": found})

    async def _put(self, request: Request) -> Response:
        if self.refuses:
            return Response(self.refuses, 400)
        self.config = await request.json()
        self.puts.append(self.config)
        return Response()
