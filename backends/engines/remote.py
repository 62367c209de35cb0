"""Any OpenAI-compatible server as a variant, for any verb: vLLM, TEI, speaches, Ollama, a cloud."""

import asyncio
import logging
import os
import re
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing, suppress
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal
from urllib.parse import urlsplit

from pydantic import AfterValidator, BaseModel, Field

from backends.contract.audio import opened
from backends.contract.engine import Ability, GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import EngineFailed, InvalidRequest, ModelDown
from backends.contract.results import ChatChunk, Heard, Pcm, Ranking, Vectors
from backends.contract.tasks import (
    VERBS,
    ChatTask,
    EmbedTask,
    RerankTask,
    SpeakTask,
    Surface,
    TranscribeTask,
    Verb,
)
from backends.remote import answers, bodies, events, responses

if TYPE_CHECKING:
    from backends.remote.connection import Connection

log = logging.getLogger(__name__)

_PATHS: Mapping[Surface, str] = {
    "chat": "chat/completions",
    "completions": "completions",
    "responses": "responses",
}
_OURS = frozenset(
    {"authorization", "connection", "content-length", "content-type", "host", "transfer-encoding"}
)
_HEADER = re.compile(r"[A-Za-z0-9-]+")
_PRINTABLE = re.compile(r"[ -~]*")
# After `[DONE]` the end is due at once; a connection read to its end is used again.
_END_S = 0.1
# How answers begin that are files, or JSON.
_NO_PCM = (b"RIFF", b"ID3", b"OggS", b"fLaC", b"{")


def _address(url: str) -> str:
    parts = urlsplit(url)
    _ = parts.port  # raises ValueError for one that cannot be
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("must be the address of a server, such as http://HOST:8000/v1")
    if parts.username or parts.password:
        raise ValueError("holds a password: name the variable that holds the key in `key_env` instead")
    if parts.query or parts.fragment:
        raise ValueError("must end with a path, such as /v1")
    return url.rstrip("/")


def _harmless(headers: dict[str, str]) -> dict[str, str]:
    for name, value in headers.items():
        if not _HEADER.fullmatch(name) or not _PRINTABLE.fullmatch(value):
            raise ValueError(f"'{name}' is no header that can be sent")
        if name.lower() in _OURS:
            raise ValueError(f"the header '{name}' is Motley's to set: a key goes by `key_env`")
    return headers


class Remote:
    """Forwards a task and reads the answer. Its own health is not the remote server's: what cannot
    be reached is `ModelDown` to each request, and replacing the replica would not help."""

    class Options(BaseModel, extra="forbid"):
        """Where the server is and how it is asked. Times in seconds; `read_s` bounds a silence, not
        an answer. `key_env` is the name of a variable in the replica's environment: keys do not
        stand in a fleet. Only connecting is tried again: a request sent once is never sent twice."""

        base_url: Annotated[str, AfterValidator(_address)] = Field(
            description="The folder of the endpoints, as SDKs take it: http://HOST:8000/v1."
        )
        model: str | None = Field(None, min_length=1, description="Its name there; by default its name here.")
        # Capitals alone: the name is logged, and a key in its place is refused.
        key_env: str | None = Field(None, pattern=r"^[A-Z_][A-Z0-9_]*$")
        headers: Annotated[dict[str, str], AfterValidator(_harmless)] = {}
        connect_s: float = Field(5, gt=0)
        read_s: float = Field(600, gt=0)
        connect_retries: int = Field(1, ge=0, le=5)
        max_batch: int = Field(2048, ge=1, description="Texts in one request for embeddings.")
        voices: dict[str, str] = Field({}, description="Names of voices here → their names there.")
        rate: int = Field(24_000, ge=8_000, le=192_000, description="Hz of the speech it sends as pcm.")
        scores: Literal["probabilities", "logits"] = Field(
            "probabilities", description="What its reranking answers; logits are mapped to 0…1."
        )

    tasks: ClassVar[frozenset[Verb]] = frozenset(VERBS)
    live: ClassVar[frozenset[str]] = frozenset({"max_batch", "voices", "rate", "scores"})
    surfaces: ClassVar[frozenset[Surface]] = frozenset(_PATHS)
    abilities: ClassVar[frozenset[Ability]] = frozenset({"speed", "instructions"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        return Memory()

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._options = options
        self._public, self._model = model.name, options.model or model.name
        self._connection: Connection | None = None
        self._verbose = True

    async def load(self, progress: Progress) -> None:
        """Does not need the server. Raises EngineFailed where the key is not in the environment."""
        from backends.remote.connection import connect

        key = None
        if self._options.key_env is not None:
            key = os.environ.get(self._options.key_env, "").strip()
            if not key or not key.isascii():
                log.error("the environment variable %s holds no key", self._options.key_env)
                raise EngineFailed("its key is not in the environment of its process")
        self._connection = await connect(self._options, self._public, self._model, key)

    def reconfigure(self, options: Options) -> None:
        self._options = options

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        if self._connection is not None:
            await self._connection.close()

    @property
    def busy(self) -> int:
        return 0 if self._connection is None else self._connection.busy

    def facts(self) -> Mapping[str, Any]:
        """Nothing is known of a server that was not asked."""
        return {}

    @property
    def _server(self) -> "Connection":
        if self._connection is None:
            raise ModelDown("the model is not loaded")
        return self._connection

    async def chat(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        """The body goes as it came, but for the model's name and the usage that we count."""
        body = {**task.body, "model": self._model}
        reader: events.Reader | responses.Reader
        if task.surface == "responses":
            reader = responses.Reader(task.body["model"])
        else:
            options = task.body.get("stream_options") or {}
            shows = bool(options.get("include_usage"))
            if task.streams and not shows:
                body["stream_options"] = {**options, "include_usage": True}
            reader = events.Reader(task.body["model"], shows)
        content, headers = bodies.as_json(body), {"content-type": "application/json"}
        async with self._server.post(
            _PATHS[task.surface], task.request_id, content=content, headers=headers
        ) as response:
            if not task.streams:
                yield reader.whole(await response.aread())
                return
            async with aclosing(self._server.body(response)) as pieces:
                async with aclosing(reader.chunks(pieces)) as chunks:
                    async for chunk in chunks:
                        yield chunk
                with suppress(TimeoutError):
                    async with asyncio.timeout(_END_S):
                        async for _ in pieces:
                            pass

    async def transcribe(self, task: TranscribeTask) -> AsyncGenerator[Heard, None]:
        """One item, at the end. A server without `verbose_json` is asked for the text alone; words
        are refused there. Probabilities come without times: OpenAI gives them with `json` only."""
        timed = task.words or (self._verbose and not task.logprobs)
        heard = await (self._hear_timed(task) if timed else self._hear(task, "json"))
        task.check_length(heard.position)
        yield heard

    async def _hear_timed(self, task: TranscribeTask) -> Heard:
        try:
            return await self._hear(task, "verbose_json")
        except InvalidRequest as refused:
            if refused.param != "response_format":
                raise
        self._verbose = False
        if task.words:
            message = "this model gives no times of words"
            raise InvalidRequest(message, param="timestamp_granularities")
        return await self._hear(task, "json")

    async def _hear(self, task: TranscribeTask, form: str) -> Heard:
        fields = bodies.transcription(task, self._model, form)
        language = task.languages[0] if len(task.languages) == 1 else None
        path = "audio/translations" if task.to else "audio/transcriptions"
        name = bodies.file_name(task.audio)
        with opened(task.audio) as file:
            files = {"file": (name, file, "application/octet-stream")}
            async with self._server.post(path, task.request_id, data=fields, files=files) as response:
                raw = await response.aread()
                if response.headers.get("content-type", "").startswith("text/plain"):
                    return answers.heard({"text": response.text}, language, logprobs=task.logprobs)
        return answers.heard(answers.document(raw), language, logprobs=task.logprobs)

    async def speak(self, task: SpeakTask) -> AsyncGenerator[Pcm, None]:
        """Raw samples as they come. Raises EngineFailed where the server sends another format."""
        body = {
            "model": self._model,
            "input": task.text,
            "voice": self._options.voices.get(task.voice, task.voice),
            "speed": task.speed,
            "response_format": "pcm",
            **({"instructions": task.instructions} if task.instructions else {}),
        }
        headers = {"content-type": "application/json"}
        odd, begun = b"", False
        async with (
            self._server.post(
                "audio/speech", task.request_id, content=bodies.as_json(body), headers=headers
            ) as response,
            aclosing(self._server.body(response)) as pieces,
        ):
            async for piece in pieces:
                if not begun and piece.startswith(_NO_PCM):
                    raise EngineFailed("the remote server does not speak pcm")
                begun = True
                samples = odd + piece
                whole = len(samples) // 2 * 2
                odd = samples[whole:]
                if whole:
                    yield Pcm(samples[:whole], self._options.rate)
        if not begun:
            raise EngineFailed("the remote server was silent")

    async def embed(self, task: EmbedTask) -> Vectors:
        rows, width, tokens = [], 0, 0
        for at in range(0, len(task.texts), self._options.max_batch):
            texts = task.texts[at : at + self._options.max_batch]
            body: dict[str, Any] = {"model": self._model, "input": texts, "encoding_format": "base64"}
            if task.dimensions is not None:
                body["dimensions"] = task.dimensions
            if task.input_type is not None:
                body["input_type"] = task.input_type
            answer = await self._server.json("embeddings", task.request_id, body)
            row, width = answers.vectors(answer, len(texts), task.dimensions)
            rows.append(row)
            counted = answers.usage_of(answer)
            tokens += counted.prompt_tokens if counted else 0
        return Vectors(b"".join(rows), len(task.texts), width, tokens)

    async def rerank(self, task: RerankTask) -> Ranking:
        body: dict[str, Any] = {"model": self._model, "query": task.query, "documents": task.documents}
        if task.max_tokens is not None:
            body["max_tokens_per_doc"] = task.max_tokens
        answer = await self._server.json("rerank", task.request_id, body)
        scores = answers.scores(answer, len(task.documents), logits=self._options.scores == "logits")
        return Ranking(scores, answers.rerank_tokens(answer))
