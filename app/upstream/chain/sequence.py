"""One model after the other: what each says is what the next one reads."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import replace
from typing import Any

from app.formats import transcript
from app.upstream.chain import events
from app.upstream.chain.run import Run, Step
from backends.contract.errors import InvalidRequest, TaskUnsupported
from backends.contract.results import ChatChunk, Heard, Pcm, Segment, Usage
from backends.contract.tasks import ChatTask, SpeakTask, TranscribeTask
from backends.fleet.steps import Sequence, Stage

Message = dict[str, Any]


async def chat(run: Run, steps: Sequence, task: ChatTask) -> AsyncGenerator[ChatChunk, None]:
    """The first model reads the conversation, the others what the one before said. The request's other
    fields are the last one's; its usage is that of all."""
    if task.surface != "chat":
        raise TaskUnsupported(f"this model does not answer {task.surface}", param="model")
    taken = [run.step(str(at + 1)) for at in range(len(steps.sequence))]
    text, used = None, Usage()
    for stage, step in zip(steps.sequence[:-1], taken, strict=False):
        messages = _messages(stage, text) if text is not None else _told(stage) + task.body["messages"]
        text, more = await ask(step, run.request_id, messages, task.size)
        used += more
    assert text is not None
    body = {**task.body, "messages": _messages(steps.sequence[-1], text)}
    async with aclosing(taken[-1].stream(replace(task, body=body, size=4 * len(text)))) as chunks:
        async for chunk in chunks:
            yield events.added(chunk, used)


async def transcribe(run: Run, steps: Sequence, task: TranscribeTask) -> AsyncGenerator[Heard, None]:
    """What was heard, rewritten: one segment as long as the sound, as no word is where it was."""
    if task.words or task.logprobs:
        param = "timestamp_granularities[]" if task.words else "include[]"
        raise InvalidRequest(
            "this model rewrites what it heard: nothing is known of single words", param=param
        )
    taken = [run.step(str(at + 1)) for at in range(len(steps.sequence))]
    heard = await taken[0].all(task)
    text = transcript.as_text(heard, to=task.to)
    end = max((one.position for one in heard), default=0.0)
    language = next((one.language for one in heard if one.language), None)
    if text:
        text = await _through(run, steps.sequence[1:], taken[1:], text)
    yield Heard(end, (Segment(0.0, end, text),) if text else (), language)


async def speak(run: Run, steps: Sequence, task: SpeakTask) -> AsyncGenerator[Pcm, None]:
    """The text as those before left it."""
    taken = [run.step(str(at + 1)) for at in range(len(steps.sequence))]
    text = await _through(run, steps.sequence[:-1], taken[:-1], task.text)
    async with aclosing(taken[-1].stream(replace(task, text=text))) as spoken:
        async for piece in spoken:
            yield piece


async def ask(
    step: Step, request_id: str, messages: list[Message], size: int, **more: Any
) -> tuple[str, Usage]:
    """What a chat model says to these, whole."""
    task = ChatTask(request_id, {"model": step.target.model, "messages": messages, **more}, size)
    return events.answer(await step.all(task))


async def _through(run: Run, stages: tuple[Stage, ...], taken: list[Step], text: str) -> str:
    for stage, step in zip(stages, taken, strict=True):
        text, _ = await ask(step, run.request_id, _messages(stage, text), 4 * len(text))
    return text


def _messages(stage: Stage, text: str) -> list[Message]:
    return [*_told(stage), {"role": "user", "content": text}]


def _told(stage: Stage) -> list[Message]:
    return [{"role": "system", "content": stage.prompt}] if stage.prompt else []
