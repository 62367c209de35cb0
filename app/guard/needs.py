"""What each route asks of a caller: an allow-list. What is not on it is for operators, so that a route that
somebody forgot to put here is closed; the tests go through all there are."""

from typing import Literal

# `nothing`: not even a key. `key`: any; what it may do with which model is asked where the model is known.
Need = Literal["nothing", "key", "observer", "operator"]

# Whether the door lives is asked by what has no secrets: load balancers, kubelets, Ray.
_OPEN = ("/health", "/ready", "/-/healthz", "/v2/health/live", "/v2/health/ready")
# Files of the console: they are the same for everybody, and hold nothing of this door.
_PAGES = ("/", "/console/console.js", "/console/console.css", "/console/icon.svg")
_DOCS = ("/docs", "/openapi.json")
_READ = ("/v1/models", "/v1/audio/voices", "/v2/models")
_OWN = ("/v1/usage", "/v2")
_ASKED = frozenset({
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize",
    "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech",
    "/v1/embeddings", "/embed", "/v1/rerank", "/v2/rerank", "/rerank", "/v1/score", "/score",
})  # fmt: skip
_SEEN = ("/metrics", "/v1/fleet", "/v1/fleet/events")

_NEEDS: dict[tuple[str, str], Need] = {
    **{("GET", path): "nothing" for path in (*_OPEN, *_PAGES)},
    **{("GET", path): "key" for path in (*_READ, *_DOCS, *_OWN)},
    **{("POST", path): "key" for path in (*_ASKED, "/v2/repository/index")},
    **{("GET", path): "observer" for path in _SEEN},
}


def need(method: str, path: str, *, open_docs: bool = False) -> Need:
    if open_docs and method == "GET" and path in _DOCS:
        return "nothing"
    found = _NEEDS.get((method, path))
    if found is None and method == "GET" and path.startswith(tuple(f"{one}/" for one in _READ)):
        return "key"
    if method == "POST" and infers(path):
        return "key"
    return found or "operator"


def infers(path: str) -> bool:
    """Whether it is where the open inference protocol asks a model."""
    return path.startswith("/v2/models/") and path.endswith("/infer")


def spends(method: str, path: str) -> bool:
    """Whether a request is one that limits are for: it asks a model."""
    return method == "POST" and (path in _ASKED or infers(path))
