"""What engines answer: domain values. Formats (srt, mp3, base64 …) are made at the door."""

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Usage:
    """Tokens by the model's own tokenizer."""

    prompt_tokens: int = 0
    completion_tokens: int = 0

    def __add__(self, more: "Usage") -> "Usage":
        return Usage(self.prompt_tokens + more.prompt_tokens, self.completion_tokens + more.completion_tokens)


@dataclass(frozen=True, slots=True)
class ChatChunk:
    """A piece of a chat answer, already in OpenAI's shape, so that it crosses unparsed.

    For a task that streams, `events` holds whole SSE events (`data: {…}\\n\\n`, of `responses` with
    an `event:` line before), without the final `[DONE]`. For one that does not, the generator
    yields a single chunk whose `events` is the JSON document (`chat.completion` and its like).
    `finish` and `usage` are what the door counts.
    """

    events: bytes
    tokens: int = 0
    finish: str | None = None
    usage: Usage | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        """One crosses for nearly every token, and Python's way with frozen classes is four times slower."""
        return ChatChunk, (self.events, self.tokens, self.finish, self.usage)

    @classmethod
    def joined(cls, chunks: "list[ChatChunk]") -> "ChatChunk":
        """One after the other as one: what crosses together is packed and sent once."""
        if len(chunks) == 1:
            return chunks[0]
        finish = next((chunk.finish for chunk in reversed(chunks) if chunk.finish), None)
        usage = next((chunk.usage for chunk in reversed(chunks) if chunk.usage), None)
        events = b"".join(chunk.events for chunk in chunks)
        return cls(events, sum(chunk.tokens for chunk in chunks), finish, usage)


@dataclass(frozen=True, slots=True)
class Word:
    """One spoken word; `start` and `end` in seconds from the beginning of the audio."""

    text: str
    start: float
    end: float
    probability: float | None = None


@dataclass(frozen=True, slots=True)
class Logprob:
    """One token of a transcript and the natural logarithm of its probability."""

    token: str
    logprob: float


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech; seconds from the beginning of the audio. The figures after
    `words` are Whisper's own; engines that have none leave them None."""

    start: float
    end: float
    text: str
    words: tuple[Word, ...] = ()
    tokens: tuple[int, ...] = ()
    temperature: float | None = None
    avg_logprob: float | None = None
    compression_ratio: float | None = None
    no_speech_prob: float | None = None
    logprobs: tuple[Logprob, ...] = ()


@dataclass(frozen=True, slots=True)
class Heard:
    """What was found in one window of audio. `position`: seconds of audio decoded so far;
    the last item's position is the duration. `language`: ISO 639-1, None if unknown."""

    position: float
    segments: tuple[Segment, ...] = ()
    language: str | None = None


@dataclass(frozen=True, slots=True)
class Pcm:
    """Speech: signed 16-bit little-endian mono samples at `rate` Hz."""

    samples: bytes
    rate: int

    @property
    def seconds(self) -> float:
        return len(self.samples) / 2 / self.rate


@dataclass(frozen=True, slots=True)
class Vectors:
    """Embeddings as one buffer: `count` rows of `dimensions` little-endian float32,
    in the order of the inputs. `tokens`: prompt tokens by the model's tokenizer."""

    data: bytes
    count: int
    dimensions: int
    tokens: int


@dataclass(frozen=True, slots=True)
class Ranking:
    """One relevance score in 0…1 per document, in the order the documents were given."""

    scores: tuple[float, ...]
    tokens: int = 0
