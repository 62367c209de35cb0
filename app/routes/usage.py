"""`GET /v1/usage`: what was used, by whom, of which model, when."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.errors import Json
from app.routes.desk import AtDesk, caller
from app.usage.entries import ACCOUNT
from app.usage.ledger import Asked, StoreFailed
from app.wire.usage import UsageQuery
from backends.contract.errors import Forbidden, Overloaded, RouteNotFound

router = APIRouter(tags=["usage"])


class Row(BaseModel):
    """Of `key` to `hour`, those that were kept apart. Seconds of sound that was heard, characters of text
    that was spoken, share x seconds of GPUs. `hour`: its beginning, in UTC."""

    key: str | None = None
    model: str | None = None
    verb: str | None = None
    variant: str | None = None
    hour: datetime | None = None
    requests: int
    errors: int
    prompt_tokens: int
    completion_tokens: int
    audio_seconds: float
    characters: int
    gpu_seconds: float


class Rows(BaseModel):
    object: Literal["list"]
    data: list[Row]
    has_more: bool


@router.get("/v1/usage", summary="What was used", response_model=None, responses={200: {"model": Rows}})
async def usage(asked: Annotated[UsageQuery, Query()], request: Request, desk: AtDesk) -> Response:
    """Sums of the caller's own key; for observers of all keys, or of one. 404 where no usage is kept."""
    if desk.ledger is None:
        raise RouteNotFound("No usage is kept here: the operator has set no MOTLEY_USAGE_URL")
    given = {name: getattr(asked, name) for name in ACCOUNT if name != "hour"}
    wanted = Asked(
        where={name: value for name, value in given.items() if value is not None} | _own(request, asked.key),
        by=[name for name in ACCOUNT if name in asked.by.split(",")],
        since=_seconds(asked.since),
        until=_seconds(asked.until),
        most=asked.limit + 1,
    )
    try:
        rows = await desk.ledger.rows(wanted)
    except StoreFailed:
        raise Overloaded("The database of usage does not answer", retry_after=5) from None
    told = [_told(row) for row in rows[: asked.limit]]
    return Json({"object": "list", "data": told, "has_more": len(rows) > asked.limit})


def _own(request: Request, key: str | None) -> dict[str, str]:
    """What else must be so of what this caller sees. Raises Forbidden."""
    asker = caller(request)
    if "observer" in asker.scopes.offices:
        return {}
    if key not in (None, asker.key):
        raise Forbidden("Of other keys only observers see the usage", code="scope_missing", param="key")
    return {"key": asker.key}


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())


def _told(row: dict[str, Any]) -> dict[str, Any]:
    if "hour" not in row:
        return row
    return {**row, "hour": datetime.fromtimestamp(row["hour"], UTC).strftime("%Y-%m-%dT%H:%M:%SZ")}
