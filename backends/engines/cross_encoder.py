"""Scores of documents with a cross-encoder on torch: cards of every vendor, and CPUs."""

from typing import ClassVar, Literal

from backends.contract.results import Ranking
from backends.contract.tasks import RerankTask, Verb
from backends.vectors.serving import ServingOnTorch


class CrossEncoder(ServingOnTorch):
    """Needs `ModelRef.path`, a classifier with one score as transformers writes it, with `safetensors`.
    Code that it brings is not run. Scores are the sigmoid of the model's, whatever it would do with them."""

    tasks: ClassVar[frozenset[Verb]] = frozenset({"rerank"})
    opens: ClassVar[Literal["Pairs"]] = "Pairs"

    async def rerank(self, task: RerankTask) -> Ranking:
        return await self._rerank(task)
