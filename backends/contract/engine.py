"""What an engine is: a structural contract, one small Protocol per verb beside it.

Rules every engine keeps:
- heavy imports and weights belong in `load`, nowhere else;
- blocking work goes through `asyncio.to_thread`; work that holds the GIL, may crash, or is not
  thread-safe lives in a child process (`backends.child`);
- raise contract errors for what the caller did wrong, anything else for what the engine did
  wrong (the host turns that into `EngineFailed`);
- closing a stream (`aclose`) or cancelling a call ends the work within one step;
- a field the engine cannot honour is refused with `param`, never ignored;
- an engine that chats and answers more than OpenAI's chat body lists it all in a class attribute
  `surfaces`; the host refuses the others for it;
- one engine loads at a time on a card: the host sees to it, but for an engine that starts anew by itself
  and so takes the lock (`backends.startlock`) itself, and says so by a class attribute `locks`;
- an engine that takes all that its share grants, however small its model, says so by a class attribute
  `fills`: in a slot it is then alone, unless the fleet gives it a part;
- an engine that speaks lists in `abilities` which fields of the task beyond text and voice are its
  own business; for the others the host sees to the pace itself, and refuses the rest.
"""

from collections.abc import AsyncGenerator, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Protocol, runtime_checkable

from pydantic import BaseModel

from backends.contract.results import ChatChunk, Heard, Pcm, Ranking, Vectors
from backends.contract.tasks import ChatTask, EmbedTask, RerankTask, SpeakTask, TranscribeTask, Verb

Vendor = Literal["cpu", "nvidia", "amd", "intel"]

# Fields of `SpeakTask`: honours `speed`, heeds `instructions`, speaks in the voice of a `sample`.
Ability = Literal["speed", "instructions", "sample"]

# stage ("loading", "warming" …) and how far it is, 0…1, or None when that is not known
Progress = Callable[[str, float | None], None]


@dataclass(frozen=True, slots=True)
class ModelRef:
    """A model in the fleet: its public name, the verb it serves, and where its files are.

    `path` is the local folder that `source` resolved to; None for engines that carry their
    own data (`builtin://…` of a package).
    """

    name: str
    task: Verb
    source: str
    path: Path | None = None


@dataclass(frozen=True, slots=True)
class GpuShare:
    """What placement granted: a fraction below 1 or whole GPUs; 0 is CPU only.

    `vram` is the card's memory in bytes as the fleet declares it. The engine must keep within
    `share * vram`: Ray counts shares but does not enforce them.
    """

    share: float = 0.0
    vendor: Vendor = "cpu"
    vram: int = 0

    @property
    def granted(self) -> int:
        """Bytes; 0 on a CPU, and where the fleet does not say how large the card is."""
        return int(self.share * self.vram)

    def refusal(self, memory: "Memory | None") -> str:
        """Why a model of this size has no place here, with figures; empty where it has."""
        if memory is None or not self.granted or memory.total <= self.granted:
            return ""
        parts = {"weights": memory.weights, "working": memory.working, "overhead": memory.overhead}
        made = ", ".join(f"{name} {size / 2**30:.1f}" for name, size in parts.items() if size)
        return (
            f"the model needs about {memory.total / 2**30:.1f} GiB of the card ({made}); "
            f"its share of {self.share:g} is {self.granted / 2**30:.1f} GiB"
        )


@dataclass(frozen=True, slots=True)
class Memory:
    """An estimate in bytes, made before anything is loaded: of the card where the place grants a share of
    one, else of the machine. `working`: caches and what a step takes; `overhead`: of the runtime and its
    libraries, as it was measured."""

    weights: int = 0
    working: int = 0
    overhead: int = 0

    @property
    def total(self) -> int:
        return self.weights + self.working + self.overhead


class Engine(Protocol):
    """One model in one process."""

    class Options(BaseModel):
        """The engine's knobs: `extra="forbid"`, importable and checkable on any laptop."""

    tasks: ClassVar[frozenset[Verb]]

    @classmethod
    def estimate(cls, model: ModelRef, options: Any, share: GpuShare) -> Memory | None:
        """Without heavy imports: runs inside `motley check`. None where the source is not on this machine,
        or says too little. What it says too much of is refused a place: rather too little than too much."""
        ...

    def __init__(self, model: ModelRef, options: Any, share: GpuShare) -> None: ...

    async def load(self, progress: Progress) -> None:
        """Import, read weights, warm up. Raises on failure; the host reports it."""
        ...

    async def healthy(self) -> bool: ...

    async def close(self) -> None: ...

    @property
    def busy(self) -> int:
        """How many tasks the engine itself is computing for at this instant."""
        ...

    def facts(self) -> Mapping[str, Any]:
        """JSON facts for `/v1/models` (voices, context length, how scores are made). After load."""
        ...


@runtime_checkable
class Chats(Protocol):
    def chat(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]: ...


@runtime_checkable
class Transcribes(Protocol):
    def transcribe(self, task: TranscribeTask) -> AsyncGenerator[Heard, None]: ...


@runtime_checkable
class Speaks(Protocol):
    def speak(self, task: SpeakTask) -> AsyncGenerator[Pcm, None]: ...


@runtime_checkable
class Embeds(Protocol):
    async def embed(self, task: EmbedTask) -> Vectors: ...


@runtime_checkable
class Reranks(Protocol):
    async def rerank(self, task: RerankTask) -> Ranking: ...


@runtime_checkable
class Sleeps(Protocol):
    """An engine that can give back what it has of a card and keep its process, which wakes sooner than
    another starts. `sleeps`: whether this one does, by its options."""

    @property
    def sleeps(self) -> bool: ...

    async def sleep(self) -> None:
        """While nothing runs. Raises where it cannot: then it is closed."""
        ...

    async def wake(self) -> None:
        """Raises where it cannot: then it is closed, and another is loaded."""
        ...


@runtime_checkable
class Reconfigures(Protocol):
    """An engine that takes some of its options while it serves; the others need a new process.

    `live` names them. What only the loaded model can judge is not among them (a new process can fail
    beside the one that serves), nor what shapes vectors (one process, one space) or memory.
    """

    live: ClassVar[frozenset[str]]

    def reconfigure(self, options: Any) -> None:
        """All options anew, of which only those in `live` differ. Does not fail. What is running may go
        on with the old ones."""
        ...
