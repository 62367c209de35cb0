"""A chat that is spoken while it is still being written: its events, with the sound among them."""

import asyncio
from base64 import b64encode
from collections.abc import AsyncGenerator, Coroutine
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from app.formats import audio
from app.formats.audio import Format
from app.upstream.chain.events import event, parsed
from app.upstream.chain.memory import identified
from app.upstream.chain.run import Step
from app.upstream.chain.sentences import Sentences
from backends.contract.results import ChatChunk, Pcm, Usage
from backends.contract.tasks import SpeakTask

# Pieces that wait for a client that reads slowly; then those wait who make them.
WAITING = 64

Json = dict[str, Any]


async def streamed(
    thought: AsyncGenerator[ChatChunk, None], speak: Step, aloud: SpeakTask, form: Format, expires: int
) -> AsyncGenerator[ChatChunk, None]:
    """`thought`, its text as the transcript of the sound that `speak` makes of it, sentence by sentence.

    Nothing leaves before the first sound, so that a voice that there is not is still refused with a status.
    Closing this ends both. `expires`: Unix seconds.
    """
    spoken = _Spoken(thought, speak, aloud, form, expires)
    working = [asyncio.create_task(spoken.ended(work)) for work in (spoken.think(), spoken.speak())]
    held: list[ChatChunk] | None = []
    try:
        while spoken.open:
            item = await spoken.made.get()
            if isinstance(item, Exception):
                raise item
            if item is None:
                spoken.open -= 1
            elif held is None:
                yield item
            else:
                held.append(item)
                if item.tokens == 0 and spoken.sounding:
                    yield ChatChunk.joined(held)
                    held = None
        yield ChatChunk.joined([*(held or ()), *spoken.last()])
    finally:
        for one in working:
            one.cancel()
        await asyncio.gather(*working, return_exceptions=True)
        await thought.aclose()


class _Spoken:
    """Two workers and what they make: chunks, an error, or None of one that is done."""

    def __init__(
        self,
        thought: AsyncGenerator[ChatChunk, None],
        speak: Step,
        aloud: SpeakTask,
        form: Format,
        expires: int,
    ) -> None:
        self.made: asyncio.Queue[ChatChunk | Exception | None] = asyncio.Queue(WAITING)
        self.open, self.sounding = 2, False
        self._thought, self._step, self._aloud, self._form = thought, speak, aloud, form
        self._expires = expires
        self._sentences: asyncio.Queue[str | None] = asyncio.Queue()
        self._head: Json = {}
        self._text: list[str] = []
        self._tail: list[Json] = []
        self._finish: str | None = None
        self._usage: Usage | None = None

    async def ended(self, work: Coroutine[Any, Any, None]) -> None:
        try:
            await work
        except Exception as error:
            await self.made.put(error)
        else:
            await self.made.put(None)

    async def think(self) -> None:
        """Passes on what is written, and gives each sentence to be spoken."""
        sentences = Sentences()
        async with aclosing(self._thought) as chunks:
            async for chunk in chunks:
                events, text = self._told(chunk)
                for sentence in sentences.push(text):
                    self._sentences.put_nowait(sentence)
                if events:
                    await self.made.put(ChatChunk(events, chunk.tokens))
        for sentence in sentences.end():
            self._sentences.put_nowait(sentence)
        self._sentences.put_nowait(None)

    async def speak(self) -> None:
        first = await self._sentences.get()
        if first is None:
            return
        carried = b""
        async with aclosing(audio.encode(self._sound(first), self._form)) as encoded:
            async for piece in encoded:
                # In threes, so that the parts joined are base64 too: SDKs join them.
                carried += piece
                whole = len(carried) - len(carried) % 3
                if whole:
                    await self._put(carried[:whole])
                carried = carried[whole:]
        if carried:
            await self._put(carried)

    def last(self) -> list[ChatChunk]:
        """What ends the answer: the sound's id, until when it is known, and what the model ended with."""
        events = b""
        if self.sounding:
            events += self._delta({"audio": {"id": identified("".join(self._text))}})
            events += self._delta({"audio": {"expires_at": self._expires}})
        events += b"".join(map(event, self._tail))
        return [ChatChunk(events, 0, self._finish, self._usage)]

    async def _put(self, sound: bytes) -> None:
        self.sounding = True
        await self.made.put(ChatChunk(self._delta({"audio": {"data": b64encode(sound).decode()}})))

    async def _sound(self, first: str) -> AsyncGenerator[Pcm, None]:
        sentence: str | None = first
        while sentence is not None:
            task = replace(self._aloud, text=sentence)
            async with aclosing(self._step.stream(task)) as pieces:
                async for piece in pieces:
                    yield piece
            sentence = await self._sentences.get()

    def _told(self, chunk: ChatChunk) -> tuple[bytes, str]:
        """The events that go out now, and the text in them."""
        self._finish, self._usage = chunk.finish or self._finish, chunk.usage or self._usage
        events, texts = b"", []
        for one in parsed(chunk.events):
            self._head = self._head or {name: given for name, given in one.items() if name != "choices"}
            if not one.get("choices"):
                self._tail.append(one)
                continue
            choice = one["choices"][0]
            delta = choice.get("delta") or {}
            text = delta.get("content")
            if text:
                texts.append(text)
                delta["audio"] = {"transcript": text}
            if "content" in delta:
                delta["content"] = None
            finish = choice.get("finish_reason")
            if finish is None:
                events += event(one)
                continue
            if any(delta.values()):
                events += self._delta(delta)
            choice["delta"] = {}
            self._tail.append(one)
        self._text += texts
        return events, "".join(texts)

    def _delta(self, delta: Json) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": None, "logprobs": None}
        return event({**self._head, "choices": [choice]})
