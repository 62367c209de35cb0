"""A cluster that asks for Ray's token, as the chart's do."""

import aiohttp
import pytest
from ray._private.authentication.authentication_constants import AUTHORIZATION_HEADER_NAME
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from backends.serve.rest import Cluster, DeployRefused
from tests.api.doors import Served


async def guarded(request: Request) -> Response:
    if request.headers.get(AUTHORIZATION_HEADER_NAME) != "Bearer secret":
        return Response("Unauthorized: Missing authentication token", 401)
    return JSONResponse({"applications": {}})


async def test_rays_token_comes_from_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    route = Route("/api/serve/applications/", guarded, methods=["GET", "PUT"])
    served = Served(Starlette(routes=[route]))
    try:
        cluster = Cluster(served.base_url)
        monkeypatch.delenv("RAY_AUTH_TOKEN", raising=False)
        with pytest.raises(DeployRefused, match="authentication token"):
            await cluster.deploy({})
        with pytest.raises(aiohttp.ClientError):
            await cluster.details()
        monkeypatch.setenv("RAY_AUTH_TOKEN", "secret")
        await cluster.deploy({})
        assert await cluster.details() == {"applications": {}}
    finally:
        served.close()
