"""Whose key is this? From memory; the file is looked at beside the requests."""

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from secrets import token_bytes
from typing import Self

from app.guard import keyfile, mint
from app.guard.keyfile import KeysError
from app.guard.limits import Limits
from app.guard.scopes import ALL, ANYONE, Caller, Scopes
from app.settings import Settings
from backends.contract.errors import Unauthenticated

log = logging.getLogger(__name__)

LOOK_S = 1.0
LEAST_PEPPER = 16
LONGEST = 512  # characters of a key


@dataclass(frozen=True, slots=True)
class Entry:
    """`until`: Unix seconds."""

    caller: Caller
    until: float = float("inf")
    revoked: bool = False


class Keyring:
    """`static`: keys of the settings, which may do everything. `file`: re-read when it changes; a change that
    cannot be read is logged, and the last word stays.

    Nothing plain is kept. A key is looked for by its digest: how long that takes tells of the digest, which
    nobody can aim at without the pepper, and nothing of any key.
    """

    def __init__(
        self, static: tuple[str, ...] = (), file: Path | None = None, pepper: bytes = b"",
        clock: Callable[[], float] = time.time,
    ) -> None:  # fmt: skip
        self.on = bool(static) or file is not None
        self.file, self._clock, self._stamp = file, clock, _stamp(file)
        self._pepper = pepper or token_bytes(32)
        one = Entry(Caller("settings", "", ALL))
        self._static = {mint.digest(self._pepper, key.encode()): one for key in static}
        self._entries = {**self._static, **self._read()}

    @property
    def static(self) -> int:
        """How many keys the settings hold."""
        return len(self._static)

    @classmethod
    def of(cls, settings: Settings) -> Self:
        """Raises KeysError, where the file or the pepper will not do."""
        file = Path(settings.keys_file) if settings.keys_file else None
        return cls(settings.keys, file, pepper_of(settings) if file else b"")

    def whose(self, given: str) -> Caller:
        """Raises Unauthenticated, in the same way and after the same work whatever is wrong with it."""
        if not self.on:
            return ANYONE
        wanted = mint.digest(self._pepper, given[:LONGEST].encode("latin-1", "replace"))
        entry = self._entries.get(wanted)
        if entry is None or len(given) > LONGEST:
            why = "is not whole (its checksum is wrong)" if mint.mistyped(given) else "is not known here"
            raise Unauthenticated(f"The API key {why}")
        if entry.revoked:
            raise Unauthenticated("The API key was revoked")
        if entry.until <= self._clock():
            raise Unauthenticated("The API key has expired")
        return entry.caller

    def refresh(self) -> None:
        """Take the file anew if it is another one. Blocks."""
        found = _stamp(self.file)
        if found == self._stamp:
            return
        self._stamp = found
        try:
            self._entries = {**self._static, **self._read()}
        except KeysError as error:
            log.error("%s; the keys from before stay in force", error)  # noqa: TRY400
        else:
            log.info("the keys file was read anew: %d keys", len(self._entries) - len(self._static))

    async def watch(self) -> None:
        """`refresh` until cancelled: a key that was revoked is refused a second later."""
        while self.file is not None:
            await asyncio.sleep(LOOK_S)
            await asyncio.to_thread(self.refresh)

    def _read(self) -> Mapping[bytes, Entry]:
        if self.file is None:
            return {}
        entries = {}
        for key in keyfile.read(self.file).keys:
            scopes, limits = Scopes.parsed(key.scopes), Limits.parsed(key.limits)
            caller = Caller(key.id, key.owner, scopes, limits, key.weight, key.priority)
            for secret in key.secrets:
                ends = [end.timestamp() for end in (key.expires, secret.expires) if end is not None]
                entry = Entry(caller, min(ends, default=float("inf")), key.revoked is not None)
                entries[bytes.fromhex(secret.digest)] = entry
        return entries


def pepper_of(settings: Settings) -> bytes:
    """Raises KeysError."""
    pepper = settings.keys_pepper.get_secret_value()
    if len(pepper) < LEAST_PEPPER:
        raise KeysError(
            f"a keys file needs MOTLEY_KEYS_PEPPER, a secret of at least {LEAST_PEPPER} characters that is "
            "kept apart from it: `openssl rand -hex 32` makes one"
        )
    return pepper.encode()


def _stamp(file: Path | None) -> tuple[int, int, int] | None:
    """By which a change shows, of a mounted Secret too (a link that is moved on)."""
    try:
        found = file.stat() if file is not None else None
    except OSError:
        return None
    return found and (found.st_mtime_ns, found.st_ino, found.st_size)
