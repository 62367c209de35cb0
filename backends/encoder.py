"""A model in a folder: how the folder is read, and how onnxruntime runs it.

The folder holds `model.onnx` or `onnx/model.onnx` (weights inside, in files beside it, or in a
safetensors file that `encoder.json` names) and `tokenizer.json`. `encoder.json` may leave out everything;
what it does not say is taken from the files that sentence-transformers and transformers put into such
folders. Where these say that the model judges pairs, it is a cross-encoder.
"""

import json
import mmap
from collections.abc import Callable, Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError, field_validator

from backends import heap
from backends.contract.errors import EngineFailed
from backends.vectors import folder as said
from backends.vectors.asked import unit
from backends.vectors.graph import Graph
from backends.vectors.providers import Provider
from backends.vectors.reading import Reader, Tokens, padded

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from backends.microbatch import Rows

    Hidden = NDArray[np.float32]  # texts × tokens × width

Note = Callable[[str, float | None], None]

# Where a graph is looked for: as people put it, and as model hubs have it.
GRAPHS = ("model.onnx", "onnx/model.onnx")
INPUTS = ("input_ids", "attention_mask", "token_type_ids", "position_ids")
# Modules that change a vector after the pooling, which a graph of the transformer alone lacks.
_WITHOUT = frozenset({"Transformer", "Pooling", "Normalize", "Dropout"})

Pooling = Literal["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"]


class Part(BaseModel, extra="forbid"):
    """A file in the model's folder, or in an installed `package`; refused if its sha256 differs."""

    file: str
    package: str | None = None
    sha256: str | None = None

    def locate(self, folder: Path) -> Path:
        """Raises EngineFailed where it is not there. The package is found without importing it: the
        modules of packages that carry models like to import torch."""
        if self.package is None:
            path = folder / self.file
        else:
            spec = find_spec(self.package)
            if spec is None or spec.origin is None:
                raise EngineFailed(f"the package {self.package}, which carries this model, is not installed")
            path = Path(spec.origin).parent / self.file
        if not path.is_file():
            raise EngineFailed(f"the model has no {Path(self.file).name}")
        return path

    def check(self, path: Path, note: Note) -> None:
        """Raises EngineFailed for a file other than the one this folder was made for."""
        if self.sha256 is not None and said.revision([path], note) != self.sha256:
            raise EngineFailed(f"{path.name} is not the file this model was made for: its sha256 differs")


class Weights(Part):
    """A safetensors file whose tensors are the graph's external initialisers, by name.

    `unused`: tensors the graph has not. `tables`: tensors only looked up in, which stay in the mapped
    file instead of being copied; the file must then have the name the graph gives it.
    """

    unused: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()


class Layout(BaseModel, extra="forbid"):
    """`encoder.json`. `pooling` and `normalised` are for graphs that leave it to who runs them."""

    graph: str | None = None
    weights: Weights | None = None
    tokenizer: Part = Part(file="tokenizer.json")
    max_tokens: int = Field(512, ge=4)
    pooling: tuple[Pooling, ...] = ("mean",)
    normalised: bool = True

    @field_validator("pooling", mode="before")
    @classmethod
    def _parts(cls, named: Any) -> Any:
        return named.split("+") if isinstance(named, str) else named

    @classmethod
    def read(cls, folder: Path) -> "Layout":
        """Raises EngineFailed for a folder that says what is not offered here."""
        known: dict[str, Any] = {"normalised": said.normalised(folder)}
        if longest := said.max_tokens(folder):
            known["max_tokens"] = longest
        if ways := said.pooling(folder):
            known["pooling"] = ways
        try:
            return cls.model_validate({**known, **said.read_object(folder / "encoder.json")})
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"] if isinstance(part, str))
            raise EngineFailed(f"the model's folder is not understood at {where!r}") from error

    def locate(self, folder: Path, named: str | None = None) -> Path:
        """The graph's file; `named` goes before what the folder says. Raises EngineFailed."""
        file = named or self.graph
        if file is None:
            file = next((one for one in GRAPHS if (folder / one).is_file()), GRAPHS[0])
        return Part(file=file).locate(folder)

    def files(self, folder: Path, graph: Path, beside: Sequence[str]) -> list[Path]:
        """What the weights lie in. Raises EngineFailed where one is missing."""
        if self.weights is not None:
            return [self.weights.locate(folder)]
        return [graph, *(Part(file=file).locate(graph.parent) for file in beside)]


class Encoder:
    """Texts to rows: vectors, or the scores of a cross-encoder. Blocking: made and used in threads.

    `longest`: of a model that reads so many tokens, how many it is to read; raises where not.
    """

    def __init__(
        self,
        folder: Path,
        *,
        graph: str | None,
        threads: int,
        provider: Callable[[Sequence[str]], Provider],
        longest: Callable[[int], int],
        note: Note,
    ) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        self._layout = layout = Layout.read(folder)
        tokenizer = layout.tokenizer.locate(folder)
        layout.tokenizer.check(tokenizer, note)
        self.reader = Reader(
            Tokenizer.from_file(str(tokenizer)),
            longest(layout.max_tokens),
            pairs=said.is_cross_encoder(folder),
            lower=said.lower_case(folder),
        )
        file = layout.locate(folder, graph)
        found = Graph.read(file)
        chosen = provider(onnxruntime.get_available_providers())
        revision = self._revision(layout.files(folder, file, found.beside), note)
        self._session = self._opened(folder, file, threads, chosen, note)
        self._inputs = self._checked(self._session)
        self._outputs = self._wanted([output.name for output in self._session.get_outputs()])
        note("warming", None)
        self.width = self._warmed(folder)
        runtime = f"onnxruntime {onnxruntime.__version__} {chosen.shown}"
        self.facts: Mapping[str, Any] = {"dtype": found.dtype, "runtime": runtime, "revision": revision}
        if not self.reader.pairs:
            self.facts = {**self.facts, "pooling": self._pooled, "normalised": layout.normalised}

    def _revision(self, files: Sequence[Path], note: Note) -> str:
        weights = self._layout.weights
        if weights is not None and weights.sha256:
            return weights.sha256  # checked where they are read
        return said.revision(files, note)

    def _opened(self, folder: Path, graph: Path, threads: int, provider: Provider, note: Note) -> Any:
        import onnxruntime

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena stays on: it is flat after the largest batch. Without it, malloc creeps higher. But a
        # pattern of memory would be kept for every shape that ever was, and almost every batch is one.
        settings.enable_mem_pattern = False
        weights = self._layout.weights
        mapped = _Mapped(weights, folder, note) if weights else None
        note("loading", None)
        model: str | bytes = str(graph)
        if mapped is not None:
            mapped.give(settings)
            model = graph.read_bytes()  # only then does onnxruntime look for `tables` elsewhere
        try:
            session = onnxruntime.InferenceSession(
                model, settings, providers=[(provider.name, provider.options)]
            )
        except Exception as error:  # whatever the libraries raise on what they cannot run
            raise EngineFailed(f"onnxruntime cannot run {graph.name} on {provider.shown}") from error
        if session.get_providers()[0] != provider.name:
            raise EngineFailed(f"onnxruntime cannot use {provider.shown} here: its libraries are not found")
        if mapped is not None:
            mapped.forget()
        self._mapped = mapped
        heap.trim()  # what building a session freed: 46 MB for MiniLM
        return session

    def _checked(self, session: Any) -> dict[str, str]:
        """The inputs that the graph takes, with their type."""
        found = {each.name: each.type for each in session.get_inputs()}
        if unknown := found.keys() - set(INPUTS):
            raise EngineFailed(f"the model's graph wants inputs that are not offered: {', '.join(unknown)}")
        return found

    def _wanted(self, names: Sequence[str]) -> list[str]:
        """Of the graph's outputs the one that is most of the way."""
        return ["sentence_embedding"] if "sentence_embedding" in names else [names[0]]

    def _warmed(self, folder: Path) -> int:
        """Numbers a row, from a first run. Raises EngineFailed where the graph gives something else."""
        run = self.run([self.reader.sample()])
        shape = run.output().shape
        if self.reader.pairs and (len(shape) != 2 or shape[1] != 1):
            raise EngineFailed("the model's graph gives no single score for a pair")
        if len(shape) == 2:
            named = "pooling" in self._layout.model_fields_set
            self._pooled = "+".join(self._layout.pooling) if named else "in the graph"
            return int(shape[1])
        if missing := {said.kind(module) for module, _ in said.modules(folder)} - _WITHOUT:
            raise EngineFailed(f"the model's graph leaves out what comes last: {', '.join(sorted(missing))}")
        self._pooled = "+".join(self._layout.pooling)
        return int(run.result().shape[1])

    def run(self, items: Sequence[Tokens]) -> "_Run":
        """Prepare a batch; nothing is computed yet."""
        import numpy as np

        ids, mask, types = padded(items, self.reader.pad)
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": types}
        if "position_ids" in self._inputs:
            given["position_ids"] = np.broadcast_to(np.arange(ids.shape[1]), ids.shape)
        feed = {
            name: given[name].astype(np.int32) if kind == "tensor(int32)" else given[name]
            for name, kind in self._inputs.items()
        }
        return _Run(self._session, self._outputs, feed, mask, None if self.reader.pairs else self._layout)


class _Run:
    """One batch on its way through a session. `layout`: what is to be done after; None: nothing."""

    def __init__(
        self, session: Any, outputs: list[str], feed: dict[str, Any], mask: Any, layout: Layout | None
    ) -> None:
        from onnxruntime import RunOptions

        self._session, self._outputs, self._feed = session, outputs, feed
        self._mask, self._layout = mask, layout
        self._options = RunOptions()

    def stop(self) -> None:
        """From another thread: end within one node of the graph. `result` then raises."""
        self._options.terminate = True

    def output(self) -> "Hidden | Rows":
        import numpy as np

        (found,) = self._session.run(self._outputs, self._feed, self._options)
        output: Hidden = found.astype(np.float32, copy=False)
        return output

    def result(self) -> "Rows":
        """Compute: one float32 row a text. Blocks; lets go of the GIL."""
        import numpy as np

        rows = self.output()
        if self._layout is None:
            return rows
        if rows.ndim == 3:
            ways = [pooled(rows, self._mask, way) for way in self._layout.pooling]
            rows = ways[0] if len(ways) == 1 else np.concatenate(ways, axis=1)
        return unit(rows) if self._layout.normalised else rows


def pooled(hidden: "Hidden", mask: Any, way: Pooling) -> "Rows":
    """One vector a text, from those of its tokens; `mask` is 1 where a token is, in texts × tokens.
    As sentence-transformers does each."""
    import numpy as np

    kept = mask[:, :, None].astype(np.float32)
    rows: Rows
    match way:
        case "cls":
            rows = hidden[:, 0]
        case "lasttoken":
            rows = hidden[np.arange(len(hidden)), mask.sum(1) - 1]
        case "max":
            rows = np.where(kept > 0, hidden, -np.inf).max(1)
        case "weightedmean":
            weights = kept * np.arange(1, hidden.shape[1] + 1, dtype=np.float32)[:, None]
            rows = (hidden * weights).sum(1) / weights.sum(1)
        case _:
            count = kept.sum(1)
            rows = (hidden * kept).sum(1) / (np.sqrt(count) if way == "mean_sqrt_len_tokens" else count)
    return rows


class _Mapped:
    """The weights as they lie in the file."""

    def __init__(self, weights: Weights, folder: Path, note: Note) -> None:
        import numpy as np

        self._weights, self._path = weights, weights.locate(folder)
        weights.check(self._path, note)
        self._file = np.memmap(self._path, np.uint8, "r")
        start = 8 + int.from_bytes(self._file[:8].tobytes(), "little")
        header = json.loads(self._file[8:start].tobytes())
        kinds = {"F32": "<f4", "F16": "<f2", "F64": "<f8", "I64": "<i8", "I32": "<i4"}
        self._tensors = {}
        for name, entry in header.items():
            if name != "__metadata__" and name not in weights.unused:
                begin, end = (start + offset for offset in entry["data_offsets"])
                flat = self._file[begin:end].view(kinds[entry["dtype"]])
                self._tensors[name] = flat.reshape(entry["shape"])

    def give(self, settings: Any) -> None:
        """Hand the tensors to a session to be."""
        from onnxruntime import OrtValue

        values = {name: OrtValue.ortvalue_from_numpy(tensor) for name, tensor in self._tensors.items()}
        # Tables go by another door: external initialisers are copied, these are used where they are.
        # onnxruntime still wants to see the file that the graph names.
        for name in self._weights.tables:
            settings.add_initializer(name, values[name])
        key = "session.model_external_initializers_file_folder_path"
        settings.add_session_config_entry(key, str(self._path.parent))
        rest = [name for name in values if name not in self._weights.tables]
        settings.add_external_initializers(rest, [values[name] for name in rest])
        self._values = values  # the session does not keep them alive

    def forget(self) -> None:
        """Let go of the pages that were only read to be packed; they come back if touched."""
        self._file._mmap.madvise(mmap.MADV_DONTNEED)  # type: ignore[attr-defined]
