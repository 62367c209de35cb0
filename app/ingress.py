"""The door as a Serve application: the app, told of the fleet by `user_config`."""

from typing import Any, cast

from ray import serve
from ray.serve import Application
from starlette.types import ASGIApp, Message, Receive, Scope, Send



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
        from app.main import create_app
        from app.settings import Settings
        from app.telemetry.logs import configure
        from app.upstream.ray import RayUpstream
        from backends.fleet.schema import Fleet

        self._fleet = Fleet
        settings = Settings()
        configure(settings)
        # Serve hands over `user_config` after construction and before the first request.
        nothing = Fleet.model_construct(version=1, nodes={}, models={})
        self._app = create_app(settings, nothing, RayUpstream())

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return OneRequestId(self._app)

    def reconfigure(self, user_config: dict[str, Any]) -> None:
        self._app.state.catalogue.update(self._fleet.model_validate(user_config["fleet"]))


class OneRequestId:
    """Serve appends the request id to every answer, as our app does: two would reach the client
    as `id, id`. Ours goes where they are the same."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        given = dict(scope.get("headers", ())).get(b"x-request-id")

        async def once(message: Message) -> None:
            if message["type"] == "http.response.start":
                ours = (b"x-request-id", given)
                message["headers"] = [header for header in message["headers"] if header != ours]
            await send(message)

        await self._app(scope, receive, once)


def door(_args: dict[str, Any]) -> Application:
    """The builder that the declarative config names."""
    return cast(Application, Door.bind())  # type: ignore[attr-defined]
