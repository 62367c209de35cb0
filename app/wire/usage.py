"""What may be asked of `GET /v1/usage`."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from app.usage.entries import ACCOUNT
from backends.contract.tasks import Verb

MOST = 10_000


def _kept_apart(given: str) -> str:
    for name in given.split(","):
        if name not in ACCOUNT:
            raise ValueError(f"write some of {', '.join(ACCOUNT)}, with commas between")
    return given


def _utc(given: datetime) -> datetime:
    return given.replace(tzinfo=UTC) if given.tzinfo is None else given


Moment = Annotated[datetime, AfterValidator(_utc)]


class UsageQuery(BaseModel):
    """`since` and `until`: hours that begin from the one on and before the other; UTC unless they say."""

    model_config = ConfigDict(extra="forbid")

    key: str | None = Field(None, description="A key's id. Of others than one's own: for observers.")
    model: str | None = Field(None, description="The model's own name: of who answered.")
    verb: Verb | None = None
    variant: str | None = None
    since: Moment | None = None
    until: Moment | None = None
    by: Annotated[str, AfterValidator(_kept_apart)] = Field(
        "key,model,verb,variant", description=f"What is kept apart, of {', '.join(ACCOUNT)}."
    )
    limit: int = Field(1000, ge=1, le=MOST, description="Rows, at most.")
