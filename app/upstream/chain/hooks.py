"""Functions of the operator's own, from the one folder that the settings name."""

import asyncio
import importlib.util
import inspect
import logging
import sys
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

from backends.contract.errors import EngineFailed, GatewayError, ModelDown, UpstreamTimeout

log = logging.getLogger(__name__)

# At once, those included that nobody waits for any longer: a thread cannot be ended from outside.
MOST = 32

Function = Callable[..., Any]


class Hooks:
    """`folder`: empty where none may be used. A function runs in a thread of its own, so that a slow one
    keeps nobody else; its file is read when it is first needed, and never again."""

    def __init__(self, folder: str) -> None:
        self._folder = Path(folder) if folder else None
        self._functions: dict[str, Function] = {}
        self._free = asyncio.Semaphore(MOST)
        self._reading = threading.Lock()

    def missing(self, name: str) -> str:
        """Why a function cannot be used, as far as that can be seen without reading it; "" where it can."""
        if self._folder is None:
            return "functions around models are off: MOTLEY_HOOKS names no folder"
        return "" if self._file(name).is_file() else f"there is no file for the function {name}"

    async def run(self, name: str, within_s: float, *given: Any) -> Any:
        """What the function makes of `given`. It may refuse by one of the contract's errors. Raises
        UpstreamTimeout, EngineFailed (it failed), ModelDown (there is none)."""
        if missing := self.missing(name):
            log.error("%s", missing)
            raise ModelDown("its function is not there; the operator's log says more")
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[Any] = loop.create_future()
        try:
            async with asyncio.timeout(within_s) as limit:
                await self._free.acquire()
                work = (loop, answer, name, given)
                threading.Thread(target=self._work, args=work, name=f"hook {name}", daemon=True).start()
                return await answer
        except GatewayError:
            raise
        except Exception as error:
            if limit.expired():
                log.warning("the function %s took longer than %g s", name, within_s)
                raise UpstreamTimeout(f"it took longer than {within_s:g} s") from None
            log.exception("the function %s failed", name)
            raise EngineFailed("it failed") from error

    def _work(
        self,
        loop: asyncio.AbstractEventLoop,
        answer: "asyncio.Future[Any]",
        name: str,
        given: tuple[Any, ...],
    ) -> None:
        made: Any = None
        error: Exception | None = None
        try:
            made = self._function(name)(*given)
            if inspect.iscoroutine(made):
                made = asyncio.run(made)
        except Exception as raised:
            error = raised
        except BaseException as raised:  # SystemExit and the like: the door stays
            error = RuntimeError(f"it raised {type(raised).__name__}")
        with suppress(RuntimeError):  # the loop is closed: nobody is there
            loop.call_soon_threadsafe(self._settle, answer, made, error)

    def _settle(self, answer: "asyncio.Future[Any]", made: Any, error: Exception | None) -> None:
        self._free.release()
        if answer.done():
            return
        if isinstance(error, StopIteration):  # a future takes none
            error = RuntimeError("it raised StopIteration")
        if error is not None:
            answer.set_exception(error)
        else:
            answer.set_result(made)

    def _function(self, name: str) -> Function:
        with self._reading:
            if name not in self._functions:
                self._functions[name] = self._read(name)
            return self._functions[name]

    def _read(self, name: str) -> Function:
        module, _, attribute = name.partition(":")
        known = f"motley_hooks_{id(self):x}.{module}"  # two apps in one process may have two folders
        if known not in sys.modules:
            spec = importlib.util.spec_from_file_location(known, self._file(name))
            assert spec is not None
            assert spec.loader is not None
            made = sys.modules[known] = importlib.util.module_from_spec(spec)
            try:
                spec.loader.exec_module(made)
            except BaseException:
                del sys.modules[known]
                raise
        function: Function = getattr(sys.modules[known], attribute)
        return function

    def _file(self, name: str) -> Path:
        assert self._folder is not None
        return self._folder.joinpath(*name.partition(":")[0].split(".")).with_suffix(".py")
