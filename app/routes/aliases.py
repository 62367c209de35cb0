"""Path aliases: `/llm/v1/chat/completions` is `/v1/chat/completions` with `llm` for a model."""

from starlette.types import ASGIApp, Receive, Scope, Send

from app.catalogue import Catalogue
from app.telemetry.visit import Visit

# What lies beside `/v1` and can be asked of one model.
BESIDE = frozenset({"ready", "tokenize", "detokenize", "embed", "rerank", "score", "v2/rerank"})


class AliasPaths:
    """Takes a first path segment that names a model (or alias) off, and notes it on the visit.

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
        first, slash, rest = scope["path"].removeprefix("/").partition("/")
        if slash and (rest in BESIDE or rest.startswith("v1/")) and self.catalogue.has(first):
            Visit.of(scope).alias = first
            scope["path"] = f"/{rest}"
            scope["raw_path"] = scope["path"].encode()
