"""Where speech is, by the small network that comes with faster-whisper. Imported when first needed."""

from faster_whisper.vad import VadOptions, get_speech_timestamps

from backends.contract.tasks import Vad
from backends.whisper.clips import LONGEST, RATE, Detector


def detector(vad: Vad) -> Detector:
    """6 ms of one core for a second of sound."""
    options = VadOptions(
        threshold=vad.threshold,
        speech_pad_ms=round(vad.padding_s * 1000),
        min_silence_duration_ms=round(vad.silence_s * 1000),
        max_speech_duration_s=LONGEST // RATE,
    )
    return lambda sound: [(span["start"], span["end"]) for span in get_speech_timestamps(sound, options)]
