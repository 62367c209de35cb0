"""What the door asks of an engine: one task class per verb.

A `Task[R]` is answered once with an `R`; a `StreamTask[C]` with a stream of `C`. The verb is
the fleet's `task:`, the engine's method and the metric label, all the same word.
"""

from contextvars import ContextVar
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Generic, Literal, Self, TypeVar, get_args

from backends.contract.audio import Audio, Spooled, opened
from backends.contract.errors import MediaTooLong
from backends.contract.results import ChatChunk, Heard, Pcm, Ranking, Vectors

InputType = Literal["query", "document"]
Verb = Literal["chat", "transcribe", "speak", "embed", "rerank"]
VERBS: tuple[Verb, ...] = get_args(Verb)

# The endpoints that are `chat`; an engine answers those in its `surfaces`. The last two, of vLLM's
# make, say what a text or a conversation is to the model: one document, never a stream.
Surface = Literal["chat", "completions", "responses", "tokenize", "detokenize"]

# What a task that is made now belongs to: the `traceparent` of a request that is traced, else nothing.
current_trace: ContextVar[str] = ContextVar("trace", default="")

R = TypeVar("R")
C = TypeVar("C")


@dataclass(frozen=True, slots=True)
class Asker:
    """Whose task it is, where there is more to do than can be done. `key`: its id; `weight`: of two keys the
    one with twice as much gets twice the time; `rank`: a higher one goes before."""

    key: str = ""
    weight: int = 1
    rank: int = 0


NOBODY = Asker()
# Whose a task is that is made now.
current_asker: ContextVar[Asker] = ContextVar("asker", default=NOBODY)


@dataclass(frozen=True, slots=True)
class Task(Generic[R]):
    """Answered once. `request_id` is the caller's `x-request-id`, for logs on both sides; `trace` a W3C
    `traceparent`, empty for most: what is done for this task is part of that."""

    verb: ClassVar[Verb]
    request_id: str
    asker: Asker = field(default_factory=current_asker.get, kw_only=True)
    trace: str = field(default_factory=current_trace.get, kw_only=True, compare=False)

    def heft(self) -> int:
        """An upper estimate of the bytes that cross with this task, either way."""
        return 0


@dataclass(frozen=True, slots=True)
class StreamTask(Generic[C]):
    """Answered by a stream of one type; failure is an exception, completion is exhaustion.

    `whole`: the caller gets one document, nothing of which leaves before the last item is there.
    """

    verb: ClassVar[Verb]
    request_id: str
    asker: Asker = field(default_factory=current_asker.get, kw_only=True)
    trace: str = field(default_factory=current_trace.get, kw_only=True, compare=False)

    @property
    def whole(self) -> bool:
        return False

    @property
    def spooled(self) -> Spooled | None:
        """What of it is in a file, and does not cross with it."""
        return None

    def held(self) -> Self:
        """The same without a file. Blocks: reads it."""
        return self

    def heft(self) -> int:
        """An upper estimate of the bytes of the task itself (items are small)."""
        return 0


@dataclass(frozen=True, slots=True)
class ChatTask(StreamTask[ChatChunk]):
    """An OpenAI body, checked at the door and passed whole.

    `body["model"]` is the name the caller used: answers echo it. `size`: the body's bytes.
    `surface`: whose body it is, and whose chunks and document are the answer.
    """

    verb: ClassVar[Verb] = "chat"
    body: dict[str, Any]
    size: int = 0
    surface: Surface = "chat"

    @property
    def streams(self) -> bool:
        return bool(self.body.get("stream"))

    @property
    def whole(self) -> bool:
        return not self.streams

    def heft(self) -> int:
        return self.size


@dataclass(frozen=True, slots=True)
class Vad:
    """How speech is told from silence: `threshold` 0…1; seconds kept before speech, and of silence
    that end it."""

    threshold: float = 0.5
    padding_s: float = 0.3
    silence_s: float = 0.2


@dataclass(frozen=True, slots=True)
class TranscribeTask(StreamTask[Heard]):
    """Audio in any container, as uploaded, to be read as `audio.opened` gives it. `to="en"` asks for a
    translation.

    `languages`: ISO 639-1, what may be spoken; one is certainty, none leaves it to the engine.
    `keywords`: words to expect. `words`, `logprobs`: word times, tokens' probabilities are wanted.
    `vad`: cut at silences. `streams`: the caller reads along. `longest_s`: what plays longer is
    refused (MediaTooLong) once that is known: `backends.audio` sees it while it decodes.
    """

    verb: ClassVar[Verb] = "transcribe"
    audio: Audio
    languages: tuple[str, ...] = ()
    prompt: str | None = None
    keywords: tuple[str, ...] = ()
    temperature: float = 0.0
    words: bool = False
    logprobs: bool = False
    vad: Vad | None = None
    to: Literal["en"] | None = None
    streams: bool = False
    longest_s: float | None = None

    @property
    def whole(self) -> bool:
        return not self.streams

    @property
    def spooled(self) -> Spooled | None:
        return None if isinstance(self.audio, bytes) else self.audio

    def held(self) -> Self:
        with opened(self.audio) as file:
            return replace(self, audio=file.read())

    def heft(self) -> int:
        return 0 if self.spooled else len(self.audio)

    def check_length(self, seconds: float) -> None:
        """Raises MediaTooLong where that is more than `longest_s`."""
        if self.longest_s is not None and seconds > self.longest_s:
            raise MediaTooLong(f"the audio is longer than {self.longest_s:g} s, the limit here", param="file")


@dataclass(frozen=True, slots=True)
class Sample:
    """The recording that a voice was made from. `sound`: WAV, 16-bit mono at 24 kHz; None where the
    engine may know it already (it raises SampleNeeded if not). `language`: ISO 639-1, of the speaker."""

    sound: bytes | None = None
    language: str | None = None


@dataclass(frozen=True, slots=True)
class SpeakTask(StreamTask[Pcm]):
    """`speed`: 0.25 … 4.0, 1.0 is the voice's own pace. `instructions`: how to speak, in words.

    `sample`: of a voice that was made from one; `voice` is then its id, which stands for that
    recording and never for another.
    """

    verb: ClassVar[Verb] = "speak"
    text: str
    voice: str
    speed: float = 1.0
    instructions: str | None = None
    sample: Sample | None = None

    def heft(self) -> int:
        return len(self.sample.sound) if self.sample and self.sample.sound else 0


@dataclass(frozen=True, slots=True)
class EmbedTask(Task[Vectors]):
    """`dimensions`: cut to that many components and renormalise; None: the model's own. `input_type`:
    what the texts are to a model that asks otherwise than it answers; None: it is not told."""

    verb: ClassVar[Verb] = "embed"
    texts: tuple[str, ...]
    dimensions: int | None = None
    input_type: InputType | None = None

    def heft(self) -> int:
        # The answer is the larger side: a row may have 4,096 components of 4 bytes.
        return max(sum(map(len, self.texts)) * 4, len(self.texts) * 16_384)


@dataclass(frozen=True, slots=True)
class RerankTask(Task[Ranking]):
    """Score every document against the query. `max_tokens`: of each document, the rest is left out;
    None: what the model takes."""

    verb: ClassVar[Verb] = "rerank"
    query: str
    documents: tuple[str, ...]
    max_tokens: int | None = None

    def heft(self) -> int:
        return sum(map(len, self.documents)) * 4


AnyTask = Task[Any] | StreamTask[Any]
