"""Bodies come no faster than they are taken.

Serve reads a request's body for whoever it is for, as fast as it comes and without a bound: of an upload
that is spooled more slowly, the rest would be in memory meanwhile. So its reading waits (`Paced`, before
Serve) while `AHEAD` or more has not been taken (`Taking`, the door itself); the connection then waits, too.
"""

import asyncio
import itertools

from starlette.types import ASGIApp, Message, Receive, Scope, Send

AHEAD = 1 << 20  # bytes
_KEY = "motley.intake"

_numbers = itertools.count()
# Of this process. A number and not the intake itself: Serve may send a scope on to another process.
_intakes: "dict[int, _Intake]" = {}


class _Intake:
    def __init__(self) -> None:
        self.untaken = 0
        self.room = asyncio.Event()
        self.room.set()
        self.loop = asyncio.get_running_loop()

    def came(self, message: Message) -> None:
        self.untaken += len(message.get("body", b""))
        if self.untaken >= AHEAD:
            self.room.clear()

    def taken(self, message: Message) -> None:
        self.untaken -= len(message.get("body", b""))
        if self.untaken < AHEAD:
            self.room.set()


class Paced:
    """Where nobody takes (Serve's proxy, a model's replica), nothing waits."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not Taking.here:
            await self._app(scope, receive, send)
            return
        number, intake = next(_numbers), _Intake()

        async def paced() -> Message:
            await intake.room.wait()
            message = await receive()
            intake.came(message)
            return message

        _intakes[number] = intake
        try:
            await self._app({**scope, _KEY: number}, paced, send)
        finally:
            del _intakes[number]


class Taking:
    here = False  # whether there is one in this process

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        Taking.here = True

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        intake = _intakes.get(scope.get(_KEY, -1))
        if intake is None:
            await self._app(scope, receive, send)
            return

        async def taken() -> Message:
            message = await receive()
            # Serve may run the door on another loop than the one it reads on.
            intake.loop.call_soon_threadsafe(intake.taken, message)
            return message

        await self._app(scope, taken, send)
