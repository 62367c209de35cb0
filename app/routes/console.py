"""`GET /`: the console, files that were built beforehand (`console/` has what they are made of).

They hold nothing of this door: whoever may see something gives a key to the page, which asks the routes
that everybody asks.
"""

import gzip
from functools import lru_cache
from hashlib import sha256
from importlib.resources import files

from fastapi import APIRouter, Request
from starlette.responses import Response

router = APIRouter(include_in_schema=False)

# By path. Whole names, not a folder: what else may lie there is nobody's.
FILES = {
    "/": ("index.html", "text/html; charset=utf-8"),
    "/console/console.js": ("console.js", "text/javascript; charset=utf-8"),
    "/console/console.css": ("console.css", "text/css; charset=utf-8"),
    "/console/icon.svg": ("icon.svg", "image/svg+xml"),
}

# Sounds and images that the page shows are its own, out of its memory.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
    "img-src 'self' data: blob:; media-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-opener-policy": "same-origin",
    "permissions-policy": "microphone=(self), camera=(), geolocation=()",
    # Asked again each time, and answered in a line while it is the same.
    "cache-control": "no-cache",
    "vary": "accept-encoding",
}


@lru_cache
def _read(name: str) -> tuple[bytes, bytes, str]:
    """A file, the same compressed, and its entity tag."""
    plain = files("app").joinpath("console", name).read_bytes()
    return plain, gzip.compress(plain, mtime=0), f'"{sha256(plain).hexdigest()[:20]}"'


async def page(request: Request) -> Response:
    name, kind = FILES[request.scope["path"]]
    plain, small, tag = _read(name)
    headers = {**HEADERS, "etag": f"W/{tag}"}
    if tag in request.headers.get("if-none-match", ""):
        return Response(status_code=304, headers=headers)
    if "gzip" in request.headers.get("accept-encoding", ""):
        return Response(small, media_type=kind, headers={**headers, "content-encoding": "gzip"})
    return Response(plain, media_type=kind, headers=headers)


for path in FILES:
    router.add_api_route(path, page, methods=["GET"])
