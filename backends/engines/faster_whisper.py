"""Transcribes and translates with Whisper on CTranslate2, by faster-whisper: NVIDIA GPUs and CPUs.

The library computes outside the GIL and may be asked by several threads, so it lives in this process.
"""

import logging
import os
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from pydantic import BaseModel, Field

from backends.contract.engine import GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import EngineFailed
from backends.whisper import folder
from backends.whisper.listening import Listening

if TYPE_CHECKING:
    from backends.whisper.hearing import Hearing, Setting

log = logging.getLogger(__name__)

ComputeType = Literal[
    "default", "auto", "int8", "int8_float32", "int8_float16", "int8_bfloat16",
    "int16", "float16", "bfloat16", "float32",
]  # fmt: skip
# What CUDA itself, cuBLAS and cuDNN take of a card; what the libraries take of a CPU's memory.
CUDA_BYTES, CPU_BYTES = 600_000_000, 200_000_000
MOST_BATCH = 8


class FasterWhisper(Listening):
    """Needs `ModelRef.path`, a folder that `ct2-transformers-converter` made."""

    class Options(BaseModel, extra="forbid"):
        """`compute_type`: CTranslate2's; by default int8 on a CPU and the file's own on a GPU.
        `threads`: cores for one file, up to four by default. `workers`: files computed at once.
        `batch`: clips of at most 30 s computed together; by default one on a CPU, and on a GPU as
        many as the share has memory for, eight at most. `vad`: leave silence out, also when a
        request does not ask. `max_new_tokens`: of a clip. The thresholds are Whisper's: a clip
        beyond one is decoded anew at higher temperatures; null turns one off."""

        compute_type: ComputeType | None = None
        threads: int | None = Field(None, ge=1, le=256)
        workers: int = Field(1, ge=1, le=64)
        batch: int | None = Field(None, ge=1, le=64)
        beam_size: int = Field(5, ge=1, le=20)
        vad: bool = True
        max_new_tokens: int | None = Field(None, ge=1, le=224)
        log_prob_threshold: float | None = -1.0
        compression_ratio_threshold: float | None = 2.4
        no_speech_threshold: float | None = 0.6

    live: ClassVar[frozenset[str]] = frozenset(
        {"vad", "max_new_tokens", "log_prob_threshold", "compression_ratio_threshold", "no_speech_threshold"}
    )

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory | None:
        """From the dimensions in the model's file. None if the model is not on this machine.

        CTranslate2 has no limit to set: what would not keep to its share must not start."""
        try:
            shape = folder.read(model.path)
        except EngineFailed:
            return None
        clip = shape.working(options.beam_size, half=_on_cuda(share))
        overhead = CUDA_BYTES if _on_cuda(share) else CPU_BYTES
        working = clip * _batch(shape, options, share) * options.workers
        return Memory(shape.weights(_compute_type(options, share)), working, overhead)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        super().__init__(workers=options.workers, batch=1, vad=options.vad)
        self._model, self._options, self._share = model, options, share

    def reconfigure(self, options: Options) -> None:
        self._options, self._vad = options, options.vad
        hearing: Any = self._whisper
        hearing.setting = _setting(options)

    def _read(self, note: Progress) -> "Hearing":
        shape = folder.read(self._model.path)
        self._batch = _batch(shape, self._options, self._share)
        note("loading", None)
        try:
            from ctranslate2 import get_cuda_device_count

            from backends.whisper.hearing import Hearing, Place
        except ImportError as error:
            raise EngineFailed("this engine needs the packages of motley[faster-whisper]") from error
        options = self._options
        cuda = _on_cuda(self._share)
        if cuda and not get_cuda_device_count():
            raise EngineFailed("CTranslate2 sees no CUDA card here, though the place grants a share of one")
        place = Place(
            device="cuda" if cuda else "cpu",
            devices=range(max(1, int(self._share.share))) if cuda else (0,),
            compute_type=_compute_type(options, self._share),
            threads=options.threads or min(4, os.cpu_count() or 1),
            workers=options.workers,
        )
        assert self._model.path is not None
        try:
            hearing = Hearing(self._model.path, place, _setting(options))
            note("warming", None)
            hearing.warm()
        except ValueError as error:  # about the compute type; what RuntimeError says has paths in it
            raise EngineFailed(f"CTranslate2 cannot load the model: {error}") from error
        except RuntimeError as error:
            raise EngineFailed(f"CTranslate2 cannot run the model on {place.device}") from error
        self._facts = self._told(hearing, place.device)
        return hearing

    def _told(self, hearing: "Hearing", device: str) -> dict[str, Any]:
        facts: dict[str, Any] = {
            "languages": hearing.languages(),
            "translates": hearing.translates,
            "word_times": True,
            "logprobs": True,
            "device": device,
            "compute_type": hearing.compute_type,
            "batch": self._batch,
        }
        if _fallen(self._share):
            note = (
                f"CTranslate2 has no way to cards of {self._share.vendor}: this model is on the CPU, in int8"
            )
            log.warning("%s; the share of the card is wasted, engine 'whisper' would use it", note)
            facts["note"] = note
        return facts


def _on_cuda(share: GpuShare) -> bool:
    return share.share > 0 and share.vendor == "nvidia"


def _setting(options: FasterWhisper.Options) -> "Setting":
    from backends.whisper.hearing import Judgement, Setting

    judgement = Judgement(
        options.log_prob_threshold, options.compression_ratio_threshold, options.no_speech_threshold
    )
    return Setting(options.beam_size, options.max_new_tokens, judgement)


def _compute_type(options: FasterWhisper.Options, share: GpuShare) -> str:
    if _fallen(share):  # what was chosen was chosen for the card
        return "int8"
    return options.compute_type or ("default" if _on_cuda(share) else "int8")


def _fallen(share: GpuShare) -> bool:
    return share.share > 0 and share.vendor in ("amd", "intel")


def _batch(shape: folder.Shape, options: FasterWhisper.Options, share: GpuShare) -> int:
    """Clips computed together: as many as the share of a card has memory for, one on a CPU."""
    if options.batch or not _on_cuda(share):
        return options.batch or 1
    if not share.vram:  # the fleet does not say how large the card is
        return MOST_BATCH
    room = int(share.share * share.vram) - shape.weights(_compute_type(options, share)) - CUDA_BYTES
    fitting = room // options.workers // shape.working(options.beam_size, half=True)
    return max(1, min(MOST_BATCH, fitting))
