"""`GET /v1/keys`: whose keys there are, for operators. Keys are made and taken back by `motley keys`."""

import asyncio
from datetime import datetime
from typing import Any, Literal

from fastapi import APIRouter, Request
from pydantic import BaseModel
from starlette.responses import Response

from app.errors import Json
from app.guard import keyfile
from app.guard.keyfile import Key, KeysError
from app.guard.keyring import Keyring
from backends.contract.errors import Overloaded

router = APIRouter(tags=["keys"])


class Entry(BaseModel):
    """What is known of a key; neither it nor its digest."""

    id: str
    owner: str
    scopes: list[str]
    limits: dict[str, int]
    weight: int
    priority: str
    created: datetime
    expires: datetime | None
    state: Literal["valid", "expired", "revoked"]


class Entries(BaseModel):
    object: Literal["list"]
    data: list[Entry]
    static: int


@router.get("/v1/keys", summary="List keys", response_model=None, responses={200: {"model": Entries}})
async def keys(request: Request) -> Response:
    """Those of the keys file. `static`: how many more the door's settings hold, which may do everything."""
    keyring: Keyring = request.app.state.keyring
    try:
        found = await asyncio.to_thread(keyfile.read, keyring.file) if keyring.file is not None else None
    except KeysError:
        raise Overloaded("The keys file cannot be read; the keys from before stay in force") from None
    now = keyfile.now()
    listed = [_entry(key, now) for key in found.keys] if found is not None else []
    return Json({"object": "list", "data": listed, "static": keyring.static})


def _entry(key: Key, now: datetime) -> dict[str, Any]:
    told = key.model_dump(mode="json", exclude={"secrets", "revoked"})
    return {**told, "state": key.state(now)}
