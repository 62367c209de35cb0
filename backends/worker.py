"""The child's end of `backends.child`: loads one module and answers its jobs, one at a time.

    python -m backends.worker MODULE

MODULE has `start(options) -> handler`; each method of the handler is a generator function
`method(fields, data)` that yields `(fields, data)` items, or None where there is nothing to send
but the work may be stopped. `fields` is JSON, `data` bytes; a handler's, where they are many, a file.

A frame on the pipes is two lengths (big-endian, 4 bytes each), a JSON header, a body of bytes.
JSON and not pickle, because this side reads strangers' media with native code: a child that was
taken over must not be able to run code in the parent.

Keep this module light: every child pays for what it imports.
"""

import json
import os
import select
import struct
import sys
import tempfile
import traceback
from collections.abc import Generator
from contextlib import closing
from importlib import import_module
from typing import Any

from backends.contract.audio import HELD, Audio, Spooled
from backends.contract.errors import GatewayError

LENGTHS = struct.Struct(">II")

Item = tuple[Any, bytes]


def pack(header: dict[str, Any], body: bytes = b"", *, size: int | None = None) -> bytes:
    """One frame. `size`: of a body that follows by itself."""
    text = json.dumps(header).encode()
    return LENGTHS.pack(len(text), len(body) if size is None else size) + text + body


class Pipe:
    """Frames over two file descriptors, blocking."""

    def __init__(self, inward: int, outward: int) -> None:
        self._in, self._out = inward, outward

    def read(self) -> tuple[dict[str, Any], Audio]:
        """Raises EOFError when the parent has closed its end."""
        header, body = LENGTHS.unpack(self._exactly(LENGTHS.size))
        return json.loads(self._exactly(header)), self._body(body)

    def waiting(self) -> bool:
        """Whether a frame (or the end) is there to read."""
        return bool(select.select([self._in], [], [], 0)[0])

    def write(self, header: dict[str, Any], body: bytes = b"") -> None:
        frame = memoryview(pack(header, body))
        while frame:
            frame = frame[os.write(self._out, frame) :]

    def _body(self, size: int) -> Audio:
        if size <= HELD:
            return bytes(self._exactly(size))
        file = tempfile.TemporaryFile(buffering=0)  # noqa: SIM115  (closed when the job has been answered)
        for left in range(size, 0, -HELD):
            file.write(self._exactly(min(left, HELD)))
        return Spooled(file, size)

    def _exactly(self, size: int) -> bytearray:
        buffer = bytearray(size)
        view = memoryview(buffer)
        while view:
            got = os.readv(self._in, [view])
            if not got:
                raise EOFError
            view = view[got:]
        return buffer


def serve(module: str, pipe: Pipe) -> None:
    """Load, say so, then answer jobs until the parent closes the pipe."""
    options, _ = pipe.read()
    try:
        handler = import_module(module).start(options)
    except Exception as error:  # whatever the module raises is the parent's to report
        pipe.write({"end": 0, **_described(error)})
        return
    pipe.write({"end": 0})
    while True:
        header, body = pipe.read()
        if "job" in header:  # else a cancellation that crossed with the end of its job
            _answer(handler, header, body, pipe)


def _answer(handler: Any, header: dict[str, Any], body: Audio, pipe: Pipe) -> None:
    job = header["job"]
    try:
        items: Generator[Item | None, None, None]
        with closing(getattr(handler, header["method"])(header["fields"], body)) as items:
            for item in items:
                if item is not None:
                    pipe.write({"item": job, "fields": item[0]}, item[1])
                if pipe.waiting():
                    pipe.read()  # one job at a time: all that can come now is its cancellation
                    break
    except EOFError:
        raise
    except Exception as error:  # whatever the engine raises is the parent's to report
        pipe.write({"end": job, **_described(error)})
    else:
        pipe.write({"end": job})
    finally:
        if isinstance(body, Spooled):
            body.close()


def _described(error: Exception) -> dict[str, Any]:
    if isinstance(error, GatewayError):
        state = {key: value for key, value in error.__dict__.items() if key != "message"}
        return {"refused": type(error).__name__, "message": error.message, "state": state}
    return {"broken": "".join(traceback.format_exception(error))}


def main() -> None:
    pipe = Pipe(os.dup(0), os.dup(1))
    # Native libraries print to descriptor 1 as they please; the protocol must not hear it.
    os.dup2(2, 1)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    try:
        serve(sys.argv[1], pipe)
    except (EOFError, BrokenPipeError):
        return


if __name__ == "__main__":
    main()
