"""Transcribes and translates with Whisper on torch, by transformers: cards of every vendor, and CPUs.

For NVIDIA and CPUs `faster-whisper` is the quicker way; cards of AMD and Intel have this one. Torch
computes outside the GIL, so it lives in this process.
"""

import json
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

from pydantic import BaseModel, Field

from backends import torch_device
from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import EngineFailed
from backends.vllm.weights import weights_bytes
from backends.whisper.folder import Shape
from backends.whisper.listening import Listening

if TYPE_CHECKING:
    from backends.whisper.on_torch import OnTorch


class Whisper(Listening):
    """Needs `ModelRef.path`, a checkpoint of transformers with `safetensors`."""

    class Options(BaseModel, extra="forbid"):
        """`dtype`: 16 bits on a card, 32 on a CPU by default. `threads`: cores, on a CPU. `batch`: clips
        of at most 30 s heard together. `vad`: leave silence out, also when a request does not ask.
        `max_new_tokens`: of a clip."""

        dtype: Literal["float16", "bfloat16", "float32"] | None = None
        threads: int | None = Field(None, ge=1, le=256)
        batch: int = Field(1, ge=1, le=64)
        beam_size: int = Field(1, ge=1, le=20)
        vad: bool = True
        max_new_tokens: int | None = Field(None, ge=1, le=200)

    live: ClassVar[frozenset[str]] = frozenset({"vad"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory | None:
        """From what the checkpoint says of itself. None if the model is not on this machine."""
        width = 4 if _dtype(options, share) == "float32" else 2
        try:
            shape = _shape(model.path, width)
        except EngineFailed:
            return None
        clip = shape.working(options.beam_size, half=width == 2)
        return Memory(shape.size, clip * options.batch, torch_device.overhead(share))

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        super().__init__(workers=1, batch=options.batch, vad=options.vad)
        self._model, self._options, self._share = model, options, share

    def reconfigure(self, options: Options) -> None:
        self._vad = options.vad

    def _read(self, note: Progress) -> "OnTorch":
        _shape(self._model.path)
        note("loading", None)
        try:
            from backends.whisper.on_torch import OnTorch
        except ImportError as error:
            raise EngineFailed("this engine needs the packages of motley[whisper]") from error
        assert self._model.path is not None
        options, device = self._options, torch_device.name(self._share)
        model = OnTorch(
            self._model.path,
            device=device,
            dtype=_dtype(options, self._share),
            share=self._share.share,
            threads=options.threads,
            beam=options.beam_size,
            max_new_tokens=options.max_new_tokens,
        )
        note("warming", None)
        model.warm()
        self._facts = {
            "languages": model.languages(),
            "translates": model.translates,
            "word_times": model.aligns,
            "logprobs": False,
            "device": device,
            "batch": options.batch,
        }
        return model


def _dtype(options: Whisper.Options, share: GpuShare) -> str:
    return options.dtype or ("float32" if torch_device.name(share) == "cpu" else "float16")


def _shape(folder: Path | None, width: int | None = None) -> Shape:
    """`width`: bytes of a weight once loaded.

    Raises EngineFailed, with a sentence for the operator, where this is no such checkpoint."""
    if folder is None:
        raise EngineFailed("this engine needs a model's folder: its source is file:///…")
    if (folder / "model.bin").is_file():
        raise EngineFailed("the source is a model of CTranslate2: the engine faster-whisper runs it")
    for name in ("config.json", "generation_config.json", "preprocessor_config.json", "tokenizer.json"):
        if not (folder / name).is_file():
            raise EngineFailed(f"the source has no {name}")
    if not any(folder.glob("*.safetensors")):
        raise EngineFailed("the source has no *.safetensors")
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if config["model_type"] != "whisper":
            raise EngineFailed("the source is another kind of model than Whisper")
        wide, layers = int(config["d_model"]), int(config["decoder_layers"])
        return Shape(0, weights_bytes(folder, width), wide, layers, int(config["vocab_size"]))
    except (KeyError, TypeError, ValueError) as error:
        raise EngineFailed("the config.json of the source is not a Whisper's") from error
