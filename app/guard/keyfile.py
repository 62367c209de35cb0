"""The keys file: JSON, with digests in the place of keys. Written by `motley keys`, read by every door."""

import contextlib
import fcntl
import json
import os
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    model_validator,
)

from app.guard import mint
from app.guard.limits import Limits
from app.guard.scopes import Priority, Scopes


class KeysError(Exception):
    """The keys cannot be used or changed so; the text says why, and holds none."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


def _sound(scope: str) -> str:
    Scopes.parsed((scope,))
    return scope


Scope = Annotated[str, AfterValidator(_sound)]


def _counted(amounts: dict[str, int]) -> dict[str, int]:
    Limits.parsed(amounts)
    return amounts


Amounts = Annotated[dict[str, int], AfterValidator(_counted)]


class Secret(_Strict):
    """What is kept of one key that was handed out: hexadecimal HMAC-SHA-256."""

    digest: str = Field(pattern=r"^[0-9a-f]{64}$")
    created: AwareDatetime
    expires: AwareDatetime | None = None


class Key(_Strict):
    """One key over its life: `secrets` has several while a rotation overlaps."""

    id: str = Field(pattern=r"^key_[0-9a-z]{1,32}$")
    owner: str = Field(min_length=1, max_length=128)
    scopes: tuple[Scope, ...]
    limits: Amounts = {}
    weight: int = Field(1, ge=1, le=1000)
    priority: Priority = "normal"
    created: AwareDatetime
    expires: AwareDatetime | None = None
    revoked: AwareDatetime | None = None
    secrets: tuple[Secret, ...] = Field(min_length=1)

    def state(self, now: datetime) -> Literal["valid", "expired", "revoked"]:
        if self.revoked is not None:
            return "revoked"
        return "expired" if self.expires is not None and self.expires <= now else "valid"


class Keys(_Strict):
    """The whole file."""

    version: Literal[1] = 1
    keys: tuple[Key, ...] = ()

    @model_validator(mode="after")
    def _unique(self) -> Self:
        ids = [key.id for key in self.keys]
        digests = [secret.digest for key in self.keys for secret in key.secrets]
        if len(set(ids)) < len(ids) or len(set(digests)) < len(digests):
            raise ValueError("two keys are the same")
        return self

    def named(self, key: str) -> Key:
        """By its id. Raises KeysError."""
        found = next((one for one in self.keys if one.id == key), None)
        if found is None:
            raise KeysError(f"there is no key '{key}'; `motley keys list` shows them")
        return found

    def with_one(self, key: Key) -> "Keys":
        """Added, or in the place of what it was."""
        if any(one.id == key.id for one in self.keys):
            return Keys(keys=tuple(key if one.id == key.id else one for one in self.keys))
        return Keys(keys=(*self.keys, key))


def created(
    owner: str,
    scopes: Sequence[str],
    pepper: bytes,
    now: datetime,
    lasts: timedelta | None,
    limits: Mapping[str, int] | None = None,
    weight: int = 1,
    priority: Priority = "normal",
) -> tuple[Key, str]:
    """A key, and its plain text. Raises KeysError."""
    plain = mint.made()
    one = Secret(digest=mint.digest(pepper, plain.encode()).hex(), created=now)
    try:
        key = Key(
            id=f"key_{os.urandom(5).hex()}", owner=owner, scopes=tuple(scopes), limits=dict(limits or {}),
            weight=weight, priority=priority, created=now,
            expires=None if lasts is None else now + lasts, secrets=(one,),
        )  # fmt: skip
    except ValidationError as error:
        raise KeysError(_first(error)) from None
    return key, plain


def rotated(key: Key, pepper: bytes, now: datetime, overlap: timedelta) -> tuple[Key, str]:
    """The same key with another secret; those before end after `overlap`. Raises KeysError."""
    if key.state(now) != "valid":
        raise KeysError(f"the key {key.id} is {key.state(now)}: create another")
    plain = mint.made()
    end = now + overlap
    kept = [
        old.model_copy(update={"expires": end if old.expires is None else min(end, old.expires)})
        for old in key.secrets
        if old.expires is None or old.expires > now
    ]
    new = Secret(digest=mint.digest(pepper, plain.encode()).hex(), created=now)
    return key.model_copy(update={"secrets": (*kept, new)}), plain


def revoked(key: Key, now: datetime) -> Key:
    return key.model_copy(update={"revoked": key.revoked or now})


def read(file: Path) -> Keys:
    """Raises KeysError."""
    try:
        return Keys.model_validate_json(file.read_bytes())
    except OSError as error:
        raise KeysError(f"the keys file {file} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise KeysError(f"the keys file {file} is not valid: {_first(error)}") from None


@contextlib.contextmanager
def changing(file: Path) -> Iterator[list[Keys]]:
    """What the file holds, to be replaced by what is appended: whole or not at all, and by one at a time.
    Raises KeysError."""
    file = file.resolve()  # a link stays one
    try:
        folder = os.open(file.parent, os.O_RDONLY)
    except OSError as error:
        raise KeysError(f"the folder {file.parent} cannot be opened: {error.strerror}") from None
    try:
        fcntl.flock(folder, fcntl.LOCK_EX)
        held = [read(file) if file.exists() else Keys()]
        before = held[0]
        yield held
        if held[-1] is not before:
            _write(file, held[-1])
        os.fsync(folder)
    finally:
        os.close(folder)


def _write(file: Path, keys: Keys) -> None:
    mode = file.stat().st_mode & 0o777 if file.exists() else 0o600
    try:
        number, name = tempfile.mkstemp(dir=file.parent, prefix=f".{file.name}.")
    except OSError as error:
        raise KeysError(f"the keys file {file} cannot be written: {error.strerror}") from None
    try:
        with open(number, "w") as out:
            out.write(json.dumps(keys.model_dump(mode="json", exclude_none=True), indent=1) + "\n")
            out.flush()
            os.fsync(number)
        os.chmod(name, mode)
        os.replace(name, file)
    except BaseException:
        os.unlink(name)
        raise


def now() -> datetime:
    return datetime.now(UTC).replace(microsecond=0)


def _first(error: ValidationError) -> str:
    """Where and what, without the value: somebody may have put a key there."""
    found = error.errors()[0]
    place = ".".join(map(str, found["loc"]))
    return f"{place}: {found['msg']}" if place else str(found["msg"])
