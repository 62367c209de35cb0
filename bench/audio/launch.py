"""wyoming-faster-whisper as its own command line starts it, made to compute what the other sides do.

    python -m bench.audio.launch FLAGS OF ITS OWN

Its flags say the model, the threads, the compute type and the beam, and no more: temperature, timestamps,
tokens of a clip and the batched pipeline are the library's defaults, which are set here.
"""

import runpy
from typing import Any

import faster_whisper

from bench.audio.asked import ONCE


class Whisper(faster_whisper.WhisperModel):  # type: ignore[misc]
    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._pipeline = faster_whisper.BatchedInferencePipeline(self)

    def transcribe(self, sound: Any, **asked: Any) -> Any:
        return self._pipeline.transcribe(sound, **{**asked, **ONCE})


faster_whisper.WhisperModel = Whisper
runpy.run_module("wyoming_faster_whisper", run_name="__main__", alter_sys=True)
