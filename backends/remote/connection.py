"""One HTTP client to one server, and what its refusals mean here.

Where a request goes is the fleet's to say: no redirect is followed, no proxy or password is taken
from the environment or from a `.netrc`.
"""

import asyncio
import logging
from collections.abc import AsyncGenerator, Mapping
from contextlib import asynccontextmanager
from http.cookiejar import CookieJar, DefaultCookiePolicy
from typing import Any, Protocol, cast

import httpx
import orjson

from backends.contract.errors import EngineFailed, GatewayError, ModelDown, UpstreamTimeout
from backends.remote.answers import document
from backends.remote.refusals import Cleaner, refusal

log = logging.getLogger(__name__)

# Of a refusal no more is read than this: it is only looked at for its envelope.
_MOST_OF_A_REFUSAL = 64 * 1024
_IDLE = 32
JSON = {"content-type": "application/json"}


class Where(Protocol):
    """What of the engine's options concerns the connection. Times in seconds."""

    base_url: str
    headers: dict[str, str]
    connect_s: float
    read_s: float
    connect_retries: int


class Connection:
    """`key`: sent as a bearer token. `public`: the model's name here, `model`: its name there."""

    def __init__(self, where: Where, public: str, model: str, key: str | None) -> None:
        self._base, self._key = where.base_url, key
        self._public, self._model = public, model
        # Compressed events would wait in the compressor for more of their kind.
        headers = {"user-agent": "motley", "accept-encoding": "identity", **where.headers}
        if key is not None:
            headers["authorization"] = f"Bearer {key}"
        transport = httpx.AsyncHTTPTransport(
            # The environment may name the certificates to trust, and nothing else. Reading them takes
            # a while, and plain HTTP has no use for them.
            verify=where.base_url.startswith("https:") and httpx.create_ssl_context(trust_env=True),
            trust_env=False,
            retries=where.connect_retries,
            # The host's gate says how many run at once.
            limits=httpx.Limits(max_connections=None, max_keepalive_connections=_IDLE),
        )
        self._client = httpx.AsyncClient(
            transport=transport,
            headers=headers,
            timeout=httpx.Timeout(where.read_s, connect=where.connect_s, pool=None),
            # A cookie that one caller's answer sets would go with the next caller's request.
            cookies=CookieJar(DefaultCookiePolicy(allowed_domains=())),
            trust_env=False,
            follow_redirects=False,
        )
        self.busy = 0

    async def close(self) -> None:
        await self._client.aclose()

    @asynccontextmanager
    async def post(self, path: str, request_id: str, **body: Any) -> AsyncGenerator[httpx.Response, None]:
        """A begun answer with status 200; whoever leaves the block hangs up. `body` is httpx's:
        `content`, or `data` with `files`.

        Raises what the server's refusal means (`refusals`), ModelDown when it cannot be reached,
        UpstreamTimeout when it is silent for too long, EngineFailed when the connection breaks;
        the same for whatever happens inside the block.
        """
        request = self._client.build_request("POST", f"{self._base}/{path}", **body)
        request.headers["x-request-id"] = request_id
        self.busy += 1
        try:
            response = await self._client.send(request, stream=True)
            try:
                if response.status_code != httpx.codes.OK:
                    raise await self._refused(response, request_id)
                yield response
            finally:
                await response.aclose()
        except httpx.HTTPError as error:
            raise self._broken(error, request_id) from None
        finally:
            self.busy -= 1

    async def json(self, path: str, request_id: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Ask with JSON, and read an answer of JSON. Raises as `post` does, EngineFailed where the
        answer is no object."""
        raw = orjson.dumps(body)
        async with self.post(path, request_id, content=raw, headers=JSON) as response:
            return document(await response.aread())

    @staticmethod
    def body(response: httpx.Response) -> AsyncGenerator[bytes, None]:
        """The body's bytes as they come. httpx calls its generator an iterator, but one that is left
        must be closed."""
        return cast("AsyncGenerator[bytes, None]", response.aiter_bytes())

    async def _refused(self, response: httpx.Response, request_id: str) -> GatewayError:
        """What the server said goes to the operator's log as far as its envelope tells; its text may
        hold what a stranger must not see."""
        raw = bytearray()
        async for piece in response.aiter_bytes():
            raw += piece
            if len(raw) > _MOST_OF_A_REFUSAL:
                break
        cleaner = Cleaner(self._key, self._model, self._public)
        error = refusal(response.status_code, response.headers, bytes(raw), cleaner)
        log.warning(
            "the remote server answered %d, passed on as %s",
            response.status_code, error.code, extra={"request_id": request_id},
        )  # fmt: skip
        return error

    def _broken(self, error: httpx.HTTPError, request_id: str) -> GatewayError:
        log.warning("asking the remote server: %s", type(error).__name__, extra={"request_id": request_id})
        if isinstance(error, (httpx.ConnectError, httpx.ConnectTimeout)):
            return ModelDown(f"the server behind the model `{self._public}` cannot be reached")
        if isinstance(error, httpx.TimeoutException):
            return UpstreamTimeout(f"the server behind the model `{self._public}` did not answer in time")
        return EngineFailed(f"the server behind the model `{self._public}` broke the connection")


async def connect(where: Where, public: str, model: str, key: str | None) -> Connection:
    """Reads the certificates in a thread. Does not ask the server anything."""
    # httpx writes the address of each request at level info.
    logging.getLogger("httpx").setLevel(logging.WARNING)
    return await asyncio.to_thread(Connection, where, public, model, key)
