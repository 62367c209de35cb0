"""All five verbs, deterministic and scriptable, for tests only.

A script is a word in the text the caller sends (the last message, the transcription's prompt,
the text to speak, the first input, the query):

    !slow S       wait S seconds before each step        !overloaded   refuse as a full engine does
    !words N      answer N words (pieces, segments)      !bug          fail as a broken engine does
    !break N      fail as a broken engine after N steps  !die          end the process, as a crash does
    !say WORD     answer WORD-0, WORD-1 … in chat        !asked        transcribe what was asked for, as JSON
    !tell TEXT    answer TEXT in chat, a word a step     !seen         answer what parts the message has

A line `!at START END TEXT` of a prompt is a segment of the transcript; `\\n` in it is a new line.
"""

import array
import asyncio
import hashlib
import io
import math
import os
import re
import wave
from collections.abc import AsyncGenerator, Mapping
from dataclasses import asdict
from typing import Any, ClassVar

import orjson
from pydantic import BaseModel

from backends.contract.engine import Ability, GpuShare, Memory, ModelRef, Progress
from backends.contract.errors import InvalidRequest, Overloaded, SampleNeeded
from backends.contract.results import ChatChunk, Heard, Logprob, Pcm, Ranking, Segment, Usage, Vectors, Word
from backends.contract.tasks import (
    VERBS,
    ChatTask,
    EmbedTask,
    RerankTask,
    Sample,
    SpeakTask,
    Surface,
    TranscribeTask,
    Verb,
)

RATE = 22_050
DIMENSIONS, MOST_DIMENSIONS = 8, 4096


class Fake:
    """Counts in `busy` what it works on right now."""

    class Options(BaseModel, extra="forbid"):
        """`words`: how long an answer is; `delay`: seconds a step; `load_s`: seconds to load.
        `samples`: speaks in voices made from one, by saying the beginning of it at each step.
        `revision`: of the weights that it has not; vectors of two have nothing in common. `needs`: bytes
        that it is estimated to take, and does not."""

        words: int = 3
        delay: float = 0.0
        load_s: float = 0.0
        context: int = 1024
        samples: bool = False
        revision: str = "fake"
        needs: int = 0

    tasks: ClassVar[frozenset[Verb]] = frozenset(VERBS)
    live: ClassVar[frozenset[str]] = frozenset({"words", "delay"})
    surfaces: ClassVar[frozenset[Surface]] = frozenset({"chat", "completions", "responses"})

    @classmethod
    def estimate(cls, model: ModelRef, options: Options, share: GpuShare) -> Memory:
        return Memory(options.needs)

    def __init__(self, model: ModelRef, options: Options, share: GpuShare) -> None:
        self._model, self._options = model, options
        self.abilities: frozenset[Ability] = frozenset({"sample"} if options.samples else ())
        self._samples: dict[str, bytes] = {}
        self._busy = 0

    async def load(self, progress: Progress) -> None:
        for step in range(4):
            progress("loading", step / 4)
            await asyncio.sleep(self._options.load_s / 4)

    def reconfigure(self, options: Options) -> None:
        self._options = options

    async def healthy(self) -> bool:
        return True

    async def close(self) -> None:
        return None

    @property
    def busy(self) -> int:
        return self._busy

    def facts(self) -> Mapping[str, Any]:
        if self._model.task == "embed":
            return {
                "revision": self._options.revision,
                "dimensions": DIMENSIONS,
                "dtype": "float32",
                "pooling": "none",
                "normalised": True,
                "runtime": "python",
            }
        return {
            "voices": ["fake"],
            "context_length": self._options.context,
            "samples": self._options.samples,
        }

    async def chat(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        if task.surface != "chat":
            other = self._continue if task.surface == "completions" else self._respond
            async for chunk in other(task):
                yield chunk
            return
        text = _last_text(task.body)
        usage = Usage(len(text.split()), 0)
        if usage.prompt_tokens > self._options.context:
            raise InvalidRequest("the prompt is too long", param="messages", code="context_length_exceeded")
        base = {"id": f"chatcmpl-{task.request_id}", "created": 0, "model": task.body["model"]}
        words: list[str] = []
        said, told = _word(text), text.partition("!tell ")[2].split()
        if "!seen" in text.split():
            told = [_seen(part) for part in _parts(task.body)]
        async for number in self._steps(text, default=len(told) or None):
            words.append(f"{told[number] if told else f'{said}{number}'} ")
            usage = Usage(usage.prompt_tokens, len(words))
            if task.streams:
                delta = {"content": words[-1], **({"role": "assistant"} if number == 0 else {})}
                yield ChatChunk(_event(base, delta, None), tokens=1)
        if task.streams:
            yield ChatChunk(_event(base, {}, "stop"), finish="stop", usage=usage)
            return
        counted = {"prompt_tokens": usage.prompt_tokens, "completion_tokens": len(words)}
        message = {"role": "assistant", "content": "".join(words), "refusal": None}
        document = {
            **base,
            "object": "chat.completion",
            "choices": [{"index": 0, "message": message, "finish_reason": "stop", "logprobs": None}],
            "usage": {**counted, "total_tokens": sum(counted.values())},
        }
        yield ChatChunk(orjson.dumps(document), len(words), "stop", usage)

    async def _continue(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        """`completions`: the words, once for every prompt; scripted by the first."""
        if task.body.get("suffix"):
            raise InvalidRequest("'suffix' is not supported by this model", param="suffix")
        given = task.body["prompt"]
        prompts: list[str] = [given] if isinstance(given, str) else given
        base = {"id": f"cmpl-{task.request_id}", "created": 0, "model": task.body["model"]}
        base["object"] = "text_completion"
        texts = [prompt if task.body.get("echo") else "" for prompt in prompts]
        asked, told = sum(len(prompt.split()) for prompt in prompts), 0
        async for number in self._steps(prompts[0]):
            told += len(prompts)
            for index in range(len(prompts)):
                texts[index] += f"w{number} "
            if task.streams:
                yield ChatChunk(_sse(base, _texts(texts, None)), tokens=len(prompts))
                texts = [""] * len(prompts)
        usage = Usage(asked, told)
        if task.streams:
            yield ChatChunk(_sse(base, _texts(texts, "stop")), finish="stop", usage=usage)
            return
        counted = {"prompt_tokens": asked, "completion_tokens": told, "total_tokens": asked + told}
        document = {**base, "choices": _texts(texts, "stop"), "usage": counted}
        yield ChatChunk(orjson.dumps(document), told, "stop", usage)

    async def _respond(self, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
        """`responses`: one message; its events where it streams."""
        given = task.body["input"]
        said = given if isinstance(given, str) else _last_text({"messages": given})
        words: list[str] = []
        at = {"item_id": "msg_1", "output_index": 0, "content_index": 0}
        begun: tuple[tuple[str, dict[str, Any]], ...] = (
            ("created", {"response": _response(task, [], 0)}),
            ("output_item.added", {"output_index": 0, "item": _message("", "in_progress")}),
            ("content_part.added", {**at, "part": _message("", "")["content"][0]}),
        )
        if task.streams:
            for number, (kind, content) in enumerate(begun):
                yield ChatChunk(_named(kind, number, content))
        async for number in self._steps(said):
            words.append(f"w{number} ")
            if task.streams:
                delta = {**at, "delta": words[-1], "logprobs": []}
                yield ChatChunk(_named("output_text.delta", number + 3, delta), tokens=1)
        response, usage = _response(task, words, len(said.split())), Usage(len(said.split()), len(words))
        if not task.streams:
            yield ChatChunk(orjson.dumps(response), len(words), "stop", usage)
            return
        whole = response["output"][0]
        text = {**at, "text": whole["content"][0]["text"], "logprobs": []}
        yield ChatChunk(_named("output_text.done", len(words) + 3, text))
        yield ChatChunk(_named("output_item.done", len(words) + 4, {"output_index": 0, "item": whole}))
        ended = _named("completed", len(words) + 5, {"response": response})
        yield ChatChunk(ended, finish="stop", usage=usage)

    async def transcribe(self, task: TranscribeTask) -> AsyncGenerator[Heard, None]:
        script = task.prompt or ""
        scripted = [(float(start), float(end), text) for start, end, text in _AT.findall(script)]
        if "!asked" in script.split():
            scripted = [(0.0, 1.0, _asked(task))]
        language = task.languages[0] if task.languages else "en"
        position = 0.0
        async for number in self._steps(script, default=len(scripted) or None):
            at = scripted[number] if scripted else (float(number), number + 1.0, f"word{number}")
            position = max(position, at[1])
            task.check_length(position)
            yield Heard(position, (_segment(task, *at),), language)

    async def speak(self, task: SpeakTask) -> AsyncGenerator[Pcm, None]:
        if task.sample is not None:
            async for piece in self._repeat(task.voice, task.sample, task.text):
                yield piece
            return
        if task.voice != "fake":
            raise InvalidRequest(f"unknown voice {task.voice!r}; this model has: fake", param="voice")
        async for number in self._steps(task.text):
            tone = (int(8000 * math.sin(i * (number + 1) / 20)) for i in range(RATE // 10))
            yield Pcm(array.array("h", tone).tobytes(), RATE)

    async def _repeat(self, voice: str, sample: Sample, text: str) -> AsyncGenerator[Pcm, None]:
        if sample.sound is not None:
            with wave.open(io.BytesIO(sample.sound)) as sound:
                self._samples[voice] = sound.readframes(sound.getframerate() // 10)
        if voice not in self._samples:
            raise SampleNeeded("the sample of the voice is needed")
        async for _ in self._steps(text):
            yield Pcm(self._samples[voice], 24_000)

    async def embed(self, task: EmbedTask) -> Vectors:
        """As wide as asked. Raises InvalidRequest."""
        width = task.dimensions or DIMENSIONS
        if width > MOST_DIMENSIONS:
            raise InvalidRequest(f"'dimensions' must be at most {MOST_DIMENSIONS}", param="dimensions")
        async for _ in self._steps(task.texts[0], default=1):
            pass
        rows = array.array("f")
        role = f"{task.input_type}: " if task.input_type else ""
        for text in task.texts:
            rows.extend(_unit_vector(self._options.revision + role + text, width))
        return Vectors(rows.tobytes(), len(task.texts), width, sum(len(t.split()) for t in task.texts))

    async def rerank(self, task: RerankTask) -> Ranking:
        async for _ in self._steps(task.query, default=1):
            pass
        wanted = set(task.query.lower().split())
        read = [document.lower().split()[: task.max_tokens] for document in task.documents]
        scores = tuple(len(wanted & set(words)) / max(1, len(wanted)) for words in read)
        return Ranking(scores, sum(map(len, read)))

    async def _steps(self, script: str, default: int | None = None) -> AsyncGenerator[int, None]:
        """Work as scripted; busy from the first step until the caller has had enough."""
        words = script.split()
        if "!overloaded" in words:
            raise Overloaded("the fake engine is full, as asked", retry_after=3)
        if "!bug" in words:
            raise ZeroDivisionError("a secret that must not reach the client")
        if "!die" in words:
            os._exit(9)
        slow = _argument(words, "!slow", self._options.delay)
        broken_after = _argument(words, "!break", math.inf)
        self._busy += 1
        try:
            for number in range(int(_argument(words, "!words", default or self._options.words))):
                if slow:
                    await asyncio.sleep(slow)
                if number >= broken_after:
                    raise ZeroDivisionError("a secret that must not reach the client")
                yield number
        finally:
            self._busy -= 1


def _argument(words: list[str], name: str, otherwise: float) -> float:
    return float(words[words.index(name) + 1]) if name in words else otherwise


def _word(script: str) -> str:
    _, found, rest = script.partition("!say ")
    return f"{rest.split()[0]}-" if found else "w"


_AT = re.compile(r"^!at (\S+) (\S+)(?: (.*))?$", re.MULTILINE)


def _asked(task: TranscribeTask) -> str:
    fields = asdict(task)
    del fields["request_id"], fields["asker"], fields["trace"], fields["prompt"]
    return orjson.dumps({**fields, "audio": len(task.audio)}).decode()


def _segment(task: TranscribeTask, start: float, end: float, text: str) -> Segment:
    """With figures that a decimal can say exactly; a word lasts half its share of the time."""
    text = text.replace("\\n", "\n")
    spoken = text.split()
    share = max(0.0, end - start) / max(1, len(spoken))
    starts = [round(start + share * number, 3) for number in range(len(spoken))]
    words = tuple(
        Word(word, at, round(at + share / 2, 3), 0.9) for word, at in zip(spoken, starts, strict=True)
    )
    return Segment(
        start, end, text,
        words=words if task.words else (),
        tokens=tuple(range(len(spoken))),
        temperature=task.temperature,
        avg_logprob=-0.25,
        compression_ratio=1.25,
        no_speech_prob=0.125,
        logprobs=tuple(Logprob(word, -0.25) for word in spoken) if task.logprobs else (),
    )  # fmt: skip


def _last_text(body: dict[str, Any]) -> str:
    parts = _parts(body)
    return " ".join(part if isinstance(part, str) else part.get("text", "") for part in parts)


def _parts(body: dict[str, Any]) -> list[Any]:
    content = body["messages"][-1].get("content") or ""
    return [content] if isinstance(content, str) else content


def _seen(part: Any) -> str:
    """What a part of a message is; an image by its own kind."""
    if isinstance(part, str):
        return "text"
    url: str = part.get("image_url", {}).get("url", "")
    return url.removeprefix("data:").partition(";")[0] or part["type"]


def _event(base: dict[str, Any], delta: dict[str, Any], finish: str | None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish, "logprobs": None}
    chunk = {**base, "object": "chat.completion.chunk", "choices": [choice]}
    return b"data: " + orjson.dumps(chunk) + b"\n\n"


def _texts(texts: list[str], finish: str | None) -> list[dict[str, Any]]:
    choices = enumerate(texts)
    return [{"index": at, "text": text, "finish_reason": finish, "logprobs": None} for at, text in choices]


def _response(task: ChatTask, words: list[str], asked: int) -> dict[str, Any]:
    usage = {
        "input_tokens": asked,
        "input_tokens_details": {"cached_tokens": 0},
        "output_tokens": len(words),
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": asked + len(words),
    }
    return {
        "id": f"resp_{task.request_id}", "object": "response", "created_at": 0, "model": task.body["model"],
        "output": [_message("".join(words), "completed")] if words else [], "tools": [],
        "tool_choice": "auto", "parallel_tool_calls": True, "store": False,
        "status": "completed" if words else "in_progress", "usage": usage if words else None,
    }  # fmt: skip


def _message(text: str, status: str) -> dict[str, Any]:
    part = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    return {"id": "msg_1", "type": "message", "role": "assistant", "status": status, "content": [part]}


def _named(kind: str, number: int, content: dict[str, Any]) -> bytes:
    event = {"type": f"response.{kind}", "sequence_number": number, **content}
    return f"event: response.{kind}\ndata: ".encode() + orjson.dumps(event) + b"\n\n"


def _sse(base: dict[str, Any], choices: list[dict[str, Any]]) -> bytes:
    return b"data: " + orjson.dumps({**base, "choices": choices}) + b"\n\n"


def _unit_vector(text: str, width: int) -> list[float]:
    raw = [byte - 127.5 for byte in hashlib.shake_128(text.encode()).digest(width)]
    norm = math.sqrt(sum(x * x for x in raw))
    return [x / norm for x in raw]
