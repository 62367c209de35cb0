"""Vectors with sentence-transformers on torch: cards of every vendor, and CPUs.

On a CPU `onnx` is lighter, and quicker for single texts; bfloat16, where the CPU has it, is this one's.
"""

from typing import ClassVar, Literal

from backends.contract.results import Vectors
from backends.contract.tasks import EmbedTask, Verb
from backends.vectors.serving import ServingOnTorch


class SentenceTransformers(ServingOnTorch):
    """Needs `ModelRef.path`, a folder as sentence-transformers or transformers writes it, with
    `safetensors`. Code that it brings is not run."""

    tasks: ClassVar[frozenset[Verb]] = frozenset({"embed"})
    opens: ClassVar[Literal["Sentences"]] = "Sentences"

    async def embed(self, task: EmbedTask) -> Vectors:
        return await self._embed(task)
