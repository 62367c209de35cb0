"""Chat on vLLM: `vllm serve` as a child process, from an environment of its own, with all that it
speaks for `chat`: completions, responses, what tokens a text is.

CUDA, ROCm, XPU and CPU builds are one engine here with other packages there: which one runs is the
interpreter's matter (`options.python`). Bodies and answers pass through untouched where they can.
"""

import asyncio
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import aiohttp
import orjson

from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import InvalidRequest, NotReady, TaskUnsupported
from backends.contract.results import ChatChunk
from backends.contract.tasks import ChatTask, Surface, Verb
from backends.vllm import answers, fields, flags, options, responses, weights
from backends.vllm.answers import Naming, Stream
from backends.vllm.placeholders import Placeholders
from backends.vllm.refusals import VllmFailed, parsed, refusal
from backends.vllm.served import Recipe, Served

# Their templates are not Jinja's, and have an effort without saying so.
THINKING = frozenset({"gpt_oss"})
JSON = "application/json"
COUNTING: tuple[Surface, ...] = ("tokenize", "detokenize")  # nothing is computed for them


class Vllm:
    """Counts in `busy` the answers it waits for."""

    Options = options.Options

    tasks: ClassVar[frozenset[Verb]] = frozenset({"chat"})
    locks: ClassVar[bool] = True  # at its restarts, too
    fills: ClassVar[bool] = True
    surfaces: ClassVar[frozenset[Surface]] = frozenset(fields.SURFACES)

    @classmethod
    def estimate(cls, model: ModelRef, options: options.Options, share: GpuShare) -> Memory | None:
        """Weights by the headers of their files; the cache as it was set, else of one answer that
        fills the window. vLLM itself takes all that the share leaves.

        None where weights are made smaller on loading: how small, only vLLM knows."""
        path = model.path
        if path is None or (options.quantization and not weights.quantised(path)):
            return None
        window = options.max_model_len or weights.window(path) or 0
        cache = options.kv_cache_memory_bytes or weights.cache_bytes(path, window, flags.cache_width(options))
        width = 4 if options.dtype in ("float32", "float") else 2
        gpus = max(1, int(share.share))
        overhead = flags.headroom_bytes(options, share) * gpus if share.share else 0
        size = weights.weights_bytes(path, width)
        return Memory(size, cache, overhead) if size else None

    def __init__(self, model: ModelRef, options: options.Options, share: GpuShare) -> None:
        self._model, self._options, self._share = model, options, share
        self._served: Served | None = None
        self._known: dict[str, frozenset[str]] = {}
        self._thinks = False
        self._window: int | None = None
        self._vocabulary: int | None = None
        self._placeholders: Placeholders | None = None
        self._busy = 0

    async def load(self, progress: Progress) -> None:
        """Raises InvalidRequest for an interpreter or source that cannot be, RuntimeError when
        vLLM does not start."""
        python = flags.interpreter(self._options, os.environ)
        if self._model.path is None:
            raise InvalidRequest("the source names no folder of a model", param="source")
        served = Served(
            self._model.name,
            Recipe(
                partial(flags.command, python, self._model, self._options, self._share),
                flags.environment(self._options, os.environ),
                self._share.vendor if self._share.share else "cpu",
                start_s=self._options.start_timeout_s,
            ),
        )
        await served.start(progress)
        try:
            schemas = orjson.loads(await served.get("/openapi.json"))["components"]["schemas"]
            self._known = {
                name: frozenset(schemas[name]["properties"])
                for one in fields.SURFACES.values()
                for name in one.schemas
                if name in schemas
            }
            self._vocabulary = weights.vocabulary(self._model.path)
            self._placeholders = Placeholders(self._model.path)
            self._thinks = await self._effort_tells(served)
            models = orjson.loads(await served.get("/v1/models"))
            self._window = models["data"][0].get("max_model_len")
        except BaseException:
            await served.close()
            raise
        self._served = served

    async def healthy(self) -> bool:
        """Also while it is restarted, until that has failed for long: a new replica would start no
        sooner."""
        return self._served is not None and not self._served.lost

    async def close(self) -> None:
        if self._served is not None:
            await self._served.close()

    @property
    def sleeps(self) -> bool:
        return self._options.sleep

    async def sleep(self) -> None:
        """Level 1: weights into the machine's memory, and no cache. Raises ModelDown, RuntimeError."""
        await self._told("/sleep?level=1")
        assert self._served is not None
        await self._served.rest()

    async def wake(self) -> None:
        """Raises ModelDown where the child has ended meanwhile, else RuntimeError."""
        await self._told("/wake_up")
        assert self._served is not None
        self._served.keep()

    async def _told(self, path: str) -> None:
        if self._served is None:
            raise NotReady("the model is loading")
        response = await self._served.post(path, b"", {})
        async with response:
            if response.status != 200:
                raise RuntimeError(f"vLLM answers {path} with {response.status}")

    @property
    def busy(self) -> int:
        return self._busy

    @property
    def pid(self) -> int:
        """The child's; 0 before it was started."""
        return self._served.pid if self._served else 0

    @property
    def uds(self) -> Path | None:
        """The socket vLLM listens on, another one after each start; None before the first."""
        return self._served.uds if self._served else None

    def facts(self) -> Mapping[str, Any]:
        adapters = {"adapters": sorted(self._options.lora)} if self._options.lora else {}
        return {"context_length": self._window, **adapters} if self._served else {}

    async def chat(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        if self._served is None:
            raise NotReady("the model is loading")
        one = fields.SURFACES[task.surface]
        schema = one.schemas[-1 if "messages" in task.body else 0]
        if schema not in self._known:
            raise TaskUnsupported(f"this model does not answer {task.surface}", param="model")
        fields.check(one, task.body, self._known[schema], thinks=self._thinks)
        if task.surface == "detokenize":
            fields.check_tokens(task.body["tokens"], self._vocabulary)
        asked = str(task.body.get("model") or self._model.name)
        # An adapter is asked for by its name; every other name is one of the model itself.
        served = asked if asked in self._options.lora else self._model.name
        data = self._sent(task, served)
        naming = Naming(served, asked)
        headers = {"content-type": JSON, "x-request-id": task.request_id}
        if task.trace:
            headers["traceparent"] = task.trace
        self._busy += 1
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._served.post(one.path, data, headers)
            if response.status != 200:
                raise await self._refused(response, task.body, one.prompt)
            if not task.streams:
                yield _document(task, await response.read(), naming)
                return
            events = _events(task, naming)
            async for received in response.content.iter_any():
                if chunk := events.feed(received):
                    yield chunk
            events.end()
        except aiohttp.ClientError:  # it died in the middle, or gave this one up
            await self._served.check()
            raise VllmFailed("vLLM broke off") from None
        except VllmFailed:
            await self._served.check()
            raise
        finally:
            if response is not None:
                response.close()  # the connection too: that is how vLLM learns to stop
            self._busy -= 1

    def _sent(self, task: ChatTask, served: str) -> bytes:
        data = _written({**fields.sent(task.surface, task.body), "model": served})
        if self._placeholders is not None and task.surface not in COUNTING:
            self._placeholders.check(task.body, data)
        return data

    async def _effort_tells(self, served: Served) -> bool:
        """Whether the template writes another prompt when an effort of reasoning is asked for."""
        if self._model.path is not None and weights.kind(self._model.path) in THINKING:
            return True
        prompts = set()
        for effort in (None, "none", "low", "high"):
            asked = {"reasoning_effort": effort, "enable_thinking": effort != "none"} if effort else None
            said = {"model": self._model.name, "messages": [{"role": "user", "content": "Hello"}]}
            body = orjson.dumps({**said, "chat_template_kwargs": asked})
            response = await served.post("/tokenize", body, {"content-type": JSON})
            async with response:
                # A model without a template chats in no way at all.
                prompts.add(await response.read() if response.status == 200 else b"")
        return len(prompts) > 1

    async def _refused(
        self, response: aiohttp.ClientResponse, body: Mapping[str, Any], prompt: str
    ) -> Exception:
        content = None
        with suppress(aiohttp.ClientError, TimeoutError):
            async with asyncio.timeout(5):
                content = parsed(await response.read())
        return refusal(response.status, content, body=body, window=self._window, prompt=prompt)


def _written(body: Mapping[str, Any]) -> bytes:
    """Raises InvalidRequest for a whole number of more than 64 bits, which vLLM has no use for either."""
    try:
        return orjson.dumps(body)
    except orjson.JSONEncodeError:
        raise InvalidRequest("The body holds a whole number that is too large") from None


def _events(task: ChatTask, naming: Naming) -> Stream:
    if task.surface == "responses":
        return responses.Events(naming)
    return answers.Events(usage_shown=fields.usage_shown(task.body), naming=naming)


def _document(task: ChatTask, data: bytes, naming: Naming) -> ChatChunk:
    if task.surface == "responses":
        return responses.document(data, naming)
    if task.surface in COUNTING:
        return ChatChunk(data)
    return answers.document(data, naming)
