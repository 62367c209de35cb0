"""What each route asks of a caller: an allow-list. What is not on it is for operators, so that a route that
somebody forgot to put here is closed; the tests go through all there are."""

from typing import Literal

# `nothing`: not even a key. `key`: any; what it may do with which model is asked where the model is known.
Need = Literal["nothing", "key", "observer", "operator"]

# Whether the door lives is asked by what has no secrets: load balancers, kubelets, Ray.
_OPEN = ("/health", "/ready", "/-/healthz")
_DOCS = ("/docs", "/openapi.json")
_READ = ("/v1/models", "/v1/audio/voices")
_ASKED = frozenset({
    "/v1/chat/completions", "/v1/completions", "/v1/responses", "/tokenize", "/detokenize",
    "/v1/audio/transcriptions", "/v1/audio/translations", "/v1/audio/speech",
    "/v1/embeddings", "/embed", "/v1/rerank", "/v2/rerank", "/rerank", "/v1/score", "/score",
})  # fmt: skip
_SEEN = ("/metrics", "/v1/fleet")

_NEEDS: dict[tuple[str, str], Need] = {
    **{("GET", path): "nothing" for path in _OPEN},
    **{("GET", path): "key" for path in (*_READ, *_DOCS)},
    **{("POST", path): "key" for path in _ASKED},
    **{("GET", path): "observer" for path in _SEEN},
}


def need(method: str, path: str, *, open_docs: bool = False) -> Need:
    if open_docs and method == "GET" and path in _DOCS:
        return "nothing"
    found = _NEEDS.get((method, path))
    if found is None and method == "GET" and path.startswith(tuple(f"{one}/" for one in _READ)):
        return "key"
    return found or "operator"


def spends(method: str, path: str) -> bool:
    """Whether a request is one that limits are for: it asks a model."""
    return method == "POST" and path in _ASKED
