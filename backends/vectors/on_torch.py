"""Models of vectors and scores on torch. Blocking; imported by `load` alone."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from tokenizers import Tokenizer

from backends import torch_device
from backends.contract.engine import GpuShare, Progress
from backends.contract.errors import EngineFailed
from backends.vectors import devices, folder
from backends.vectors.asked import unit
from backends.vectors.devices import Dtype
from backends.vectors.reading import Reader, Tokens, padded

if TYPE_CHECKING:
    from backends.microbatch import Rows


class OnTorch:
    """A model of torch with its tokenizer, on the device of its share. Raises EngineFailed for a card that
    torch does not see and for what it cannot read.

    `longest`: of a model that reads so many tokens, how many it is to read.
    """

    pairs = False
    facts: Mapping[str, Any] = {}

    def __init__(
        self,
        path: Path,
        *,
        share: GpuShare,
        dtype: Dtype | None,
        threads: int | None,
        longest: Callable[[int], int],
        note: Progress,
    ) -> None:
        self._device = torch_device.name(share)
        torch_device.ready(self._device, share.share)
        self._cache = devices.Cache(self._device, share)
        if threads and self._device == "cpu":
            torch.set_num_threads(threads)
        chosen = devices.dtype(self._device, dtype)
        revision = folder.revision(weights(path), note)
        note("loading", None)
        try:
            self._model, tokenizer, own = self._opened(path, getattr(torch, chosen))
        except EngineFailed:
            raise
        except Exception as error:  # whatever the libraries raise on files they cannot read
            raise EngineFailed("the model cannot be read") from error
        # What transformers made of the tokenizer's file and its own settings.
        self.reader = Reader(
            Tokenizer.from_str(tokenizer.backend_tokenizer.to_str()),
            longest(min(own, folder.max_tokens(path) or own)),
            pairs=self.pairs,
            lower=folder.lower_case(path),
        )
        if tokenizer.pad_token_id is not None:
            self.reader.pad = tokenizer.pad_token_id
        self._typed = "token_type_ids" in tokenizer.model_input_names
        self._stops = _Stops(self._model)
        note("warming", None)
        self.width = int(self.run([self.reader.sample()]).result().shape[1])
        runtime = f"torch {torch.__version__.partition('+')[0]} {devices.shown(self._device)}"
        self.facts = {**self.facts, "dtype": chosen, "runtime": runtime, "revision": revision}

    def _opened(self, path: Path, dtype: Any) -> tuple[Any, Any, int]:
        """(the model on its device, the tokenizer of transformers, the longest text in tokens)."""
        raise NotImplementedError

    def compute(self, features: dict[str, Any]) -> Any:
        """A tensor of a row a text."""
        raise NotImplementedError

    def finished(self, rows: "Rows") -> "Rows":
        return rows

    def run(self, items: list[Tokens]) -> "_Run":
        """Prepare a batch; nothing is computed yet."""
        ids, mask, types = padded(items, self.reader.pad)
        features = {"input_ids": ids, "attention_mask": mask}
        if self._typed:
            features["token_type_ids"] = types
        return _Run(self, {name: torch.from_numpy(array) for name, array in features.items()})

    def rows(self, features: dict[str, Any], stopped: Callable[[], bool]) -> "Rows":
        with torch.inference_mode(), self._stops.when(stopped):
            there = {name: tensor.to(self._device) for name, tensor in features.items()}
            found: Rows = self.compute(there).float().cpu().numpy()
        self._cache.trim()
        return self.finished(found)


class Sentences(OnTorch):
    """A folder of sentence-transformers, with all of its modules; its own code is not run."""

    def _opened(self, path: Path, dtype: Any) -> tuple[Any, Any, int]:
        from sentence_transformers import SentenceTransformer

        _check_modules(path)
        model = SentenceTransformer(
            str(path),
            device=self._device,
            local_files_only=True,
            trust_remote_code=False,
            model_kwargs={"dtype": dtype, "use_safetensors": True},
        ).eval()
        self._normalised = folder.normalised(path)
        pooling = "+".join(folder.pooling(path) or ["mean"])
        self.facts = {"pooling": pooling, "normalised": self._normalised}
        return model, model.tokenizer, int(model.max_seq_length or 512)

    def compute(self, features: dict[str, Any]) -> Any:
        return self._model(features)["sentence_embedding"]

    def finished(self, rows: "Rows") -> "Rows":
        # In 16 bits their length was 1 to within half a per cent.
        return unit(rows) if self._normalised else rows


class Pairs(OnTorch):
    """A cross-encoder: a classifier of transformers that judges two texts by one score."""

    pairs = True

    def _opened(self, path: Path, dtype: Any) -> tuple[Any, Any, int]:
        from transformers import AutoModelForSequenceClassification, AutoTokenizer

        model = AutoModelForSequenceClassification.from_pretrained(
            path, dtype=dtype, local_files_only=True, use_safetensors=True, trust_remote_code=False
        )
        tokenizer = AutoTokenizer.from_pretrained(path, local_files_only=True, trust_remote_code=False)
        return model.to(self._device).eval(), tokenizer, folder.max_tokens(path) or 512

    def compute(self, features: dict[str, Any]) -> Any:
        return self._model(**features).logits


class _Run:
    """One batch on its way through a model."""

    def __init__(self, model: OnTorch, features: dict[str, Any]) -> None:
        self._model, self._features, self._stopped = model, features, False

    def stop(self) -> None:
        self._stopped = True

    def result(self) -> "Rows":
        return self._model.rows(self._features, lambda: self._stopped)


class _Left(Exception):
    """Nobody waits for the batch any more."""


class _Stops:
    """Ends a batch between two of the model's layers."""

    def __init__(self, model: Any) -> None:
        self._stopped: Callable[[], bool] = bool
        for module in model.modules():
            if isinstance(module, torch.nn.ModuleList):
                for layer in module:
                    layer.register_forward_pre_hook(self._look)

    def _look(self, *_: Any) -> None:
        if self._stopped():
            raise _Left

    def when(self, stopped: Callable[[], bool]) -> "_Stops":
        self._stopped = stopped
        return self

    def __enter__(self) -> None: ...

    def __exit__(self, *_: object) -> None:
        self._stopped = bool


def weights(path: Path) -> list[Path]:
    """Every file of weights. Raises EngineFailed where a part of the model has only files that could run
    code when they are read."""
    parts = [path, *(path / where for _, where in folder.modules(path) if where)]
    found: list[Path] = []
    for part in dict.fromkeys(parts):
        safe = sorted(part.glob("*.safetensors"))
        if not safe and any(next(part.glob(form), None) for form in ("*.bin", "*.pt", "*.pkl")):
            raise EngineFailed("the model's weights are no safetensors")
        found += safe
    if not found:
        raise EngineFailed("the source has no *.safetensors")
    return found


def _check_modules(path: Path) -> None:
    """Raises EngineFailed for modules that are not the library's own: of a local folder it would run
    their code unasked, and for what is not text."""
    kinds = folder.modules(path)
    if foreign := [module for module, _ in kinds if not module.startswith("sentence_transformers.")]:
        raise EngineFailed(f"the model brings code of its own ({foreign[0]}), which is not run")
    if kinds and folder.kind(kinds[0][0]) != "Transformer":
        raise EngineFailed(f"the model begins with {folder.kind(kinds[0][0])}, not with a transformer")
