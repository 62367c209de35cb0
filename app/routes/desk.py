"""What every route has at hand, and the one way from a public name to a target."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Annotated, cast

from fastapi import Depends, Request

from app.catalogue import Catalogue, Target
from app.guard.scopes import Caller
from app.media.gate import Media
from app.settings import Settings
from app.telemetry.page import Doors
from app.telemetry.visit import Visit
from app.upstream import Upstream
from app.upstream.trials import Shift
from app.usage.ledger import Ledger
from app.vocabulary import Vocabulary
from app.voices import Voices
from backends.contract.state import VariantState
from backends.contract.tasks import Verb, current_asker
from backends.fleet.live import explained


@dataclass(frozen=True, slots=True)
class Desk:
    settings: Settings
    catalogue: Catalogue
    upstream: Upstream
    doors: Doors
    media: Media
    shift: Shift
    voices: Voices | None = None
    ledger: Ledger | None = None
    vocabulary: Vocabulary = field(default_factory=Vocabulary)

    def states(self) -> Mapping[str, VariantState]:
        """Of every variant, and of one that waits for a place why it does."""
        return explained(self.catalogue.fleet, self.upstream.nodes(), self.upstream.states())

    async def inspect(self) -> Mapping[str, VariantState]:
        """`states` with the live figures of the replicas."""
        found = await self.upstream.inspect()
        return explained(self.catalogue.fleet, self.upstream.nodes(), found)

    def target(self, request: Request, verb: Verb, model: str | None, user: str | None = None) -> Target:
        """Who answers; noted on the visit, as the caller is on the tasks made from now on. A model not named
        is the path's alias.

        Raises InvalidRequest, ModelNotFound, Forbidden, TaskUnsupported, and (without a fallback) NotReady
        and ModelDown, in that order and before any work.
        """
        visit = Visit.of(request.scope)
        visit.asked = (visit.alias if model is None else model) or ""
        asking = caller(request)
        may = partial(asking.may, verb)
        visit.target = self.catalogue.target(visit.asked, verb, user or None, self.upstream.states(), may)
        current_asker.set(asking.asker)
        return visit.target


def caller(request: Request) -> Caller:
    """Who asks, on a route that strangers do not reach."""
    found = Visit.of(request.scope).caller
    assert found is not None
    return found


async def _desk(request: Request) -> Desk:  # FastAPI runs plain functions in a thread
    return cast(Desk, request.app.state.desk)


AtDesk = Annotated[Desk, Depends(_desk)]
