"""A sentence encoder in a folder: how the folder is read, and how onnxruntime runs it.

The folder holds `model.onnx` (weights inside, in a file beside it, or in a safetensors file that
`encoder.json` names) and `tokenizer.json`. `encoder.json` may leave out everything; what it does not
say is taken from the files that sentence-transformers and transformers put into such folders.
"""

import ctypes
import hashlib
import json
import mmap
import os
from collections.abc import Callable, Sequence
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from pydantic import BaseModel, Field, ValidationError

from backends.contract.errors import ContextExceeded, EngineFailed, InvalidRequest

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = NDArray[np.float32]

Note = Callable[[str, float | None], None]

_LIMITS = (
    ("sentence_bert_config.json", "max_seq_length"),
    ("tokenizer_config.json", "model_max_length"),
    ("config.json", "max_position_embeddings"),
)


def _json(path: Path) -> dict[str, Any]:
    """A JSON object; empty where there is no file. Raises EngineFailed for anything else."""
    if not path.is_file():
        return {}
    try:
        found = json.loads(path.read_bytes())
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise EngineFailed(f"the model's {path.name} is not a JSON object")
    return found


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
        if self.sha256 is None:
            return
        digest, done, size = hashlib.sha256(), 0, path.stat().st_size
        with path.open("rb") as file:
            while chunk := file.read(1 << 22):
                digest.update(chunk)
                done += len(chunk)
                note("checking", done / size)
        if digest.hexdigest() != self.sha256:
            raise EngineFailed(f"{path.name} is not the file this model was made for: its sha256 differs")


class Weights(Part):
    """A safetensors file whose tensors are the graph's external initialisers, by name.

    `unused`: tensors the graph has not. `tables`: tensors only looked up in, which stay in the mapped
    file instead of being copied; the file must then have the name the graph gives it.
    """

    unused: frozenset[str] = frozenset()
    tables: frozenset[str] = frozenset()


class Layout(BaseModel, extra="forbid"):
    """`encoder.json`. `pooling` is for graphs that give a vector per token."""

    graph: str = "model.onnx"
    weights: Weights | None = None
    tokenizer: Part = Part(file="tokenizer.json")
    max_tokens: int = Field(512, ge=4)
    pooling: Literal["mean", "cls"] = "mean"

    @classmethod
    def read(cls, folder: Path) -> "Layout":
        """Raises EngineFailed for a folder that says what is not offered here."""
        known: dict[str, Any] = {}
        if limits := [limit for file, key in _LIMITS if (limit := _json(folder / file).get(key))]:
            known["max_tokens"] = min(limits)
        if modes := _pooling_modes(_json(folder / "1_Pooling" / "config.json")):
            known["pooling"] = "+".join(modes)  # two at once, or one not offered, is refused below
        try:
            return cls.model_validate({**known, **_json(folder / "encoder.json")})
        except ValidationError as error:
            where = ".".join(map(str, error.errors()[0]["loc"]))
            raise EngineFailed(f"the model's folder is not understood at {where!r}") from error


def _pooling_modes(pooling: dict[str, Any]) -> list[str]:
    """From sentence-transformers' file, in its older form (a flag per mode) or its newer (`pooling_mode`)."""
    if isinstance(mode := pooling.get("pooling_mode"), str):
        return [mode]
    names = {"pooling_mode_mean_tokens": "mean", "pooling_mode_cls_token": "cls"}
    return [
        names.get(key, key) for key, on in pooling.items() if key.startswith("pooling_mode_") and on is True
    ]


class Encoder:
    """Texts to ids, ids to rows. Blocking: made and used in threads."""

    def __init__(self, folder: Path, layout: Layout, threads: int, note: Note) -> None:
        # Else every text batch wakes a thread per core, whatever `threads` says.
        os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
        import onnxruntime
        from tokenizers import Tokenizer

        self.layout = layout
        tokenizer = layout.tokenizer.locate(folder)
        layout.tokenizer.check(tokenizer, note)
        self._tokenizer = Tokenizer.from_file(str(tokenizer))
        self._pad = (self._tokenizer.padding or {}).get("pad_id", 0)
        self._tokenizer.no_padding()  # files carry the settings of the day they were saved,
        self._tokenizer.no_truncation()  # and silent truncation would miscount
        self._specials = self._tokenizer.num_special_tokens_to_add(False)

        settings = onnxruntime.SessionOptions()
        settings.intra_op_num_threads = threads
        settings.add_session_config_entry("session.intra_op.allow_spinning", "0")
        # The arena stays on: it is flat after the largest batch. Without it, malloc creeps higher.
        graph = Part(file=layout.graph).locate(folder)
        self._mapped = _Mapped(layout.weights, folder, note) if layout.weights else None
        note("loading", None)
        model: str | bytes = str(graph)
        if self._mapped is not None:
            self._mapped.give(settings)
            model = graph.read_bytes()  # only then does onnxruntime look for `tables` elsewhere
        self._session = onnxruntime.InferenceSession(model, settings, providers=["CPUExecutionProvider"])
        if self._mapped is not None:
            self._mapped.forget()
        _trim()
        self._inputs = {each.name for each in self._session.get_inputs()}
        note("warming", None)
        self.dimensions: int = self.run(self.ids(["warm"], "input")).result().shape[1]

    def ids(self, texts: Sequence[str], param: str, *, cut: bool = False) -> list[list[int]]:
        """Token ids with the special ones. With `cut`, a text ends at the model's limit; without, one
        that is longer comes back longer (perhaps not whole). Raises InvalidRequest: not Unicode."""
        limit, room = self.layout.max_tokens, self.layout.max_tokens - self._specials
        reach = limit * 64  # no need to tokenise a megabyte to see that it is too long
        encode = partial(self._tokenizer.encode_batch_fast, add_special_tokens=False)
        try:
            found = encode([text[:reach] for text in texts])
            for index, text in enumerate(texts):
                if not cut and len(text) > reach and len(found[index]) <= room:
                    # Mostly white space. A second's work is enough to look for the end of it.
                    if len(text) > reach * 64:
                        raise ContextExceeded("the text is too long for this model", param=param)
                    found[index] = encode([text])[0]
        except TypeError:  # lone surrogates: JSON can say them, UTF-8 cannot
            raise InvalidRequest("the text is not valid Unicode", param=param) from None
        for each in found:
            if cut:
                each.truncate(room)
        return [self._tokenizer.post_process(each).ids for each in found]

    def run(self, batch: list[list[int]]) -> "Run":
        """Prepare a batch of ids; nothing is computed yet."""
        return Run(self._session, self._feed(batch), self.layout.pooling)

    def _feed(self, batch: list[list[int]]) -> dict[str, Any]:
        import numpy as np

        ids = np.full((len(batch), max(map(len, batch))), self._pad, np.int64)
        mask = np.zeros_like(ids)
        for row, tokens in enumerate(batch):
            ids[row, : len(tokens)] = tokens
            mask[row, : len(tokens)] = 1
        given = {"input_ids": ids, "attention_mask": mask, "token_type_ids": np.zeros_like(ids)}
        return {name: given[name] for name in self._inputs}


def _trim() -> None:
    """Give back the heap that building a session freed (46 MB for MiniLM); glibc would keep it."""
    if trim := getattr(ctypes.CDLL(None), "malloc_trim", None):
        trim(0)


class Run:
    """One batch on its way through a session."""

    def __init__(self, session: Any, feed: dict[str, Any], pooling: str) -> None:
        from onnxruntime import RunOptions

        self._session, self._feed, self._pooling = session, feed, pooling
        self._options = RunOptions()

    def stop(self) -> None:
        """From another thread: end within one node of the graph. `result` then raises."""
        self._options.terminate = True

    def result(self) -> "Rows":
        """Compute: one float32 row a text, not normalised. Blocks; lets go of the GIL."""
        import numpy as np

        output: Rows = self._session.run(None, self._feed, self._options)[0].astype(np.float32, copy=False)
        if output.ndim == 2:
            return output
        if self._pooling == "cls":
            return output[:, 0]
        kept = self._feed["attention_mask"][:, :, None].astype(np.float32)
        pooled: Rows = (output * kept).sum(1) / kept.sum(1)
        return pooled


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
