"""faster-whisper's batched pipeline, made not to lose the end of a clip. Imported by `load` alone."""

from typing import Any

from faster_whisper import BatchedInferencePipeline

from backends.whisper.timestamps import closed


class Batched(BatchedInferencePipeline):  # type: ignore[misc]  # the library has no types
    """For one call: it keeps figures of the batch in hand.

    The library takes what follows the last pair of timestamps for unfinished and drops it: the
    sequential way comes by there again, the batched one does not. So text that the model left
    open at the end of a clip is closed with the clip's own end.
    """

    def __init__(self, model: Any) -> None:
        super().__init__(model)
        self._seconds: list[float] = []

    def forward(self, features: Any, tokenizer: Any, chunks_metadata: Any, options: Any) -> Any:
        self._seconds = [chunk["duration"] for chunk in chunks_metadata]
        return super().forward(features, tokenizer, chunks_metadata, options)

    def generate_segment_batched(self, features: Any, tokenizer: Any, options: Any) -> Any:
        encoded, outputs = super().generate_segment_batched(features, tokenizer, options)
        for output, seconds in zip(outputs, self._seconds, strict=True):
            output["tokens"] = closed(output["tokens"], seconds, tokenizer.timestamp_begin)
        return encoded, outputs
