"""Engine name → where its class lives. Adding an engine is one file and one line here.

Strings, so that nothing heavy is imported before a replica needs it.
"""

from importlib import import_module
from typing import Any, NamedTuple

from backends.contract.tasks import Verb


class Entry(NamedTuple):
    """`path`: "module:Class". `extra`: the extra of `motley` that brings its packages."""

    path: str
    tasks: frozenset[Verb]
    extra: str | None = None


ENGINES: dict[str, Entry] = {
    "onnxruntime-genai": Entry("backends.engines.onnxruntime_genai:OnnxRuntimeGenAI", frozenset({"chat"})),
    "pocketsphinx": Entry("backends.engines.pocketsphinx:PocketSphinx", frozenset({"transcribe"})),
    "faster-whisper": Entry(
        "backends.engines.faster_whisper:FasterWhisper", frozenset({"transcribe"}), "faster-whisper"
    ),
    "whisper": Entry("backends.engines.whisper:Whisper", frozenset({"transcribe"}), "whisper"),
    "espeak-ng": Entry("backends.engines.espeak_ng:EspeakNG", frozenset({"speak"})),
    "xtts": Entry("backends.engines.xtts:Xtts", frozenset({"speak"})),
    "onnx": Entry("backends.engines.onnx:Onnx", frozenset({"embed", "rerank"}), "onnx"),
    "sentence-transformers": Entry(
        "backends.engines.sentence_transformers:SentenceTransformers",
        frozenset({"embed"}),
        "sentence-transformers",
    ),
    "cross-encoder": Entry(
        "backends.engines.cross_encoder:CrossEncoder", frozenset({"rerank"}), "sentence-transformers"
    ),
    "openai": Entry(
        "backends.engines.remote:Remote", frozenset({"chat", "transcribe", "speak", "embed", "rerank"})
    ),
    "vllm": Entry("backends.engines.vllm:Vllm", frozenset({"chat"})),
    "fake": Entry(
        "backends.engines.fake:Fake", frozenset({"chat", "transcribe", "speak", "embed", "rerank"})
    ),
}


def engine_class(name: str) -> Any:
    """The class of a registered engine. Raises KeyError for an unknown name."""
    module, _, attribute = ENGINES[name].path.partition(":")
    return getattr(import_module(module), attribute)
