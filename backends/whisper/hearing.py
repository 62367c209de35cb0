"""One Whisper by faster-whisper: what a batch of clips says. Blocking; imported by `load` alone.

Clips go through the library's batched pipeline. Two things it leaves out are done here:

- what a clip says after its last timestamp would be lost where the model did not close it (`batched`);
- it never doubts: Whisper's own rule, to decode once more and warmer what came out improbable or
  repetitive, is kept by giving such clips to the library's other, sequential way.
"""

import math
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
from faster_whisper import WhisperModel
from faster_whisper.tokenizer import Tokenizer
from faster_whisper.transcribe import get_compression_ratio, pad_or_trim

from backends.contract.results import Logprob, Segment, Word
from backends.whisper.asked import Asked
from backends.whisper.batched import Batched
from backends.whisper.clips import RATE, Clip, Sound

WARMER = (0.2, 0.4, 0.6, 0.8, 1.0)
MOST_ALIGNED = 440


@dataclass(frozen=True, slots=True)
class Judgement:
    """When a result is doubted: Whisper's own thresholds; None turns one off."""

    log_prob: float | None
    compression_ratio: float | None
    no_speech: float | None

    def silence(self, no_speech_prob: float, avg_logprob: float) -> bool:
        likely = self.no_speech is not None and no_speech_prob > self.no_speech
        return likely and (self.log_prob is None or avg_logprob <= self.log_prob)

    def poor(self, text: str, avg_logprob: float) -> bool:
        if self.log_prob is not None and avg_logprob < self.log_prob:
            return True
        return self.compression_ratio is not None and get_compression_ratio(text) > self.compression_ratio


@dataclass(frozen=True, slots=True)
class Setting:
    beam: int
    max_new_tokens: int | None
    judgement: Judgement


@dataclass(frozen=True, slots=True)
class Place:
    """Where and how it computes, as CTranslate2 names these things."""

    device: str
    devices: Sequence[int] = field(default=(0,))
    compute_type: str = "default"
    threads: int = 0
    workers: int = 1


class Hearing:
    """Answers several threads at once."""

    def __init__(self, folder: Path, place: Place, setting: Setting) -> None:
        """Raises RuntimeError or ValueError where CTranslate2 cannot read or run the model."""
        self._model = WhisperModel(
            str(folder),
            device=place.device,
            device_index=list(place.devices),
            compute_type=place.compute_type,
            cpu_threads=place.threads,
            num_workers=place.workers,
            local_files_only=True,
        )
        # A stranger's prompt is text: `<|endoftext|>` in it is letters and signs.
        self._model.hf_tokenizer.encode_special_tokens = True
        self.setting = setting

    @property
    def compute_type(self) -> str:
        return str(self._model.model.compute_type)

    @property
    def translates(self) -> bool:
        return bool(self._model.model.is_multilingual)

    @property
    def tells_logprobs(self) -> bool:
        return True

    def languages(self) -> list[str]:
        """ISO 639-1 where there is such a code: Whisper's own list."""
        known = self._model.hf_tokenizer.token_to_id
        return sorted(
            code for code in self._model.supported_languages if not self.translates or known(f"<|{code}|>")
        )

    def warm(self) -> None:
        """The whole way once, over a second of nothing."""
        silence = np.zeros(RATE, np.float32)
        segments, _ = self._model.transcribe(silence, language="en", temperature=0.0, max_new_tokens=1)
        list(segments)

    def language(self, sound: Sound, among: Collection[str] = ()) -> str:
        """What is most probably spoken, of `among` or of all languages."""
        if not self.translates:
            return "en"
        _, _, guesses = self._model.detect_language(audio=sound)
        wanted = [guess for guess in guesses if not among or guess[0] in among]
        return str(max(wanted, key=lambda guess: guess[1])[0])

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return list(self._model.hf_tokenizer.encode(text, add_special_tokens=False).offsets)

    def hear(
        self, clips: Sequence[Clip], asked: Asked, stopped: Callable[[], bool] = lambda: False
    ) -> list[tuple[Segment, ...]]:
        """The segments of each clip, in seconds of the file. Ends early, with what there is, when
        `stopped` says so."""
        sure = [None] * len(clips) if asked.temperature else self._surely(clips, asked)
        heard: list[tuple[Segment, ...]] = []
        for clip, found in zip(clips, sure, strict=True):
            if stopped():
                break
            segments = self._warmly(clip, asked, stopped) if found is None else found
            heard.append(self._with_logprobs(clip, segments, asked) if asked.logprobs else segments)
        return heard

    def _surely(self, clips: Sequence[Clip], asked: Asked) -> list[tuple[Segment, ...] | None]:
        """All clips as one batch; None for those of which the result is doubted."""
        ends = np.cumsum([len(clip.sound) for clip in clips]).tolist()
        starts = [0, *ends[:-1]]
        segments, _ = Batched(self._model).transcribe(
            np.concatenate([clip.sound for clip in clips]),
            # Half a sample more, as the library rounds down on the way back.
            clip_timestamps=[
                {"start": (start + 0.5) / RATE, "end": (end + 0.5) / RATE}
                for start, end in zip(starts, ends, strict=True)
            ],
            batch_size=len(clips),
            vad_filter=False,
            **self._common(asked, 0.0),
        )
        by_clip: list[list[Any]] = [[] for _ in clips]
        seeks = {int(start / RATE * 100): number for number, start in enumerate(starts)}
        for segment in segments:
            by_clip[seeks[segment.seek]].append(segment)
        return [
            self._judged(clip, start / RATE, found)
            for clip, start, found in zip(clips, starts, by_clip, strict=True)
        ]

    def _judged(self, clip: Clip, offset: float, found: Sequence[Any]) -> tuple[Segment, ...] | None:
        if not found:
            return ()
        judge, first = self.setting.judgement, found[0]
        if judge.silence(first.no_speech_prob, first.avg_logprob):
            return ()
        if judge.poor("".join(segment.text for segment in found).strip(), first.avg_logprob):
            return None
        return _segments(clip, offset, found)

    def _warmly(self, clip: Clip, asked: Asked, stopped: Callable[[], bool]) -> tuple[Segment, ...]:
        judge = self.setting.judgement
        segments, _ = self._model.transcribe(
            clip.sound,
            condition_on_previous_text=False,
            log_prob_threshold=judge.log_prob,
            compression_ratio_threshold=judge.compression_ratio,
            no_speech_threshold=judge.no_speech,
            **self._common(asked, [asked.temperature] if asked.temperature else list(WARMER)),
        )
        found = []
        for segment in segments:
            found.append(segment)
            if stopped():
                break
        return _segments(clip, 0.0, found)

    def _common(self, asked: Asked, temperature: float | list[float]) -> dict[str, Any]:
        return {
            "language": asked.language,
            "task": "translate" if asked.translate else "transcribe",
            "beam_size": self.setting.beam,
            "temperature": temperature,
            # As a word begins: the library puts the space there in one of its two ways only.
            "initial_prompt": f" {asked.prompt}" if asked.prompt else None,
            "hotwords": asked.keywords,
            "without_timestamps": False,
            "word_timestamps": asked.words,
            "max_new_tokens": self.setting.max_new_tokens,
        }

    def _with_logprobs(self, clip: Clip, segments: tuple[Segment, ...], asked: Asked) -> tuple[Segment, ...]:
        """The library keeps no probabilities of tokens: the text is put to the model once more, which
        says how probable it finds each token after those before it."""
        tokenizer = Tokenizer(
            self._model.hf_tokenizer,
            self.translates,
            task="translate" if asked.translate else "transcribe",
            language=asked.language,
        )
        texts = [[token for token in segment.tokens if token < tokenizer.eot] for segment in segments]
        if not any(texts):
            return segments
        features = self._model.feature_extractor(clip.sound)
        frames = features.shape[-1]
        encoded = self._model.encode(pad_or_trim(features))
        whole = [token for text in texts for token in text]
        groups = [whole] if len(whole) <= MOST_ALIGNED else texts
        probabilities: list[float] = []
        for group in groups:
            (aligned,) = self._model.model.align(encoded, tokenizer.sot_sequence, [group], frames)
            probabilities += aligned.text_token_probs
        left = iter(probabilities)
        return tuple(
            replace(segment, logprobs=tuple(self._told(text, left)))
            for segment, text in zip(segments, texts, strict=True)
        )

    def _told(self, text: Sequence[int], left: Iterator[float]) -> Iterator[Logprob]:
        for token in text:
            # An underflow is as unlikely as can be said, not minus infinity: JSON has no such number.
            yield Logprob(self._model.hf_tokenizer.decode([token]), math.log(max(next(left), 1e-38)))


def _segments(clip: Clip, offset: float, found: Sequence[Any]) -> tuple[Segment, ...]:
    """`offset`: where the clip began in what the model was given. Times are kept within the clip:
    the model counts 30 seconds in each, and is wrong by some."""

    def at(seconds: float) -> float:
        return round(min(max(clip.start, clip.start + float(seconds) - offset), clip.end), 3)

    return tuple(
        Segment(
            start=at(one.start),
            end=max(at(one.start), at(one.end)),
            text=one.text.strip(),
            words=tuple(
                Word(word.word.strip(), at(word.start), at(word.end), float(word.probability))
                for word in one.words or ()
                if word.word.strip()
            ),
            tokens=tuple(one.tokens),
            temperature=float(one.temperature),
            avg_logprob=float(one.avg_logprob),
            compression_ratio=float(one.compression_ratio),
            no_speech_prob=float(one.no_speech_prob),
        )
        for one in found
        if one.text.strip()
    )
