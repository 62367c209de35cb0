"""The whole front door, top to bottom. Knows neither Ray nor any engine."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version
from typing import Any

from fastapi import FastAPI
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app.catalogue import Catalogue
from app.errors import Boundary, on_http_exception, on_invalid
from app.fetch import Fetcher
from app.guard.body import BodyLimit
from app.guard.counters import Counters
from app.guard.keyring import Keyring
from app.guard.keys import Keys
from app.guard.limited import Limited
from app.guard.limits import HEADERS, Limiter
from app.guard.visitors import Visitors
from app.media.gate import Media
from app.routes import (
    chat,
    completions,
    console,
    embeddings,
    health,
    inference,
    keys,
    live,
    loading,
    models,
    parity,
    rerank,
    responses,
    speech,
    tokens,
    traffic,
    transcriptions,
    translations,
    usage,
    v2,
)
from app.routes import fleet as fleet_routes
from app.routes import voices as voice_routes
from app.routes.aliases import AliasPaths
from app.routes.desk import Desk
from app.routes.exact import Exact
from app.settings import MB, Settings
from app.telemetry.audit import Audit, Audited
from app.telemetry.capture import Capture, Captured, sink
from app.telemetry.logs import AccessLog
from app.telemetry.metrics import Metered, Meters
from app.telemetry.page import Alone, Doors
from app.telemetry.traces import Traced
from app.telemetry.visit import Visits
from app.upstream import Upstream
from app.upstream.billed import Billed
from app.upstream.chain import Chains
from app.upstream.chain.audio import Ears
from app.upstream.chain.hooks import Hooks
from app.upstream.circuit import Circuits
from app.upstream.cold import Cold
from app.upstream.fallback import Fallbacks
from app.upstream.retry import Retries
from app.upstream.samples import Samples
from app.upstream.trials import Shift, Trials
from app.usage.booked import Booked
from app.usage.ledger import kept
from app.voices import Voices
from backends.fleet.schema import Fleet
from backends.tracing import Tracing

FAMILIES = (
    chat, completions, responses, tokens, transcriptions, translations, speech, voice_routes, embeddings,
    rerank,
    models, loading, traffic, fleet_routes, live, parity, usage, keys, health, inference, v2, console,
)  # fmt: skip


class Described(FastAPI):
    """Says that a key is brought. FastAPI would have that as something to be solved for each request, though
    it is `Keys` that asks for them."""

    def openapi(self) -> dict[str, Any]:
        found = super().openapi()
        about = {"type": "http", "scheme": "bearer", "description": "Any, where no keys are set."}
        found["components"]["securitySchemes"] = {"HTTPBearer": about}
        found["security"] = [{"HTTPBearer": []}]
        return found


def create_app(
    settings: Settings,
    fleet: Fleet,
    upstream: Upstream,
    shift: Shift | None = None,
    doors: Doors | None = None,
    tracing: Tracing | None = None,
) -> FastAPI:
    """The app; its lifespan starts and closes `upstream`.

    `app.state.catalogue.update(public)` gives it another fleet while it serves. `shift`: how it declares
    another traffic to all doors; where none is given it is the only one, as where no `doors` are. Raises
    KeysError, CountersError and StoreFailed.
    """
    catalogue, meters, keyring = Catalogue(fleet), Meters(), Keyring.of(settings)
    shift = shift or catalogue.shift
    limiter, ledger = Limiter(Counters(settings.limits_url.get_secret_value())), kept(settings.usage)
    audit, capture = Audit(settings.audit), _capture(settings, meters)

    def rolled_back(model: str, variant: str, reason: str) -> None:
        meters.rolled_back(model, variant, reason)
        audit.note("door", "rollback", model=model, variant=variant, reason=reason)

    voices = Voices(settings.voices) if settings.voices else None
    if voices is not None:
        upstream = Samples(upstream, voices)
    # From the inside out: one attempt, which is paid for and counts for its variant, once the model is
    # loaded; a second one elsewhere; then another model. A chain asks all that for each of its steps.
    upstream = Billed(upstream, catalogue)
    upstream = Circuits(Trials(upstream, catalogue, shift, rolled_back))
    upstream = Fallbacks(Retries(Cold(upstream), catalogue), catalogue)
    ears = Ears(voices, settings.max_audio_s)
    upstream = Chains(upstream, catalogue, Hooks(settings.hooks), ears, meters.stepped)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await upstream.start()
        beside = [keyring.watch(), *([ledger.run()] if ledger else []), *([capture.run()] if capture else [])]
        running = [asyncio.create_task(work) for work in beside]
        try:
            yield
        finally:
            for work in running:
                work.cancel()
            await asyncio.wait(running)
            for kept_there in (limiter, ledger, capture):
                if kept_there is not None:
                    await kept_there.close()
            await upstream.close()
            if voices is not None:
                await voices.recordings.close()

    app = Described(
        title="Motley",
        summary="One OpenAI-compatible endpoint for a motley fleet of GPUs.",
        version=_version(),
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        # One file, and for lists of hints as many fields as there are hints; bytes, in memory, of each field.
        form_limits={"max_files": 2, "max_fields": 512, "max_part_size": 256 * 1024},
        exception_handlers={HTTPException: on_http_exception, RequestValidationError: on_invalid},
        # Outermost first. Metrics and keys see a path with its alias already taken off.
        middleware=[
            Middleware(Visits),
            Middleware(AccessLog),
            Middleware(AliasPaths, catalogue=catalogue),
            *([Middleware(Traced, tracing)] if tracing else []),
            Middleware(Metered, meters=meters),
            *([Middleware(Booked, ledger)] if ledger is not None else []),
            Middleware(Audited, audit),
            *_pages(settings.origins),
            Middleware(Boundary),
            Middleware(Keys, keyring, Visitors(settings.origins, settings.open_to_all), settings.open_docs),
            Middleware(Limited, limiter),
            Middleware(
                BodyLimit,
                json=int(settings.max_body_mb * MB),
                upload=int(settings.max_upload_mb * MB),
                grace_s=settings.body_s,
            ),
            *([Middleware(Captured, capture)] if capture else []),
        ],
    )
    app.state.catalogue, app.state.upstream, app.state.keyring = catalogue, upstream, keyring
    app.state.meters = meters
    everywhere = doors or Alone(meters)
    desk = Desk(settings, catalogue, upstream, everywhere, _media(settings), shift, voices, ledger)
    app.state.desk, app.state.live = desk, live.made(desk)
    for family in FAMILIES:
        app.router.routes.extend(family.router.routes)
    app.router.routes.insert(0, Exact(app.router.routes))
    return app


def _media(settings: Settings) -> Media:
    fetcher = Fetcher() if settings.fetch_media else None
    return Media(int(settings.max_body_mb * MB), settings.max_audio_s, fetcher)


def _capture(settings: Settings, meters: Meters) -> Capture | None:
    if not settings.capture:
        return None
    return Capture(sink(settings.capture), settings.capture_share, settings.hidden, meters.kept)


def _pages(origins: Sequence[str]) -> list[Middleware]:
    """Which web pages may use the door: with a key, as everybody; never with what a browser adds itself."""
    if not origins:
        return []
    told = ["x-request-id", "retry-after", "x-motley-variant", "x-motley-engine", "x-motley-fallback"]
    told += itertools.chain.from_iterable(HEADERS.values())
    cors = Middleware(
        CORSMiddleware, allow_origins=origins, allow_credentials=False,
        allow_methods=["GET", "POST", "DELETE"], allow_headers=["*"], expose_headers=told,
    )  # fmt: skip
    return [cors]


def _version() -> str:
    try:
        return version("motley")
    except PackageNotFoundError:
        return "0"
