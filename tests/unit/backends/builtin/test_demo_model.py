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
from tools import demo_corpus

DEMO = Path(backends.builtin.__file__).parent / "demo_chat"
PROMPTS = yaml.safe_load((Path(__file__).parents[3] / "data" / "demo_prompts.yaml").read_text())
KNOWN = PROMPTS["known"]
UNKNOWN = [{"say": question} for question in PROMPTS["unknown"]]
MOST_BYTES = 15 * 10**6


def conversation(prompt):
    turns = prompt.get("messages") or [["user", prompt["say"]]]
    return [{"role": role, "content": text} for role, text in turns]


def asked(prompt):
    return conversation(prompt)[-1]["content"]


async def answer(host, prompt):
    """The greedy answer, as the door would send it."""
    body = {"model": "demo", "messages": conversation(prompt), "temperature": 0, "max_tokens": 100}
    events = [chunk.events async for batch in host.stream(ChatTask("r", body)) for chunk in batch]
    return json.loads(b"".join(events))["choices"][0]["message"]["content"]


async def all_answers():
    model = ModelRef("demo", "chat", f"file://{DEMO}", DEMO)
    host = Host(OnnxRuntimeGenAI(model, OnnxRuntimeGenAI.Options(), GpuShare()), max_ongoing=8)
    await host.load()
    try:
        return [await answer(host, prompt) for prompt in [*KNOWN, *UNKNOWN]]
    finally:
        await host.close()


@pytest.fixture(scope="module")
def answers():
    """Every answer: those to the known prompts, those to the unknown."""
    given = asyncio.run(all_answers())
    return given[: len(KNOWN)], given[len(KNOWN) :]


def found(pattern, text):
    return re.search(pattern, text, re.IGNORECASE | re.DOTALL) is not None


def share(what, prompts, wrong):
    """The right ones' share; prints it with what was wrong."""
    for prompt, said in wrong:
        print(f"{prompt.get('skill', 'unknown')}: {asked(prompt)!r} -> {said!r}")
    right = len(prompts) - len(wrong)
    print(f"{what}: {right} of {len(prompts)} right, {right / len(prompts):.1%}")
    return right / len(prompts)


def test_it_answers_what_it_was_taught(answers):
    wrong = [
        (prompt, said)
        for prompt, said in zip(KNOWN, answers[0], strict=True)
        if not found(prompt["right"], said) or ("wrong" in prompt and found(prompt["wrong"], said))
    ]
    print("wrong by skill:", dict(Counter(prompt["skill"] for prompt, _ in wrong)))
    assert share("what it was taught, in other words", KNOWN, wrong) >= 0.85


def test_it_says_that_it_does_not_know_the_rest(answers):
    wrong = [
        (prompt, said)
        for prompt, said in zip(UNKNOWN, answers[1], strict=True)
        if not found(PROMPTS["declines"], said) or "tool_call" in said
    ]
    assert share("what it was not taught, declined", UNKNOWN, wrong) >= 0.9


def test_the_judge_asks_what_the_generator_does_not():
    """Sixty and forty questions, none of which is the question of any dialogue to learn from."""
    assert len(KNOWN) == 60
    assert len({asked(prompt) for prompt in UNKNOWN}) == 40

    def plain(text):
        return re.sub(r"[^a-z0-9]+", " ", text.lower()).strip()

    judged = {plain(asked(prompt)) for prompt in [*KNOWN, *UNKNOWN]}
    corpus = demo_corpus.dialogues(3000)
    taught = {plain(m["content"]) for d in corpus for m in d.messages if m["role"] == "user"}
    assert len(taught) > 3000
    assert not judged & taught


def test_the_shipped_folder_is_small():
    assert sum(file.stat().st_size for file in DEMO.iterdir()) <= MOST_BYTES
