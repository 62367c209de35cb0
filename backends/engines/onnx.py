"""Sentence embeddings, and reranking by them, with onnxruntime and tokenizers: no torch."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar

from pydantic import BaseModel, Field

from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import ContextExceeded, EngineFailed, InvalidRequest, ModelDown
from backends.contract.results import Ranking, Vectors
from backends.contract.tasks import EmbedTask, RerankTask, Verb
from backends.encoder import Encoder, Layout, Part
from backends.microbatch import Turns, batches, to_the_end

if TYPE_CHECKING:
    from backends.encoder import Rows

# Texts tokenised in one go: a few milliseconds, the step within which a cancelled call ends.
_SLICE = 64
# Peak of the activations per token of a batch, in bytes: measured on 6 layers, 384 wide.
_WORKING = 60_000


class Onnx:
    """Embeds; reranks as a bi-encoder: the cosine of query and document, mapped to 0…1.

    One batch computes at a time; calls take turns batch by batch. Needs `ModelRef.path`, a folder
    as `backends.encoder` reads it.
    """

    class Options(BaseModel, extra="forbid"):
        """`threads`: cores for a batch. `max_batch_tokens` (padding included) and `max_batch` (texts)
        bound a batch: its memory, and how long another call waits for its turn; larger ones are no
        quicker on a CPU. `max_tokens`: the longest text, at most (and by default) the model's own."""

        threads: int = Field(1, ge=1, le=64)
        max_batch_tokens: int = Field(512, ge=16)
        max_batch: int = Field(32, ge=1)
        max_tokens: int | None = Field(None, ge=4)

    tasks: ClassVar[frozenset[Verb]] = frozenset({"embed", "rerank"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        """The weights' file and what one batch takes. No weights if the model is not on this machine."""
        size = 0
        if model.path is not None:
            try:
                layout = Layout.read(model.path)
                part = layout.weights or Part(file=layout.graph)
                size = part.locate(model.path).stat().st_size
            except EngineFailed:
                size = 0
        return Memory(weights=size, working=options.max_batch_tokens * _WORKING)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._model, self._options = model, options
        self._encoder: Encoder | None = None
        self._turns = Turns()
        self._busy = 0

    async def load(self, progress: Progress) -> None:
        """Raises EngineFailed for a folder, package or file that is missing or not the right one."""
        loop = asyncio.get_running_loop()

        def note(stage: str, fraction: float | None) -> None:
            loop.call_soon_threadsafe(progress, stage, fraction)

        self._encoder = await asyncio.to_thread(self._read, note)

    def _read(self, note: Progress) -> Encoder:
        if self._model.path is None:
            raise EngineFailed("this engine needs a model's folder: its source is builtin:// or file://")
        layout, wanted = Layout.read(self._model.path), self._options.max_tokens
        if wanted is not None:
            if wanted > layout.max_tokens:
                raise EngineFailed(f"max_tokens is {wanted}, but the model reads at most {layout.max_tokens}")
            layout = layout.model_copy(update={"max_tokens": wanted})
        return Encoder(self._model.path, layout, self._options.threads, note)

    async def healthy(self) -> bool:
        return self._encoder is not None

    async def close(self) -> None:
        """Calls still running fail at their next batch."""
        self._encoder = None

    @property
    def busy(self) -> int:
        return self._busy

    def facts(self) -> Mapping[str, Any]:
        encoder = self._loaded
        facts = {"max_tokens": encoder.layout.max_tokens}
        if self._model.task == "rerank":
            return {**facts, "scoring": "bi-encoder", "long_documents": "truncated"}
        return {**facts, "dimensions": encoder.dimensions}

    async def embed(self, task: EmbedTask) -> Vectors:
        """Unit vectors. A text over the limit is refused, never cut: the caller splits better than we.

        Raises InvalidRequest (`input`, `dimensions`), ContextExceeded (`input`).
        """
        own = self._loaded.dimensions
        dimensions = own if task.dimensions is None else task.dimensions
        if not 1 <= dimensions <= own:
            raise InvalidRequest(f"dimensions must be 1 to {own} for this model", param="dimensions")
        _present(task.texts, "input")
        with self._computing():
            ids = await self._ids(task.texts, "input")
            rows = _unit((await self._rows(ids))[:, :dimensions])
        return Vectors(rows.astype("<f4").tobytes(), len(ids), dimensions, sum(map(len, ids)))

    async def rerank(self, task: RerankTask) -> Ranking:
        """A document over the limit is judged by its beginning, as rerankers do (`facts` say so).

        Raises InvalidRequest (`query`, `documents`), ContextExceeded (`query`).
        """
        _present((task.query,), "query")
        _present(task.documents, "documents")
        with self._computing():
            query = await self._ids((task.query,), "query")
            ids = query + await self._ids(task.documents, "documents", cut=True)
            rows = _unit(await self._rows(ids))
            cosines = (rows[1:] @ rows[0]).clip(-1, 1)
        return Ranking(tuple(((1 + cosines) / 2).tolist()), sum(map(len, ids)))

    @property
    def _loaded(self) -> Encoder:
        if self._encoder is None:
            raise ModelDown("the model is down")
        return self._encoder

    @contextmanager
    def _computing(self) -> Iterator[None]:
        self._busy += 1
        try:
            yield
        finally:
            self._busy -= 1

    async def _ids(self, texts: Sequence[str], param: str, *, cut: bool = False) -> list[list[int]]:
        """Raises ContextExceeded at the first text over the limit: none is with `cut`."""
        limit, ids = self._loaded.layout.max_tokens, []
        for start in range(0, len(texts), _SLICE):
            part = texts[start : start + _SLICE]
            ids += await to_the_end(partial(self._loaded.ids, part, param, cut=cut))
            for index in range(start, len(ids)):
                if len(ids[index]) > limit:
                    raise ContextExceeded(
                        f"{_nth(index, len(texts))} is longer than the {limit} tokens that this model reads",
                        param=param,
                    )
        return ids

    async def _rows(self, ids: list[list[int]]) -> "Rows":
        import numpy as np

        rows: Rows = np.empty((len(ids), self._loaded.dimensions), np.float32)
        for batch in batches(
            [len(each) for each in ids], self._options.max_batch_tokens, self._options.max_batch
        ):
            run = self._loaded.run([ids[index] for index in batch])
            rows[batch] = await self._turns.take(run.result, run.stop)
        return rows


def _present(texts: Sequence[str], param: str) -> None:
    if not texts:
        raise InvalidRequest(f"{param} is empty", param=param)
    for index, text in enumerate(texts):
        if not text.strip():
            raise InvalidRequest(f"{_nth(index, len(texts))} is empty", param=param)


def _nth(index: int, count: int) -> str:
    return "the text" if count == 1 else f"text {index} (from 0)"


def _unit(rows: "Rows") -> "Rows":
    import numpy as np

    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    unit: Rows = rows / np.maximum(norms, np.finfo(np.float32).tiny)
    return unit
