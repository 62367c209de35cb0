"""Vectors, and scores of documents, with onnxruntime and tokenizers: no torch."""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import Field

from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import EngineFailed
from backends.contract.results import Ranking, Vectors
from backends.contract.tasks import EmbedTask, RerankTask, Verb
from backends.encoder import Layout
from backends.vectors import folder
from backends.vectors.graph import Graph
from backends.vectors.providers import CONTEXT, Provider, provider
from backends.vectors.serving import Knobs, Serving

if TYPE_CHECKING:
    from backends.encoder import Encoder

log = logging.getLogger(__name__)


class Onnx(Serving):
    """Embeds; reranks with a cross-encoder, or with an encoder of sentences by the cosine of query and
    document, mapped to 0…1. Needs `ModelRef.path`, a folder as `backends.encoder` reads it."""

    class Options(Knobs):
        """`threads`: cores for a batch. `graph`: the file in the folder that is to run, such as
        `onnx/model_fp16.onnx`; it computes in the precision that the file has. `openvino`: compute with
        it on a CPU, too. `device`: `cpu` computes there whatever the place grants of a card, which then
        only counts the share."""

        threads: int = Field(1, ge=1, le=64)
        graph: str | None = None
        openvino: bool = False
        device: Literal["auto", "cpu"] = "auto"

        def taken(self, share: GpuShare) -> GpuShare:
            return GpuShare() if self.device == "cpu" else share

    tasks: ClassVar[frozenset[Verb]] = frozenset({"embed", "rerank"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory | None:
        """The weights' files and what one batch takes. None if the model is not on this machine."""
        path = model.path
        if path is None:
            return None
        try:
            layout = Layout.read(path)
            graph = layout.locate(path, options.graph)
            files = layout.files(path, graph, Graph.read(graph).beside)
        except EngineFailed:
            return None
        share = options.taken(share)
        weights, own = sum(file.stat().st_size for file in files), options.max_tokens or layout.max_tokens
        tokens, _ = options.batch(share)
        working = max(tokens, own) * folder.working(path, own)
        return Memory(weights, working, CONTEXT if share.share else 0)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        super().__init__(model, options, options.taken(share))
        self._options = options

    def _open(self, note: Progress) -> "Encoder":
        from backends.encoder import Encoder

        assert self._model.path is not None
        opened = Encoder(
            self._model.path,
            graph=self._options.graph,
            threads=self._options.threads,
            provider=self._provider,
            longest=self._longest,
            note=note,
        )
        if opened.reader.pairs and self._model.task == "embed":
            raise EngineFailed("the model judges pairs of texts: it reranks, and makes no vectors")
        return opened

    def _provider(self, available: Sequence[str]) -> Provider:
        options = self._options
        found = provider(self._share, available, threads=options.threads, openvino=options.openvino)
        if not found.limited:
            log.warning("%s takes no limit of memory: the share is not enforced", found.name)
        return found

    async def embed(self, task: EmbedTask) -> Vectors:
        return await self._embed(task)

    async def rerank(self, task: RerankTask) -> Ranking:
        return await self._rerank(task)
