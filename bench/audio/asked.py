"""What every side is asked to compute. Imported in the peer's environment too: the standard library only."""

from typing import Any

LANGUAGE, COMPUTE, THREADS, BEAM = "en", "int8", 2, 5
RATE = 16_000
# Of faster-whisper's batched pipeline: clips cut at silences, one after the other, each decoded once with
# what the model first says. Random weights would be doubted for ever, and would say no end.
ONCE: dict[str, Any] = {
    "batch_size": 1,
    "temperature": 0.0,
    "max_new_tokens": 64,
    "without_timestamps": False,
    "vad_filter": True,
    "vad_parameters": None,
}
