"""OpenAI's audio chat by three models: one hears, one thinks, one speaks."""

import asyncio
import time
from base64 import b64encode
from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Any

import orjson

from app.formats import audio, transcript
from app.upstream.chain.asked import Conversation, Part, Wanted, read, sound_of
from app.upstream.chain.memory import identified
from app.upstream.chain.run import Run, Step
from app.upstream.chain.sentences import spoken
from app.upstream.chain.speech import streamed
from app.voices import Voices
from backends.contract.errors import TaskUnsupported
from backends.contract.results import ChatChunk
from backends.contract.tasks import ChatTask, SpeakTask, TranscribeTask

# Nothing is kept here: an answer's id holds what was said, and so is known for ever. OpenAI's is for an hour.
KNOWN_S = 3600


@dataclass(frozen=True, slots=True)
class Ears:
    """What a door knows that the steps need. `longest_s`: what plays longer is refused."""

    voices: Voices | None
    longest_s: float


async def chat(run: Run, task: ChatTask, ears: Ears) -> AsyncGenerator[ChatChunk, None]:
    """The answer as text, or (`modalities`) as speech with its transcript."""
    if task.surface != "chat":
        raise TaskUnsupported(f"this model does not answer {task.surface}", param="model")
    wanted, messages = read(task.body), Conversation(task.body["messages"])
    think = run.step("think")
    speak = run.step("speak", {"voice": "audio.voice", "input": None}) if wanted else None
    heard = [await _heard(run, part, ears.longest_s) for part in messages.parts]
    body = {name: given for name, given in task.body.items() if name not in ("modalities", "audio")}
    body["messages"] = messages.told(heard)
    task = replace(task, body=body)
    if wanted is None or speak is None:
        async with aclosing(think.stream(task)) as chunks:
            async for chunk in chunks:
                yield chunk
        return
    sample = await ears.voices.sample(wanted.voice) if ears.voices else None
    aloud = SpeakTask(run.request_id, "", wanted.voice, sample=sample)
    if not task.streams:
        yield await _whole(think, speak, task, aloud, wanted)
        return
    expires = int(time.time()) + KNOWN_S
    async with aclosing(streamed(think.stream(task), speak, aloud, wanted.form, expires)) as events:
        async for event in events:
            yield event


async def _heard(run: Run, part: Part, longest_s: float) -> str:
    step = run.step("hear", {"file": part.at})
    found = await step.all(TranscribeTask(run.request_id, sound_of(part), longest_s=longest_s))
    return transcript.as_text(found)


async def _whole(think: Step, speak: Step, task: ChatTask, aloud: SpeakTask, wanted: Wanted) -> ChatChunk:
    """One document, and so nothing to hurry for: the text is spoken when it is whole."""
    chunk = ChatChunk.joined(await think.all(task))
    document: dict[str, Any] = orjson.loads(chunk.events)
    message = document["choices"][0]["message"]
    text = message.get("content") or ""
    pieces = [pcm for sentence in spoken(text) for pcm in await speak.all(replace(aloud, text=sentence))]
    if not pieces:
        return chunk
    sound = await asyncio.to_thread(audio.encode_whole, pieces, wanted.form)
    message["content"] = None
    message["audio"] = {
        "id": identified(text),
        "data": b64encode(sound).decode(),
        "expires_at": int(time.time()) + KNOWN_S,
        "transcript": text,
    }
    return replace(chunk, events=orjson.dumps(document))
