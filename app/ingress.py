"""The door as a Serve application: the app, told of the fleet by `user_config`."""

import ctypes
import logging
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from prometheus_client.core import Metric
from ray import serve
from ray.serve import Application
from ray.serve.handle import DeploymentHandle
from starlette.middleware import Middleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.intake import Paced
from backends.fleet import DOOR

log = logging.getLogger(__name__)

Headers = Iterable[tuple[bytes, bytes]]
REQUEST_ID = b"x-request-id"
LARGE_BLOCK = 1 << 20
M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3  # <malloc.h>
ANSWER_S = 2.0  # how long another door may take to say what it counted
STEERING = (b"x-request-timeout-seconds", b"x-request-disconnect-disabled")


@serve.deployment
@serve.ingress()
class Door:
    """One process of the front door.

    The fleet comes as `user_config`: Serve applies a new one in place, in every door, without
    replacing a process or dropping a request.
    """

    def __init__(self) -> None:
        # Here, not above: Serve imports this module in a process of its own to build the
        # application, which needs nothing of it.
        from app.intake import Taking
        from app.main import create_app
        from app.settings import Settings
        from app.telemetry.logs import configure
        from app.upstream.ray import RayUpstream
        from backends.fleet.schema import Fleet
        from backends.fleet.traffic import Public
        from backends.serve.controller import shift
        from backends.serve.inward import inward
        from backends.tracing import tracing

        _give_large_blocks_back()
        inward()
        self._public = Public
        settings = Settings()
        configure(settings)
        # Serve hands over `user_config` after construction and before the first request.
        nothing = Fleet.model_construct(version=1, nodes={}, models={})
        self._app = create_app(settings, nothing, RayUpstream(), shift, Doors(self), tracing("motley"))
        self._app.add_middleware(Taking)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._app

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self._app.state.catalogue.update(self._public.model_validate(user_config))

    def counted(self) -> tuple[str, Sequence[Metric]]:
        """By this process, whose id it begins with."""
        return serve.get_replica_context().replica_tag, self._app.state.meters.counted()


class Doors:
    """All of them, asked by Ray: behind one address each question comes to another."""

    def __init__(self, own: Any) -> None:
        self._own = own
        self._handle: DeploymentHandle[Any] | None = None

    async def counted(self) -> Mapping[str, Sequence[Metric]]:
        told: list[Any] = []
        try:
            self._handle = self._handle or DeploymentHandle("Door", DOOR)
            asked = self._handle.broadcast("counted")
            told = await asked.results_async(timeout_s=ANSWER_S, return_exceptions=True)
        except Exception:
            log.warning("the other doors do not say what they counted", exc_info=True)
        # Those that failed are exceptions here.
        return dict([*(one for one in told if isinstance(one, tuple)), self._own.counted()])


def _give_large_blocks_back() -> None:
    """… to the system, as soon as they are free. glibc keeps them once it has seen one, for each of its
    arenas: a door that takes uploads of 20 MB grew by hundreds. In this process alone: engines would
    pay with page faults for every tensor.
    """
    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:  # musl and macOS have none
        mallopt(M_MMAP_THRESHOLD, LARGE_BLOCK)
        mallopt(M_TRIM_THRESHOLD, LARGE_BLOCK)


class BeforeServe:
    """Stands before Serve's own handling of a request, in every process that listens.

    Serve obeys two headers of any client: one ends a request early, in plain text, the other
    keeps an abandoned one running. Neither gets through, nor does a request id that it could not
    decode. And Serve appends a request id to each answer, as our app does: the client would read
    `id, id`. The first, which is ours, stays.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def once(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = _without_repeats(message["headers"], REQUEST_ID)
            await send(message)

        if scope["type"] == "http":
            scope["headers"] = [header for header in scope["headers"] if _harmless(*header)]
        await self._app(scope, receive, once)


def _harmless(name: bytes, value: bytes) -> bool:
    return name not in STEERING and (name != REQUEST_ID or (value.isascii() and len(value) <= 128))


def _without_repeats(headers: Headers, name: bytes) -> list[tuple[bytes, bytes]]:
    first = next((header for header in headers if header[0].lower() == name), None)
    return [header for header in headers if header is first or header[0].lower() != name]


def before_serve() -> list[Middleware]:
    """Serve's hook, named in the cluster's environment (`backends/render/environment.py`)."""
    return [Middleware(BeforeServe), Middleware(Paced)]


def door(_args: dict[str, Any]) -> Application:
    """The builder that the declarative config names."""
    return cast(Application, Door.bind())  # type: ignore[attr-defined]
