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
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel, Field

from backends.chat import asked, messages
from backends.chat.asked import Asked
from backends.chat.chunks import Answer, Finish, Piece
from backends.chat.genai_folder import GenAIFolder
from backends.chat.stops import StopScanner
from backends.chat.turns import Turns
from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import ContextExceeded, InvalidRequest, NotReady
from backends.contract.results import ChatChunk
from backends.contract.tasks import ChatTask, Verb

RUNTIME_BYTES = 64 * 2**20  # the libraries' own, beside weights and caches
LONGEST_TOKEN = 128  # bytes: vocabularies hold long runs of spaces and of dashes
SEEDS = 2**31  # the package takes 31 bits; OpenAI's seeds have 64


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

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        """Weights by the files' sizes; working memory of one request that fills the window."""
        if model.path is None:
            return Memory()
        folder = GenAIFolder(model.path)
        window = folder.window(options.context_length)
        return Memory(folder.weights_bytes, RUNTIME_BYTES + window * folder.cache_bytes_per_token)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._model, self._options = model, options
        self._loaded: Loaded | None = None
        self._turns = Turns(f"chat {model.name}")

    async def load(self, progress: Progress) -> None:
        """Raises InvalidRequest (`param="source"`) for a folder that is no ONNX GenAI model."""
        if self._model.path is None:
            raise InvalidRequest("the source names no folder of an ONNX GenAI model", param="source")
        progress("loading", None)
        loaded = await asyncio.to_thread(Loaded, self._model.path, self._options)
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
        loaded, wanted = self._loaded, asked.read(task.body)
        if loaded is None:
            raise NotReady("the model is loading")
        prompt = await asyncio.to_thread(loaded.prompt, wanted.messages)
        left = loaded.window - len(prompt)
        if left < 1:
            raise ContextExceeded(
                f"this model's context length is {loaded.window} tokens, but the messages have {len(prompt)}",
                param="messages",
            )
        answer = Answer(
            wanted.model,
            len(prompt),
            streams=wanted.streams,
            usage_event=wanted.usage_event,
            fingerprint=loaded.fingerprint,
        )
        inbox: asyncio.Queue[Piece | Exception] = asyncio.Queue()
        turn = Generation(loaded, wanted, prompt, min(wanted.most or left, left), _sender(inbox))
        self._turns.add(turn)
        try:
            finished = False
            while not finished:
                piece = await inbox.get()
                if isinstance(piece, Exception):
                    raise piece
                finished = piece.finish is not None
                chunk = answer.add(piece)
                if chunk is not None:
                    yield chunk
        finally:
            self._turns.drop(turn)


def _sender(inbox: asyncio.Queue[Any]) -> Callable[[Any], None]:
    """Puts items into the queue of this loop from another thread."""
    loop = asyncio.get_running_loop()

    def send(item: Any) -> None:
        # The loop may be closed before the decoding thread is: then nobody waits for the item.
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(inbox.put_nowait, item)

    return send


class Loaded:
    """A folder in memory: the model, its tokenizer and template. Blocks; build it in a thread."""

    def __init__(self, folder: Path, options: OnnxRuntimeGenAI.Options) -> None:
        files = GenAIFolder(folder)
        import onnxruntime_genai as og

        og.disable_telemetry_events()
        self._og = og
        settings = og.Config(str(folder))
        settings.overlay(orjson.dumps(_overlay(options)).decode())
        self.model = og.Model(settings)
        self.tokenizer = og.Tokenizer(self.model)
        self.window = files.window(options.context_length)
        self.search = files.search
        self.prefill_chunk = options.prefill_chunk
        self.ends = frozenset(int(token) for token in self.tokenizer.eos_token_ids)
        self.fingerprint = files.fingerprint()
        self._controls = messages.Controls(files.control_tokens())
        self._shows_calls = "tool_calls" in files.template()

    def warm(self) -> None:
        """Read a prompt and generate one token: a template or graph that fails, fails at load."""
        prompt = self.prompt([{"role": "user", "content": "Hello"}])
        generator = self.generator({"max_length": len(prompt) + 1})
        generator.append_tokens(prompt)
        generator.generate_next_token()

    def prompt(self, raw: Any) -> Any:
        """OpenAI's messages → token ids (numpy int32) by the folder's template. Raises InvalidRequest,
        and ContextExceeded for what is far over the window: all others would wait while megabytes
        are made into tokens, only to be counted."""
        given = orjson.dumps(self._controls.disarm(messages.read(raw, calls=self._shows_calls)))
        if len(given) > self.window * LONGEST_TOKEN:
            raise ContextExceeded(
                f"this model's context length is {self.window} tokens, the messages have {len(given)} bytes",
                param="messages",
            )
        try:
            text = self.tokenizer.apply_chat_template(messages=given.decode(), add_generation_prompt=True)
        except RuntimeError:
            # What the template raised may quote its source, so the caller gets our words.
            raise InvalidRequest(
                "the model's chat template does not take these roles in this order", param="messages"
            ) from None
        return self.tokenizer.encode(text)

    def generator(self, search: Mapping[str, Any]) -> Any:
        params = self._og.GeneratorParams(self.model)
        params.set_search_options(**search)
        return self._og.Generator(self.model, params)


@dataclass(eq=False)  # compared by identity, as turns are
class Generation:
    """One answer in the making: reads its prompt in chunks, then gives a token a step."""

    loaded: Loaded
    wanted: Asked
    prompt: Any
    most: int
    send: Callable[[Piece | Exception], None]

    def __post_init__(self) -> None:
        self._unread, self._generated = self.prompt, 0
        self._generator: Any = None
        self._stops = StopScanner(self.wanted.stops)

    def step(self) -> bool:
        if self._generator is None:
            search = search_options(self.wanted, self.loaded.search)
            # The cache is allocated by this length, so it is what this answer may need, no more.
            search["max_length"] = len(self.prompt) + self.most
            self._generator = self.loaded.generator(search)
            self._stream = self.loaded.tokenizer.create_stream()
        if len(self._unread):
            size = self.loaded.prefill_chunk
            chunk, self._unread = self._unread[:size], self._unread[size:]
            self._generator.append_tokens(chunk)
            if len(self._unread):
                return True
        self._generator.generate_next_token()
        return self._take(int(self._generator.get_next_tokens()[0]))

    def _take(self, token: int) -> bool:
        if token in self.loaded.ends:
            return self._finish("", 0, "stop")
        self._generated += 1
        # The stream holds back the bytes of an unfinished character.
        text = self._stops.push(self._stream.decode(token))
        if self._stops.stopped:
            return self._finish(text, 1, "stop")
        if self._generated >= self.most or self._generator.is_done():
            return self._finish(text, 1, "length")
        self.send(Piece(text, 1))
        return True

    def _finish(self, text: str, tokens: int, finish: Finish) -> bool:
        self.send(Piece(text + self._stops.flush(), tokens, finish))
        return False

    def fail(self, error: Exception) -> None:
        self.send(error)

    def close(self) -> None:
        self._generator = self._stream = None


def search_options(wanted: Asked, defaults: Mapping[str, Any]) -> dict[str, Any]:
    """What the caller asked for, as the package's search options over the folder's `defaults`."""
    search: dict[str, Any] = {}
    if wanted.temperature is not None:
        search["temperature"] = wanted.temperature
    if wanted.top_p is not None:
        search["top_p"] = wanted.top_p
    if wanted.seed is not None:
        search["random_seed"] = wanted.seed % SEEDS
    if wanted.temperature == 0 or wanted.top_p == 0:
        # The package reads a `top_p` of 0 as none at all; a nucleus of nothing is the top token.
        search.pop("top_p", None)
        search["do_sample"] = False
    elif wanted.temperature is not None or (wanted.top_p is not None and wanted.top_p < 1):
        search["do_sample"] = True
        if not wanted.temperature and not defaults.get("temperature", 1):
            search["temperature"] = 1.0
    return search


def _overlay(options: OnnxRuntimeGenAI.Options) -> dict[str, Any]:
    session = {
        "intra_op_num_threads": options.threads,
        "inter_op_num_threads": 1,
        # Spinning threads would keep a core busy between tokens.
        "session.intra_op.allow_spinning": "0",
        "session.inter_op.allow_spinning": "0",
    }
    # One beam: the search settings of a folder may ask for more, which cannot be streamed.
    return {
        "model": {"decoder": {"session_options": session}},
        "search": {"num_beams": 1, "num_return_sequences": 1},
    }
