"""Path aliases: `/llm/v1/chat/completions` is `/v1/chat/completions` with `llm` for a model. And KServe's
ways of saying the same: the host `llm-predictor.NAMESPACE`, and `/openai/v1/…` for `/v1/…`."""

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Receive, Scope, Send

from app.catalogue import Catalogue
from app.telemetry.visit import Visit

# What lies beside `/v1` and can be asked of one model.
BESIDE = frozenset({"ready", "tokenize", "detokenize", "embed", "rerank", "score", "v2"})
PREDICTOR, KSERVES = "-predictor", "openai/"


class AliasPaths:
    """Takes a first path segment that names a model (or alias) off, and notes it on the visit. Where there
    is none, a host that KServe would have for a model says the same.

    Also lets HEAD ask whatever GET answers: the server leaves the body out by itself.
    """

    def __init__(self, app: ASGIApp, catalogue: Catalogue) -> None:
        self.app, self.catalogue = app, catalogue

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http":
            # A copy: the server and the access log keep the request as it came.
            scope = {**scope}
            if scope["method"] == "HEAD":
                scope["method"] = "GET"
            self._take_alias(scope)
        await self.app(scope, receive, send)

    def _take_alias(self, scope: Scope) -> None:
        visit, path = Visit.of(scope), scope["path"].removeprefix("/")
        first, slash, rest = path.partition("/")
        if slash and _of_one(rest) and self.catalogue.has(first):
            visit.alias, path = first, rest
        elif _of_one(path):
            name = predictor(Headers(scope=scope).get("host", ""))
            if name is not None and self.catalogue.has(name):
                visit.alias, visit.by_host = name, True
        path = path.removeprefix(KSERVES) if path.startswith(f"{KSERVES}v1/") else path
        if f"/{path}" != scope["path"]:
            scope["path"] = f"/{path}"
            scope["raw_path"] = scope["path"].encode()


def predictor(host: str) -> str | None:
    """`whisper-predictor.ai-ml.svc.cluster.local:8000` → `whisper`, whatever follows the first dot."""
    first = host.partition(":")[0].partition(".")[0].lower()
    return first.removesuffix(PREDICTOR) if first.endswith(PREDICTOR) else None


def _of_one(path: str) -> bool:
    """Whether it can be asked of one model."""
    return path in BESIDE or path.startswith(("v1/", "v2/", f"{KSERVES}v1/"))
