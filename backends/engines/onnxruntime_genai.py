"""Chat on onnxruntime-genai: any ONNX GenAI folder, on the CPU, without torch.

One `Generator` a request; one thread steps them in turn (`backends.chat.turns`), because the
package's own batching engine lets nobody join mid-batch on CPUs. Every call into the package
holds the interpreter's lock, so one step (a token, or `prefill_chunk` tokens of a prompt) is also
the longest that this process is deaf: lower `prefill_chunk` for a large model.

What the caller leaves open is decided by the folder's own `search` settings (`do_sample`,
`temperature`, `top_p`, `top_k`, `repetition_penalty`), not by OpenAI's defaults. Sampling is on
where the caller asks for a temperature above 0 or a `top_p` below 1, greedy at 0 of either.
"""

import asyncio
import contextlib
from collections.abc import AsyncGenerator, Callable, Mapping
from typing import Any, ClassVar

from pydantic import BaseModel, Field

from backends.chat import asked, completions, tokens
from backends.chat.asked import Asked
from backends.chat.chunks import Answer, ChatChoice, Piece
from backends.chat.genai import Generation, Loaded
from backends.chat.genai_folder import GenAIFolder
from backends.chat.turns import Turns
from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import ContextExceeded, InvalidRequest, NotReady
from backends.contract.results import ChatChunk
from backends.contract.tasks import ChatTask, Surface, Verb

RUNTIME_BYTES = 64 * 2**20  # the libraries' own, beside weights and caches


class OnnxRuntimeGenAI:
    """Counts in `busy` the generators its decoding thread holds."""

    class Options(BaseModel, extra="forbid"):
        """`threads`: of one step's arithmetic, none of which spins when idle. `context_length`:
        a window below the folder's own; caches are allocated by it. `prefill_chunk`: how many
        tokens of a prompt are read in one step, between steps of the others."""

        threads: int = Field(1, ge=1)
        context_length: int | None = Field(None, ge=16)
        prefill_chunk: int = Field(128, ge=1)

    tasks: ClassVar[frozenset[Verb]] = frozenset({"chat"})
    surfaces: ClassVar[frozenset[Surface]] = frozenset({"chat", "completions", "tokenize", "detokenize"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory | None:
        """Weights by the files' sizes; working memory of one request that fills the window."""
        if model.path is None:
            return None
        folder = GenAIFolder(model.path)
        window = folder.window(options.context_length)
        return Memory(folder.weights_bytes, window * folder.cache_bytes_per_token, RUNTIME_BYTES)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._model, self._options = model, options
        self._loaded: Loaded | None = None
        self._turns = Turns(f"chat {model.name}")

    async def load(self, progress: Progress) -> None:
        """Raises InvalidRequest (`param="source"`) for a folder that is no ONNX GenAI model."""
        if self._model.path is None:
            raise InvalidRequest("the source names no folder of an ONNX GenAI model", param="source")
        progress("loading", None)
        loaded = await asyncio.to_thread(Loaded, self._model.path, **self._options.model_dump())
        progress("warming", 0.9)
        await asyncio.to_thread(loaded.warm)
        self._turns.start()
        self._loaded = loaded

    async def healthy(self) -> bool:
        return self._turns.alive

    async def close(self) -> None:
        await asyncio.to_thread(self._turns.close)
        self._loaded = None

    @property
    def busy(self) -> int:
        return self._turns.busy

    @property
    def steps(self) -> int:
        """Steps taken since load, of all requests."""
        return self._turns.steps

    def facts(self) -> Mapping[str, Any]:
        return {"context_length": self._loaded.window} if self._loaded else {}

    async def chat(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        if task.surface in ("tokenize", "detokenize"):
            yield await self._spell(task)
            return
        loaded, plain = self._loaded, task.surface == "completions"
        wanted = completions.read(task.body) if plain else asked.read(task.body)
        if loaded is None:
            raise NotReady("the model is loading")
        prompts = await asyncio.to_thread(loaded.prompts, wanted)
        param = "prompt" if plain else "messages"
        rooms = [_room(loaded.window, len(prompt), param) for prompt in prompts]
        answer = _answer(wanted, sum(map(len, prompts)), loaded.fingerprint)
        inbox: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        turns = []
        for at, (prompt, room) in enumerate(zip(prompts, rooms, strict=True)):
            most = room if wanted.most is None else min(wanted.most, room)
            for index in range(at * wanted.n, (at + 1) * wanted.n):
                turns.append(Generation(loaded, wanted, prompt, most, _sender(inbox), index))
        try:
            for turn in turns:
                self._turns.add(turn)
            while not answer.complete:
                piece = await inbox.get()
                if isinstance(piece, Exception):
                    raise piece
                chunk = answer.add(piece)
                if chunk is not None:
                    yield chunk
        finally:
            for turn in turns:
                self._turns.drop(turn)

    async def _spell(self, task: ChatTask) -> ChatChunk:
        if self._loaded is None:
            raise NotReady("the model is loading")
        answer = tokens.tokenize if task.surface == "tokenize" else tokens.detokenize
        return ChatChunk(await asyncio.to_thread(answer, task.body, self._loaded))


def _room(window: int, size: int, param: str) -> int:
    """What is left of the context for the answer."""
    if size >= window:
        raise ContextExceeded(
            f"this model's context length is {window} tokens, but the {param} have {size}", param=param
        )
    return window - size


def _answer(wanted: Asked, prompt_tokens: int, fingerprint: str) -> Answer:
    if wanted.prompts:
        return completions.answer(wanted, prompt_tokens, fingerprint)
    scored = wanted.alternatives is not None
    return Answer(
        wanted.model,
        prompt_tokens,
        streams=wanted.streams,
        usage_event=wanted.usage_event,
        fingerprint=fingerprint,
        choices=[ChatChoice(index, wanted.tools, scored=scored) for index in range(wanted.n)],
    )


def _sender(inbox: asyncio.Queue[Any]) -> Callable[[Any], None]:
    """Puts items into the queue of this loop from another thread."""
    loop = asyncio.get_running_loop()

    def send(item: Any) -> None:
        # The loop may be closed before the decoding thread is: then nobody waits for the item.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(inbox.put_nowait, item)

    return send
