"""The whole front door, top to bottom. Knows neither Ray nor any engine."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from importlib.metadata import PackageNotFoundError, version

from fastapi import Depends, FastAPI
from fastapi.exceptions import RequestValidationError
from fastapi.security import HTTPBearer
from prometheus_fastapi_instrumentator.middleware import PrometheusInstrumentatorMiddleware
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware

from app.catalogue import Catalogue
from app.errors import Boundary, on_http_exception, on_invalid
from app.guard.body import BodyLimit
from app.guard.keyring import Keyring
from app.guard.keys import Keys
from app.guard.limited import Limited
from app.guard.visitors import Visitors
from app.routes import (
    chat,
    completions,
    embeddings,
    health,
    loading,
    models,
    parity,
    rerank,
    responses,
    speech,
    tokens,
    transcriptions,
    translations,
)
from app.routes import fleet as fleet_routes
from app.routes import voices as voice_routes
from app.routes.aliases import AliasPaths
from app.routes.desk import Desk
from app.settings import MB, Settings
from app.telemetry.logs import AccessLog
from app.telemetry.metrics import Metered, Meters
from app.telemetry.visit import Visits
from app.upstream import Upstream
from app.upstream.chain import Chains
from app.upstream.chain.audio import Ears
from app.upstream.chain.hooks import Hooks
from app.upstream.circuit import Circuits
from app.upstream.cold import Cold
from app.upstream.fallback import Fallbacks
from app.upstream.retry import Retries
from app.upstream.samples import Samples
from app.upstream.trials import Shift, Trials
from app.voices import Voices
from backends.fleet.schema import Fleet

FAMILIES = (
    chat, completions, responses, tokens, transcriptions, translations, speech, voice_routes, embeddings,
    rerank,
    models, loading, fleet_routes, parity, health,
)  # fmt: skip


def create_app(settings: Settings, fleet: Fleet, upstream: Upstream, shift: Shift | None = None) -> FastAPI:
    """The app; its lifespan starts and closes `upstream`.

    `app.state.catalogue.update(public)` gives it another fleet while it serves. `shift`: how it declares
    another traffic to all doors; where none is given it is the only one. Raises KeysError.
    """
    catalogue, meters, keyring = Catalogue(fleet), Meters(), Keyring.of(settings)
    voices = Voices(settings.voices) if settings.voices else None
    if voices is not None:
        upstream = Samples(upstream, voices)
    # From the inside out: one attempt, which counts for its variant, once the model is loaded; a second one
    # elsewhere; then another model. A chain asks all that for each of its steps.
    upstream = Circuits(Trials(upstream, catalogue, shift or catalogue.shift, meters.rolled_back))
    upstream = Fallbacks(Retries(Cold(upstream), catalogue), catalogue)
    ears = Ears(voices, settings.max_audio_s)
    upstream = Chains(upstream, catalogue, Hooks(settings.hooks), ears, meters.stepped)

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        await upstream.start()
        watching = asyncio.create_task(keyring.watch())
        try:
            yield
        finally:
            watching.cancel()
            await upstream.close()
            if voices is not None:
                await voices.recordings.close()

    app = FastAPI(
        title="Motley",
        summary="One OpenAI-compatible endpoint for a motley fleet of GPUs.",
        version=_version(),
        lifespan=lifespan,
        redirect_slashes=False,
        redoc_url=None,
        swagger_ui_oauth2_redirect_url=None,
        # Shows the scheme; `Keys` asks, before the body is read.
        dependencies=[Depends(HTTPBearer(auto_error=False, description="Any, where no keys are set."))],
        exception_handlers={HTTPException: on_http_exception, RequestValidationError: on_invalid},
        # Outermost first. Metrics and keys see a path with its alias already taken off.
        middleware=[
            Middleware(Visits),
            Middleware(AccessLog),
            Middleware(Metered, meters=meters),
            Middleware(AliasPaths, catalogue=catalogue),
            Middleware(PrometheusInstrumentatorMiddleware, registry=meters.registry),
            *_pages(settings.origins),
            Middleware(Boundary),
            Middleware(Keys, keyring, Visitors(settings.origins, settings.open_to_all), settings.open_docs),
            Middleware(Limited),
            Middleware(
                BodyLimit, json=int(settings.max_body_mb * MB), upload=int(settings.max_upload_mb * MB)
            ),
        ],
    )
    app.state.catalogue, app.state.upstream, app.state.keyring = catalogue, upstream, keyring
    app.state.desk = Desk(settings, catalogue, upstream, meters, voices)
    for family in FAMILIES:
        app.include_router(family.router)
    return app


def _pages(origins: Sequence[str]) -> list[Middleware]:
    """Which web pages may use the door: with a key, as everybody; never with what a browser adds itself."""
    if not origins:
        return []
    told = ["x-request-id", "retry-after", "x-motley-variant", "x-motley-engine", "x-motley-fallback"]
    told += [f"x-ratelimit-{what}-requests" for what in ("limit", "remaining", "reset")]
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
