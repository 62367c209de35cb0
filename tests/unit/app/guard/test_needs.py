"""The allow-list against every route that there is."""

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from fastapi import FastAPI

from app.guard.needs import Need, need
from app.main import create_app
from app.routes.exact import Exact
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet

KEY = "sk-suite"
NOBODY: dict[str, str] = {}
ALL_METHODS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE", "CONNECT", "PROPFIND")

# Everything that needs less than an operator, by hand: whoever opens a route says so here too.
PAGES = {"GET /", "GET /console/console.js", "GET /console/console.css", "GET /console/icon.svg"}
OPEN = {"GET /health", "GET /ready", "GET /-/healthz", "GET /v2/health/live", "GET /v2/health/ready"}
OPEN |= PAGES
WITHOUT_KEY = OPEN | {"GET /docs", "GET /openapi.json"}  # where nobody chose otherwise
ANY_KEY = {
    "GET /docs", "GET /openapi.json", "GET /v1/models", "GET /v1/models/x", "GET /v1/audio/voices",
    "GET /v1/audio/voices/x", "GET /v1/usage",
    "POST /v1/chat/completions", "POST /v1/completions", "POST /v1/responses",
    "POST /tokenize", "POST /detokenize", "POST /v1/audio/transcriptions", "POST /v1/audio/translations",
    "POST /v1/audio/speech", "POST /v1/embeddings", "POST /embed", "POST /v1/rerank", "POST /v2/rerank",
    "POST /rerank", "POST /v1/score", "POST /score",
    "GET /v2", "GET /v2/models/x", "GET /v2/models/x/ready", "GET /v2/models/x/versions/x",
    "GET /v2/models/x/versions/x/ready", "POST /v2/models/x/infer", "POST /v2/models/x/versions/x/infer",
    "POST /v2/repository/index",
}  # fmt: skip
OBSERVERS = {"GET /metrics", "GET /v1/fleet", "GET /v1/fleet/events"}
OPERATORS = {
    "POST /v1/models/x/load", "POST /v1/models/x/unload", "POST /v1/models/x/traffic",
    "GET /v1/fleet/parity", "GET /v1/keys",
    "POST /v2/repository/models/x/load", "POST /v2/repository/models/x/unload",
    "POST /v1/audio/voices", "DELETE /v1/audio/voices/x",
}  # fmt: skip


def app() -> FastAPI:
    fleet = Fleet.model_construct(version=1, nodes={}, models={})
    return create_app(Settings(_env_file=None, api_keys=KEY), fleet, LocalUpstream({}))


def routes(of: Any) -> Iterator[tuple[str, str]]:
    """(method, path with `x` for each parameter), mounts and included routers with theirs."""
    for route in of.routes:
        if isinstance(route, Exact):
            continue  # it has none but those behind it
        inner = getattr(route, "original_router", None) or getattr(route, "app", None)
        if getattr(route, "path", None) is None or not getattr(route, "methods", None):
            assert inner is not None, f"a route that nobody can look into: {route!r}"
            yield from routes(inner)
        else:
            for method in route.methods - {"HEAD"}:  # the door asks GET for it
                yield method, re.sub(r"\{.*?\}", "x", route.path)


ROUTES = sorted(set(routes(app())))


def named(what: Need) -> set[str]:
    return {f"{method} {path}" for method, path in ROUTES if need(method, path) == what}


def test_who_may_ask_what() -> None:
    assert len(ROUTES) > 25
    assert named("nothing") == OPEN
    assert named("key") == ANY_KEY
    assert named("observer") == OBSERVERS
    assert named("operator") >= OPERATORS


def test_docs_are_open_by_choice() -> None:
    for path in ("/docs", "/openapi.json"):
        assert need("GET", path, open_docs=True) == "nothing"
        assert need("POST", path, open_docs=True) == "operator"
    assert need("GET", "/docs/more", open_docs=True) == "operator"


@pytest.mark.parametrize(
    "path",
    ["//", "/console", "/console/", "/console/console.js/x", "/console/../v1/models", "/index.html",
     "//health", "/health/", "/Health", "/health\n", "/health/../v1/models", "/invocations", "/v1/new",
     "/v1/modelsx", "/admin", "/v1/load_lora_adapter", "/sleep", "/v1/chat/completions/", "/%68ealth",
     "/v2/", "/v2/modelsx/a/infer", "/v2/repository/models", "/v2/logging"],
)  # fmt: skip
def test_what_nobody_named_is_closed(path: str) -> None:
    assert need("GET", path) == need("POST", path) == "operator"


@pytest.fixture
async def stranger() -> httpx2.AsyncClient:
    transport = httpx2.ASGITransport(app(), raise_app_exceptions=False)
    return httpx2.AsyncClient(transport=transport, base_url="http://door")


async def test_cve_2026_22778_no_route_beside_the_ones_with_keys(stranger: httpx2.AsyncClient) -> None:
    """vLLM asks for its key under `/v1` only: `/invocations` led past it. Defence: `app/guard/needs.py` names
    what is open, and nothing else is; this goes through every route."""
    for method, path in [*ROUTES, ("POST", "/invocations"), ("POST", "/pooling"), ("GET", "/nothing")]:
        answer = await stranger.request(method, path)
        if f"{method} {path}" in WITHOUT_KEY:
            assert answer.status_code in (200, 503), path
        else:
            told = answer.json()
            said = told if isinstance(told["error"], str) else told["error"]
            assert (answer.status_code, said["code"]) == (401, "invalid_api_key"), path


async def test_cve_2026_27482_no_method_is_forgotten(stranger: httpx2.AsyncClient) -> None:
    """Ray kept browsers out by a list of methods, without DELETE. Defence: what is not allowed is closed."""
    for _, path in ROUTES:
        for method in ALL_METHODS:
            asked = "GET" if method == "HEAD" else method
            if f"{asked} {path}" not in WITHOUT_KEY:
                assert (await stranger.request(method, path)).status_code == 401, f"{method} {path}"


async def test_a_route_that_somebody_adds_is_closed() -> None:
    """For strangers, and for keys that are no operator's."""
    more = app()

    @more.get("/v1/added")
    async def added() -> str:
        return "here"

    transport = httpx2.ASGITransport(more, raise_app_exceptions=False)
    async with httpx2.AsyncClient(transport=transport, base_url="http://door") as client:
        assert (await client.get("/v1/added")).status_code == 401
        allowed = await client.get("/v1/added", headers={"authorization": f"Bearer {KEY}"})
        assert allowed.json() == "here"
    assert need("GET", "/v1/added") == "operator"


async def test_a_websocket_is_closed() -> None:
    sent: list[dict[str, Any]] = []

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        return {"type": "websocket.connect"}

    scope = {"type": "websocket", "path": "/v1/realtime", "headers": [], "query_string": b""}
    await app()(scope, receive, send)
    assert sent == [{"type": "websocket.close", "code": 1008}]
