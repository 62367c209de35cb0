"""The demo chat model that ships, judged through its engine on prompts that its teachers never saw."""

import asyncio
import json
import re
from collections import Counter
from pathlib import Path

import pytest
import yaml

import backends.builtin
from backends.contract.engine import GpuShare, ModelRef
from backends.contract.tasks import ChatTask
from backends.engines.onnxruntime_genai import OnnxRuntimeGenAI
from backends.host import Host

DEMO = Path(backends.builtin.__file__).parent / "demo_chat"
PROMPTS = yaml.safe_load((Path(__file__).parents[3] / "data" / "demo_prompts.yaml").read_text())
MOST_BYTES = 15 * 10**6


def conversation(prompt):
    turns = [["user", prompt]] if isinstance(prompt, str) else prompt.get("messages", [["user", prompt.get("say")]])
    return [{"role": role, "content": text} for role, text in turns]


async def answers(host, prompts):
    """The greedy answer to each prompt, four at a time."""
    lanes = asyncio.Semaphore(4)

    async def answer(number, prompt):
        body = {"model": "demo", "messages": conversation(prompt), "temperature": 0, "max_tokens": 100}
        async with lanes:
            events = [c.events async for batch in host.stream(ChatTask(str(number), body)) for c in batch]
        return json.loads(b"".join(events))["choices"][0]["message"]["content"]

    return await asyncio.gather(*(answer(number, prompt) for number, prompt in enumerate(prompts)))


def found(pattern, text):
    return bool(pattern) and re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


@pytest.fixture(scope="module")
def judged():
    """Every prompt's answer, as (prompt, answer) of the known and of the unknown."""

    async def ask():
        host = Host(OnnxRuntimeGenAI(ModelRef("demo", "chat", f"file://{DEMO}", DEMO), OnnxRuntimeGenAI.Options(), GpuShare()), max_ongoing=8)
        await host.load()
        try:
            return await answers(host, [*PROMPTS["known"], *PROMPTS["unknown"]])
        finally:
            await host.close()

    given = asyncio.run(ask())
    split = len(PROMPTS["known"])
    return list(zip(PROMPTS["known"], given[:split], strict=True)), list(zip(PROMPTS["unknown"], given[split:], strict=True))


def share(right, all_of_them, what):
    print(f"{what}: {right} of {all_of_them} right, {right / all_of_them:.1%}")
    return right / all_of_them


def test_it_answers_what_it_was_taught(judged):
    known, _ = judged
    wrong = [(p, a) for p, a in known if not found(p["right"], a) or found(p.get("wrong"), a)]
    for prompt, answer in wrong:
        print(f"{prompt['skill']}: {conversation(prompt)[-1]['content']!r} -> {answer!r}")
    print("wrong by skill:", dict(Counter(prompt["skill"] for prompt, _ in wrong)))
    assert share(len(known) - len(wrong), len(known), "taught, in other words") >= 0.85


def test_it_says_that_it_does_not_know_the_rest(judged):
    _, unknown = judged
    wrong = [(p, a) for p, a in unknown if not found(PROMPTS["declines"], a) or "tool_call" in a]
    for prompt, answer in wrong:
        print(f"{prompt!r} -> {answer!r}")
    assert share(len(unknown) - len(wrong), len(unknown), "declined when not taught") >= 0.9


def test_the_judges_are_as_many_as_they_should_be():
    assert len(PROMPTS["known"]) == 60
    assert len({str(prompt) for prompt in PROMPTS["unknown"]}) == 40


def test_the_shipped_folder_is_small():
    assert sum(file.stat().st_size for file in DEMO.iterdir()) <= MOST_BYTES
