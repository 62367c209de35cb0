"""Bytes on a bare socket: whatever comes, no failure of the server's, and an end."""

import asyncio
import re
from contextlib import suppress
from urllib.parse import urlsplit

import pytest

from tests.api.doors import Behind

from . import crooked

AT_ONCE = 24
QUIET_S = 0.3  # nothing said for so long: it waits for what will not come
HANG_S = 60.0  # of a machine that may stand still for seconds
STATUS = re.compile(rb"HTTP/1\.1 (\d{3}) ")


async def told(door: Behind, data: bytes) -> bytes:
    """All that it says until it ends, or until it is quiet and we end. Raises TimeoutError when it does not
    end then."""
    at = urlsplit(door.base_url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    said = b""
    try:
        with suppress(ConnectionError):
            writer.write(data)
            await writer.drain()
            with suppress(TimeoutError):
                while piece := await asyncio.wait_for(reader.read(65536), QUIET_S):
                    said += piece
            if writer.can_write_eof():
                writer.write_eof()
            async with asyncio.timeout(HANG_S):
                while piece := await reader.read(65536):
                    said += piece
    finally:
        writer.close()
        with suppress(ConnectionError):
            await writer.wait_closed()
    return said


def failures(said: bytes) -> list[bytes]:
    """A server's statuses; 501 is what a parser says of a coding of bodies that it does not know."""
    return [status for status in STATUS.findall(said) if status >= b"500" and status != b"501"]


# The file of a part without an end Starlette leaves to its last reference, which closes it, and says so.
@pytest.mark.filterwarnings("ignore:.*SpooledTemporaryFile:pytest.PytestUnraisableExceptionWarning")
async def test_crooked_requests(door: Behind, many: int, seed: int) -> None:
    turns, found, statuses = asyncio.Semaphore(AT_ONCE), list[str](), dict[bytes, int]()

    async def one(number: int) -> None:
        async with turns:
            try:
                said = await told(door, crooked.request(number))
            except TimeoutError:
                found.append(f"{number}: hangs")
                return
        for status in STATUS.findall(said)[:1] or [b"none"]:
            statuses[status] = statuses.get(status, 0) + 1
        if failures(said):
            found.append(f"{number}: {said[:300]!r}")

    await asyncio.gather(*(one(seed + number) for number in range(many)))
    print(
        f"\n{many} crooked requests:", {status.decode(): count for status, count in sorted(statuses.items())}
    )
    assert found == []
    assert {b"200", b"400", b"404"} <= set(statuses)


STOPS = {
    "json": b"POST /v1/chat/completions HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b'content-length: 100\r\n\r\n{"model"',
    "form": b"POST /v1/audio/transcriptions HTTP/1.1\r\nhost: x\r\n"
    b"content-type: multipart/form-data; boundary=x1\r\ncontent-length: 2000\r\n\r\n" + crooked.form()[:150],
    "chunk": b"POST /v1/embeddings HTTP/1.1\r\nhost: x\r\ncontent-type: application/json\r\n"
    b"transfer-encoding: chunked\r\n\r\n100\r\n{",
    "chunks": b"POST /v1/audio/voices HTTP/1.1\r\nhost: x\r\n"
    b"content-type: multipart/form-data; boundary=x1\r\ntransfer-encoding: chunked\r\n\r\n6\r\n--x1\r\n\r\n",
}


@pytest.mark.parametrize("kind", STOPS)
async def test_a_body_that_stops_coming_is_told_so(door: Behind, kind: str) -> None:
    """Without an end of ours: the door ends it."""
    at = urlsplit(door.base_url)
    reader, writer = await asyncio.open_connection(at.hostname, at.port)
    writer.write(STOPS[kind])
    async with asyncio.timeout(HANG_S):
        said = await reader.read()
    writer.close()
    assert STATUS.findall(said) == [b"408"]
    assert b'"code":"body_too_slow"' in said
