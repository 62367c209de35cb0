"""What can be wrong with a chain, and how it is said."""

from typing import Any

import pytest

from backends.fleet.agree import agree
from backends.fleet.document import parse
from backends.fleet.load import shape
from backends.fleet.schema import Fleet

FLEET = """
version: 1
nodes: {{here: {{}}}}
models:
  ears: {{task: transcribe, aliases: [whisper], engine: fake, source: builtin://fake, place: {{node: here}}}}
  mind: {{task: chat, aliases: [llm], engine: fake, source: builtin://fake, place: {{node: here}}}}
  mouth: {{task: speak, engine: fake, source: builtin://fake, place: {{node: here}}}}
  vectors: {{task: embed, engine: fake, source: builtin://fake, place: {{node: here}}}}
  judge: {{task: rerank, engine: fake, source: builtin://fake, place: {{node: here}}}}
  other: {{task: chat, steps: {{sequence: [mind, {{model: mind, prompt: Again.}}]}}}}
  one: {of}
"""

AUDIO = "task: chat, steps: {hear: whisper, think: llm, speak: mouth}"
WRONG = {
    "shape": ("task: chat, steps: {hears: ears}", "models.one.steps", "steps are 'hear', 'think' and"),
    "part": ("task: chat, steps: {hear: ears, think: llm}", "models.one.steps", "the key 'speak' is missing"),
    "beside": (f"{AUDIO}, variants: {{a: {{engine: fake, source: x, place: {{node: here}}}}}}",
               "models.one.variants", "a model has an engine of its own, or 'steps': not both"),
    "fallback": (f"{AUDIO}, fallback: [mind]", "models.one", "a model of steps has no 'fallback'"),
    "outside": ("task: chat, steps: {before: ../os:system, model: mind}", "models.one.steps.before",
                "must be a file and a function in it"),
    "nothing around": ("task: chat, steps: {before: null, model: mind}", "models.one.steps",
                       "a step around a model is 'before' it"),
    "task of it": ("task: embed, steps: {hear: ears, think: mind, speak: mouth}", "models.one.steps",
                   "no embed is made of these steps"),
    "task of a step": ("task: chat, steps: {hear: ears, think: mouth, speak: mouth}",
                       "models.one.steps.think", "'mouth' does speak, and this step chat"),
    "unknown": ("task: rerank, steps: {embed: vector, rerank: judge}", "models.one.steps.embed",
                "there is no model 'vector'"),
    "itself": ("task: chat, steps: {sequence: [mind, one]}", "models.one.steps.sequence[1]",
               "the steps go in a circle: one → one"),
    "prompt": ("task: speak, steps: {sequence: [mind, {model: mouth, prompt: Hi}]}",
               "models.one.steps.sequence[1].prompt", "step 2 does speak, and so takes no 'prompt'"),
    "no default": ("task: chat, steps: {switch: [{field: tools, model: mind}]}", "models.one.steps.switch",
                   "the last rule of a switch names a model alone"),
    "never": ("task: chat, steps: {switch: [{model: mind}, {model: mind}]}", "models.one.steps.switch",
              "a rule that names a model alone is the last"),
    "no classifier": ("task: chat, steps: {switch: [{answer: a, model: mind}, {model: mind}]}",
                      "models.one.steps.switch", "'classify' and rules with an 'answer' need each other"),
    "two conditions": (
        "task: chat, steps: {switch: [{field: n, equals: 1, over: 2, model: mind}, {model: mind}]}",
        "models.one.steps.switch[0]", "'equals' and 'over' in one rule"),
    "no such field": ("task: speak, steps: {switch: [{field: voices, model: mouth}, {model: mouth}]}",
                      "models.one.steps.switch[0].field", "a request to speak has no field 'voices'"),
}  # fmt: skip


def problems(of: str) -> list[Any]:
    document = parse(FLEET.format(of=f"{{{of}}}"))
    fleet, found = shape(document)
    return found or [document.problem(one) for one in agree(fleet)]  # type: ignore[arg-type]


@pytest.mark.parametrize("case", WRONG)
def test_what_is_wrong_with_a_chain(case: str) -> None:
    of, place, message = WRONG[case]
    (problem, *_) = problems(of)
    assert problem.line == 11
    assert problem.place == place
    assert problem.message.startswith(message)


@pytest.mark.parametrize(
    "of",
    [
        AUDIO,
        "task: rerank, steps: {embed: vectors, rerank: judge, keep: 5}",
        "task: chat, steps: {sequence: [other, mind]}",
        "task: transcribe, steps: {sequence: [ears, {model: mind, prompt: Shorten.}]}",
        "task: embed, steps: {before: a.b:c, model: vectors}",
        "task: chat, steps: {classify: mind, switch: [{answer: a, model: mind}, {model: other}]}",
        "task: speak, steps: {switch: [{field: text, over: 9, model: mouth}, {model: mouth}]}",
    ],
)
def test_what_is_right(of: str) -> None:
    assert problems(of) == []
    document = parse(FLEET.format(of=f"{{{of}}}"))
    fleet, _ = shape(document)
    assert fleet is not None
    assert Fleet.model_validate(fleet.model_dump(mode="json")) == fleet, "doors are told of it so"


def test_a_circle_by_another() -> None:
    text = FLEET.format(of="{task: chat, steps: {sequence: [mind, other]}}").replace("[mind, {", "[one, {")
    document = parse(text)
    fleet, _ = shape(document)
    assert fleet is not None
    assert "the steps go in a circle: one → other → one" in [one.message for one in agree(fleet)]


def test_a_chain_stands_in_for_nobody() -> None:
    text = FLEET.format(of="{task: chat, fallback: [other], engine: fake, source: x, place: {node: here}}")
    fleet, _ = shape(parse(text))
    assert fleet is not None
    assert [one.message for one in agree(fleet)] == ["'other' is made of steps, and so stands in for nobody"]
