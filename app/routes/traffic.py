"""`POST /v1/models/{model}/traffic`: another split of a model's requests, for operators."""

from fastapi import APIRouter
from pydantic import BaseModel
from starlette.responses import Response

from app.errors import Json
from app.routes.desk import AtDesk
from app.wire.traffic import Split
from backends.contract.errors import InvalidRequest, Overloaded
from backends.fleet.traffic import TrafficRefused, complete, shifted

router = APIRouter(tags=["models"])


class Shifted(BaseModel):
    """Per cent of every variant, as declared and as it was; every door has it within a second."""

    model: str
    traffic: dict[str, int]
    before: dict[str, int]
    changed: bool


@router.post(
    "/v1/models/{model:path}/traffic",
    summary="Split a model's requests",
    response_model=None,
    responses={200: {"model": Shifted}},
)
async def traffic(model: str, body: Split, desk: AtDesk) -> Response:
    """Per cent per variant, 100 in all; who is not named gets nothing. So do `motley traffic`, `promote` (100
    to one) and `rollback` (`before` in `GET /v1/fleet`); the next deploy puts the file's split in force."""
    name, found = desk.catalogue.resolve(model)
    try:
        after = shifted(desk.catalogue.public, name, body.shares, 0)
    except TrafficRefused as refused:
        raise InvalidRequest(str(refused), param="shares") from None
    before, wanted = complete(found), complete(after.fleet.models[name])
    if before != wanted and not await desk.shift(name, before, wanted, ""):
        raise Overloaded("The traffic was changed by somebody else just now: look again", retry_after=1)
    return Json({"model": name, "traffic": wanted, "before": before, "changed": before != wanted})
