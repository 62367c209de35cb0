"""The options and the life of an engine of vectors or scores, whatever computes them."""

import asyncio
import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Protocol, TypeVar, get_args

from pydantic import BaseModel, Field

from backends import torch_device
from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import EngineFailed, InvalidRequest, ModelDown
from backends.contract.results import Ranking, Vectors
from backends.contract.tasks import EmbedTask, InputType, RerankTask
from backends.microbatch import Batcher, Request, Run
from backends.vectors import asked, folder
from backends.vectors.reading import Reader, Tokens
from backends.vllm.weights import weights_bytes

if TYPE_CHECKING:
    from backends.vectors.on_torch import OnTorch

R = TypeVar("R")


class Before(BaseModel, extra="forbid"):
    """What is put before a text, by what it is to the model."""

    query: str = ""
    document: str = ""


class Knobs(BaseModel, extra="forbid"):
    """`max_tokens`: the longest text, at most (and by default) the model's own; a longer one is refused,
    or with `truncate` read as far as that. `prompts`: in place of the folder's own.

    `max_batch_tokens` (padding included) and `max_batch` (texts) bound a batch: its memory, and how
    long another call waits for its turn. By default 512 and 32 on a CPU, where larger ones are no
    quicker, and 16,384 and 256 on a card. `max_waiting`: texts that are here at once, of all callers;
    past it a request is refused.
    """

    max_tokens: int | None = Field(None, ge=4)
    truncate: bool = False
    prompts: Before | None = None
    max_batch_tokens: int | None = Field(None, ge=16)
    max_batch: int | None = Field(None, ge=1)
    max_waiting: int = Field(16_384, ge=1)

    def batch(self, share: GpuShare) -> tuple[int, int]:
        """(tokens, texts) of a batch at most."""
        tokens, texts = (16_384, 256) if share.share else (512, 32)
        return self.max_batch_tokens or tokens, self.max_batch or texts


class Model(Protocol):
    """What computes. `width`: numbers a row: the dimensions of a vector, 1 for a score.
    `facts`: `dtype`, `runtime`, `revision`; of vectors `pooling` and `normalised` too."""

    reader: Reader
    width: int
    facts: Mapping[str, Any]

    def run(self, items: list[Tokens]) -> Run:
        """Prepare a batch; nothing is computed yet."""
        ...


class Serving:
    """One loaded model and its batcher. An engine says how the model is opened, and which verbs it has."""

    live: ClassVar[frozenset[str]] = frozenset({"max_batch", "max_waiting"})

    def __init__(self, model: ModelRef, options: Knobs, share: GpuShare) -> None:
        self._model, self._knobs, self._share = model, options, share
        self._prompts = folder.Prompts()
        self._opened: Model | None = None
        self._batcher: Batcher | None = None
        self.busy = 0

    def _open(self, note: Progress) -> Model:
        """Blocking. Raises EngineFailed for what is missing or not the right thing."""
        raise NotImplementedError

    async def load(self, progress: Progress) -> None:
        """Raises EngineFailed for a folder, package, card or file that is missing or not the right one."""
        loop = asyncio.get_running_loop()

        def note(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(progress, stage, fraction)

        self._opened = model = await asyncio.to_thread(self._opening, note)
        tokens, texts = self._knobs.batch(self._share)
        self._batcher = Batcher(
            model.reader.encode,
            model.run,
            most_tokens=tokens,
            most=texts,
            most_waiting=self._knobs.max_waiting,
        )

    def _opening(self, note: Progress) -> Model:
        if self._model.path is None:
            raise EngineFailed("this engine needs a model's folder: its source is builtin:// or file://")
        if self._knobs.prompts is not None:
            self._prompts = folder.Prompts(self._knobs.prompts.query, self._knobs.prompts.document)
        elif self._model.task == "embed" or not folder.is_cross_encoder(self._model.path):
            self._prompts = folder.prompts(self._model.path)
        if any(self._prompts) and not folder.pools_prompts(self._model.path):
            raise EngineFailed("the model wants its prompts left out of the pooling, which is not offered")
        return self._open(note)

    def _longest(self, own: int) -> int:
        """Tokens of a text, of a model that reads `own`. Raises EngineFailed where more is wanted."""
        wanted = self._knobs.max_tokens
        if wanted is not None and wanted > own:
            raise EngineFailed(f"max_tokens is {wanted}, but the model reads at most {own}")
        return wanted or own

    def reconfigure(self, options: Knobs) -> None:
        self._knobs = options
        if self._batcher is not None:
            _, texts = options.batch(self._share)
            self._batcher.limit(most=texts, most_waiting=options.max_waiting)

    async def healthy(self) -> bool:
        """After a failure, only what still computes is healthy: a card's context can be beyond repair
        in a process, and a new one mends it."""
        if self._batcher is None or not self._batcher.alive:
            return False
        if self._batcher.failed:
            reader = self._loaded.reader
            fields = [asked.Field(name, ("warm",), reader.most) for name in ("query", "documents")]
            try:
                await self._batcher.ask(self._ranked(reader, *fields))
            except Exception:
                return False
        return True

    async def close(self) -> None:
        """Calls still running fail."""
        if self._batcher is not None:
            self._batcher.close()
        self._opened = None

    def facts(self) -> Mapping[str, Any]:
        model = self._loaded
        facts: dict[str, Any] = {"max_tokens": model.reader.most, **model.facts}
        if any(self._prompts):
            facts["prompts"] = [kind for kind in get_args(InputType) if self._prompts.of(kind)]
        if self._model.task == "rerank":
            scoring = "cross-encoder" if model.reader.pairs else "bi-encoder"
            return {**facts, "scoring": scoring, "long_documents": "truncated"}
        return {**facts, "dimensions": model.width}

    async def _embed(self, task: EmbedTask) -> Vectors:
        """Raises InvalidRequest (`input`, `dimensions`), ContextExceeded (`input`), Overloaded."""
        model = self._loaded
        own = model.width
        dimensions = own if task.dimensions is None else task.dimensions
        if not 1 <= dimensions <= own:
            raise InvalidRequest(f"dimensions must be 1 to {own} for this model", param="dimensions")
        cut = model.reader.room if self._knobs.truncate else None
        field = asked.Field("input", task.texts, cut, self._prompts.of(task.input_type))
        return await self._ask(
            asked.Embedding(model.reader, field, None if dimensions == own else dimensions)
        )

    async def _rerank(self, task: RerankTask) -> Ranking:
        """A document that is too long is judged by its beginning, as rerankers do (`facts` say so).

        Raises InvalidRequest (`query`, `documents`), ContextExceeded (`query`), Overloaded.
        """
        reader = self._loaded.reader
        cut = reader.room if self._knobs.truncate else None
        query = asked.Field("query", (task.query,), cut, self._prompts.of("query"))
        most = reader.room if task.max_tokens is None else min(task.max_tokens, reader.room)
        documents = asked.Field("documents", task.documents, most, self._prompts.of("document"))
        return await self._ask(self._ranked(reader, query, documents))

    def _ranked(self, reader: Reader, *fields: asked.Field) -> asked.Relevance | asked.Likeness:
        return asked.Relevance(reader, *fields) if reader.pairs else asked.Likeness(reader, *fields)

    async def _ask(self, request: Request[R]) -> R:
        assert self._batcher is not None
        self.busy += 1
        try:
            return await self._batcher.ask(request)
        finally:
            self.busy -= 1

    @property
    def _loaded(self) -> Model:
        if self._opened is None:
            raise ModelDown("the model is down")
        return self._opened


class ServingOnTorch(Serving):
    """`opens`: the class of `backends.vectors.on_torch` that it is. Torch computes outside the GIL, so it
    lives in this process."""

    class Options(Knobs):
        """`dtype`: by default bfloat16 on a card that has it, float16 on others, float32 on a CPU.
        `threads`: cores, on a CPU; all by default."""

        dtype: Literal["float32", "bfloat16", "float16"] | None = None
        threads: int | None = Field(None, ge=1, le=256)

    opens: ClassVar[Literal["Sentences", "Pairs"]]

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory | None:
        """From what the folder says of itself. None if the model is not on this machine."""
        if model.path is None:
            return None
        tokens, _ = options.batch(share)
        dtype = options.dtype or ("float16" if share.share else "float32")
        weights = weights_bytes(model.path, 4 if dtype == "float32" else 2)
        # Scores of attention are not kept, so how long a text is makes no difference.
        working = tokens * folder.working(model.path, 0)
        return Memory(weights, working, torch_device.overhead(share)) if weights else None

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        super().__init__(model, options, share)
        self._options = options

    def _open(self, note: Progress) -> "OnTorch":
        # Else what oneDNN compiles for a shape of batch stays for the last 1,024 of them.
        os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")
        try:
            from backends.vectors import on_torch
        except ImportError as error:
            raise EngineFailed("this engine needs the packages of motley[sentence-transformers]") from error
        assert self._model.path is not None
        opens: type[OnTorch] = getattr(on_torch, self.opens)
        return opens(
            self._model.path,
            share=self._share,
            dtype=self._options.dtype,
            threads=self._options.threads,
            longest=self._longest,
            note=note,
        )
