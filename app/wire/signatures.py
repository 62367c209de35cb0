"""The tensors of each verb in the open inference protocol (V2): `-1` is any number."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from backends.contract.tasks import Verb


@dataclass(frozen=True, slots=True)
class Spec:
    name: str
    shape: tuple[int, ...] = (-1,)
    datatype: Literal["BYTES", "FP32"] = "BYTES"

    def told(self) -> dict[str, Any]:
        return {"name": self.name, "datatype": self.datatype, "shape": list(self.shape)}


@dataclass(frozen=True, slots=True)
class Signature:
    """`withheld`: fields of the OpenAI request that are no parameters here: a tensor has them, or they shape
    an answer that is none of tensors."""

    inputs: tuple[Spec, ...]
    outputs: tuple[Spec, ...]
    withheld: frozenset[str]


# A chat is asked by one of its two inputs.
SIGNATURES: Mapping[Verb, Signature] = {
    "chat": Signature(
        (Spec("prompt"), Spec("messages")),
        (Spec("text"), Spec("finish_reason"), Spec("response")),
        frozenset({"model", "messages", "n", "stream", "stream_options"}),
    ),
    "transcribe": Signature(
        (Spec("audio", (1,)),),
        (Spec("text", (1,)), Spec("language", (1,)), Spec("duration", (1,), "FP32"), Spec("response", (1,))),
        frozenset({"model", "file", "stream"}),
    ),
    "speak": Signature(
        (Spec("text", (1,)),),
        (Spec("audio", (1,)),),
        frozenset({"model", "input", "stream_format"}),
    ),
    "embed": Signature(
        (Spec("text"),),
        (Spec("embedding", (-1, -1), "FP32"),),
        frozenset({"model", "input", "encoding_format"}),
    ),
    "rerank": Signature(
        (Spec("query", (1,)), Spec("documents")),
        (Spec("scores", (-1,), "FP32"),),
        frozenset({"model", "query", "documents", "top_n", "return_documents", "rank_fields"}),
    ),
}
