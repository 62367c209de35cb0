"""Routes found by their path instead of tried in turn: most have no parameters in it."""

from collections import defaultdict
from collections.abc import Iterable

from fastapi.routing import APIRoute
from starlette.routing import BaseRoute, Match
from starlette.types import Receive, Scope, Send


class Exact(BaseRoute):
    """Stands before the routes themselves, which are tried in turn for what it has not got."""

    def __init__(self, routes: Iterable[BaseRoute]) -> None:
        self._at: dict[str, list[APIRoute]] = defaultdict(list)
        for route in routes:
            if isinstance(route, APIRoute) and not route.param_convertors:
                self._at[route.path].append(route)

    def matches(self, scope: Scope) -> tuple[Match, Scope]:
        """Only whole matches: of a wrong method the others know what to say."""
        if scope["type"] == "http":
            for route in self._at.get(scope["path"], ()):
                match, found = route.matches(scope)
                if match is Match.FULL:
                    return match, found
        return Match.NONE, {}

    async def handle(self, scope: Scope, receive: Receive, send: Send) -> None:
        await scope["route"].handle(scope, receive, send)
