"""What engines see of media: data: URLs of what the bytes are, and no more of them than is good."""

import asyncio
import binascii
from base64 import b64decode, b64encode
from collections.abc import MutableMapping
from typing import Any

from app.fetch import Fetcher
from app.media.images import picture
from app.media.parts import Kind, Part, parts
from app.media.sounds import sound
from backends.contract.errors import MediaElsewhere, MediaTooLarge, MediaTooLong, MediaUnsupported

# Of all images of a request together, three bytes each where they are decoded; and of frames.
PIXELS, FRAMES = 100_000_000, 256


class Media:
    """`most`: bytes that a request may bring, in itself and from elsewhere together. `longest_s`: how long
    its sounds may play, together. `fetcher`: None where nothing is fetched."""

    def __init__(self, most: int, longest_s: float, fetcher: Fetcher | None) -> None:
        self._most, self._longest_s, self._fetcher = most, longest_s, fetcher

    async def inlined(self, body: MutableMapping[str, Any], length: int) -> int:
        """Puts data: URLs into `body`, which is `length` bytes long; returns how long it is then.

        Raises InvalidRequest, MediaUnsupported, MediaElsewhere, MediaTooLarge and MediaTooLong, each with the
        `param` of the part.
        """
        found = parts(body)
        if not found:
            return length
        fetched = await self._fetched(found, self._most - length)
        return length + await asyncio.to_thread(self._checked, found, fetched)

    async def _fetched(self, found: list[Part], left: int) -> dict[str, bytes]:
        """By where they stand. One after the other: a request is no way to many connections."""
        fetched: dict[str, bytes] = {}
        remote = [part for part in found if not part.bare and not _is_data(part.given)]
        for part in remote:
            if self._fetcher is None:
                raise MediaElsewhere("media must be in the request itself, as a data: URL", param=part.at)
            fetched[part.at] = await self._fetcher.get(part.given, part.kind, left, param=part.at)
            left -= len(fetched[part.at]) * 4 // 3
        return fetched

    def _checked(self, found: list[Part], fetched: dict[str, bytes]) -> int:
        """How many bytes longer the body has become."""
        pixels, frames, seconds, more = 0, 0, 0.0, 0
        for part in found:
            data = fetched.get(part.at)
            if data is None:
                data = _decoded(part)
            kind, some, count, lasts = _measured(part, data)
            pixels, frames, seconds = pixels + some, frames + count, seconds + lasts
            if pixels > PIXELS or frames > FRAMES:
                said = f"the images have more than {PIXELS / 1e6:g} megapixels or {FRAMES} frames, together"
                raise MediaTooLarge(said, param=part.at)
            if seconds > self._longest_s:
                said = f"the sounds play longer than {self._longest_s:g} s, the limit here"
                raise MediaTooLong(said, param=part.at)
            if not part.bare:
                before, part.given = len(part.given), f"data:{kind};base64,{b64encode(data).decode()}"
                more += len(part.given) - before
        return more


def _is_data(url: str) -> bool:
    return url[:5].lower() == "data:"


def _measured(part: Part, data: bytes) -> tuple[str, int, int, float]:
    """What it is, pixels, frames, seconds."""
    try:
        if part.kind == "image":
            seen = picture(data)
            return seen.kind, seen.pixels, seen.frames, 0.0
        heard = sound(data)
    except MediaUnsupported as error:
        error.param = part.at
        raise
    return heard.kind, 0, 0, heard.seconds


def _decoded(part: Part) -> bytes:
    """One medium: of several in a row, as vLLM reads frames of a video, the comma is no base64."""
    said = part.given
    if not part.bare:
        head, comma, said = said.partition(",")
        if not comma or not head.lower().endswith(";base64"):
            raise MediaUnsupported(f"'{part.at}' must be a data: URL in base64", param=part.at)
    try:
        data = b64decode(said, validate=True)
    except (binascii.Error, ValueError):
        data = b""
    if not data:
        what: dict[Kind, str] = {"image": "an image", "audio": "a sound"}
        raise MediaUnsupported(f"'{part.at}' must be base64 of {what[part.kind]}", param=part.at)
    return data
