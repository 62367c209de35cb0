"""Between what reads ahead, as Serve does, and who takes: never more than a bound."""

import asyncio
from collections.abc import Iterator

import pytest
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from app.intake import AHEAD, Paced, Taking

PIECE = bytes(AHEAD // 4)
PIECES = 40


@pytest.fixture(autouse=True)
def as_it_was() -> Iterator[None]:
    before = Taking.here
    yield
    Taking.here = before


class Reading:
    """As Serve does: all of a body, without waiting for whoever it is for."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self.untaken = self.most = 0

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        queue = asyncio.Queue[Message]()

        async def read() -> None:
            while True:
                message = await receive()
                self.untaken += len(message.get("body", b""))
                self.most = max(self.most, self.untaken)
                queue.put_nowait(message)

        async def take() -> Message:
            message = await queue.get()
            self.untaken -= len(message.get("body", b""))
            return message

        reading = asyncio.create_task(read())
        try:
            await self._app(scope, take, send)
        finally:
            reading.cancel()


def client() -> Receive:
    left = PIECES

    async def receive() -> Message:
        nonlocal left
        await asyncio.sleep(0)
        if not left:
            return {"type": "http.disconnect"}
        left -= 1
        return {"type": "http.request", "body": PIECE, "more_body": left > 0}

    return receive


async def sent(_: Message) -> None:
    pass


async def test_it_waits_for_who_takes_slowly() -> None:
    taken = []

    async def slow(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (message := await receive())["type"] == "http.request":
            taken.append(message["body"])
            await asyncio.sleep(0.001)

    reading = Reading(Taking(slow))
    await Paced(reading)({"type": "http"}, client(), sent)
    assert taken == [PIECE] * PIECES
    assert reading.most <= AHEAD + len(PIECE)


async def test_who_takes_nothing_is_not_waited_for() -> None:
    async def refusing(_scope: Scope, _receive: Receive, _send: Send) -> None:
        await asyncio.sleep(0.01)

    reading = Reading(Taking(refusing))
    await Paced(reading)({"type": "http"}, client(), sent)
    assert 0 < reading.most <= AHEAD


async def test_where_nobody_takes_nothing_waits() -> None:
    Taking.here = False

    async def proxy(_scope: Scope, receive: Receive, _send: Send) -> None:
        while (await receive())["type"] == "http.request":
            pass

    await Paced(proxy)({"type": "http"}, client(), sent)


async def test_by_another_way_it_is_taken_too() -> None:
    """A request that came through a proxy's process."""
    seen = []

    async def app(scope: Scope, receive: Receive, _send: Send) -> None:
        seen.append((scope, await receive()))

    await Taking(app)({"type": "http", "motley.intake": 10**9}, client(), sent)
    assert seen[0][1]["body"] == PIECE
