"""A file over HTTP, from any byte on: what the hub and plain archives have in common."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import httpx2

from backends.contract.errors import SourceFailed
from backends.sources.parts import Broken, Pieces

# Seconds: to connect, and of silence.
TIMEOUT = httpx2.Timeout(30, connect=10)

_PASSING = (408, 425, 429, 500, 502, 503, 504)


@contextmanager
def stream(
    client: httpx2.Client,
    url: str,
    headers: Mapping[str, str],
    offset: int,
    refuse: Callable[[httpx2.Response], None],
) -> Iterator[Pieces]:
    """`refuse` raises for an answer that is an error and will stay one."""
    # The bytes as they are: of packed ones none could be skipped.
    asked = {**headers, "accept-encoding": "identity"}
    if offset:
        asked["range"] = f"bytes={offset}-"
    try:
        with client.stream("GET", url, headers=asked, timeout=TIMEOUT, follow_redirects=True) as answer:
            if answer.status_code == 416:  # what is here is longer than what is there
                yield 0, iter(())
                return
            if answer.status_code in _PASSING:
                raise Broken(f"it answers {answer.status_code}")
            refuse(answer)
            yield (offset if answer.status_code == 206 else 0), answer.iter_bytes()
    except httpx2.RequestError as error:
        raise Broken(type(error).__name__) from None


def refusal(status: int) -> SourceFailed:
    """Of a plain server."""
    if status in (401, 403):
        return SourceFailed.because(
            "gated", "the source asks for credentials, or refuses those of the environment"
        )
    if status in (404, 410):
        return SourceFailed.because("not_found", "there is nothing at the source's address")
    return SourceFailed.because("failed", f"the source answers {status}")
