"""The first rule that holds says who answers."""

import re
from typing import Any

from app.upstream.chain import events
from app.upstream.chain.run import Run
from app.upstream.chain.sequence import ask
from backends.contract.tasks import AnyTask, ChatTask, EmbedTask, RerankTask, SpeakTask
from backends.fleet.steps import Rule, Switch

# What a classifier may say: one word, and what small models put around it.
WORDS = 16


async def chosen(run: Run, steps: Switch, task: AnyTask) -> str:
    """The label of the step that answers. The classifier is asked where a rule needs it, and once."""
    said: str | None = None
    for at, rule in enumerate(steps.switch):
        if rule.answer is not None and said is None:
            said = await _classified(run, steps, text_of(task))
        if rule.always or (rule.field and holds(rule, value(task, rule.field))) or _says(said, rule.answer):
            return str(at + 1)
    raise AssertionError("the last rule always holds")


async def _classified(run: Run, steps: Switch, text: str) -> str:
    assert steps.classify is not None
    if not text.strip():
        return ""
    prompt = steps.classify.prompt
    messages = [{"role": "system", "content": prompt}] if prompt else []
    messages.append({"role": "user", "content": text})
    step = run.step("classify", {"messages": None})
    said, _ = await ask(step, run.request_id, messages, 4 * len(text), temperature=0, max_tokens=WORDS)
    return said


def _says(said: str | None, word: str | None) -> bool:
    if said is None or word is None:
        return False
    return re.search(rf"(?<!\w){re.escape(word)}(?!\w)", said, re.IGNORECASE) is not None


def holds(rule: Rule, given: Any) -> bool:
    """Whether a field with this value is what the rule is for. null is as good as nothing."""
    if given is None:
        return False
    if rule.equals is not None:
        wanted = rule.equals if isinstance(rule.equals, tuple) else (rule.equals,)
        # `True == 1`: a value counts only with the type that is meant.
        return any(given == one and isinstance(given, bool) == isinstance(one, bool) for one in wanted)
    if rule.contains is not None:
        texts = given if isinstance(given, list | tuple) else (given,)
        return any(isinstance(one, str) and rule.contains.lower() in one.lower() for one in texts)
    if rule.over is not None:
        size = len(given) if isinstance(given, str | list | tuple) else given
        return isinstance(size, int | float) and not isinstance(size, bool) and size > rule.over
    return True


def value(task: AnyTask, field: str) -> Any:
    """`text` is what the request is about, `messages` the whole conversation as text; any other name is a
    field of the task, of a chat a path in its body. None where there is none."""
    if field == "text":
        return text_of(task)
    if not isinstance(task, ChatTask):
        return getattr(task, field, None)
    if field == "messages" and isinstance(task.body.get("messages"), list):
        return events.conversation(task.body["messages"])
    found: Any = task.body
    for part in field.split("."):
        found = found.get(part) if isinstance(found, dict) else None
    return found


def text_of(task: AnyTask) -> str:
    """What is to be answered, spoken, embedded or looked for; "" of sound."""
    match task:
        case ChatTask(body={"messages": list(messages)}):
            return events.said(messages)
        case ChatTask(body=body):
            given = body.get("prompt", body.get("input"))
            return given if isinstance(given, str) else ""
        case SpeakTask(text=text):
            return text
        case EmbedTask(texts=texts):
            return "\n".join(texts)
        case RerankTask(query=query):
            return query
    return ""
