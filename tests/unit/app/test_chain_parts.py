"""The small policies of chains: sentences, rules, ids, rankings, usage."""

import numpy as np
import orjson
import pytest

from app.upstream.chain.events import added, answer
from app.upstream.chain.memory import identified, recalled
from app.upstream.chain.retrieval import nearness, scattered
from app.upstream.chain.sentences import LONGEST, Sentences
from app.upstream.chain.switch import holds, value
from backends.contract.errors import EngineFailed, InvalidRequest
from backends.contract.results import ChatChunk, Usage, Vectors
from backends.contract.tasks import ChatTask, SpeakTask
from backends.fleet.steps import Rule


def said(text: str, step: int = 1) -> list[list[str]]:
    """What is ready after each piece, and at the end."""
    sentences = Sentences()
    ready = [sentences.push(text[at : at + step]) for at in range(0, len(text), step)]
    return [*ready, sentences.end()]


@pytest.mark.parametrize("step", [1, 3, 1000])
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("It is warm today. Take a hat!", ["It is warm today.", "Take a hat!"]),
        ("Pi is 3.14159 or so, says example.com. Good.", ["Pi is 3.14159 or so, says example.com.", "Good."]),
        ("1. A fox came in.", ["1. A fox came in."]),
        ("东京是首都。你好！再见", ["东京是首都。", "你好！", "再见"]),
        ("```\n—\n", []),
        ("", []),
    ],
)
def test_sentences(text: str, expected: list[str], step: int) -> None:
    joined = " ".join(piece for pieces in said(text, step) for piece in pieces)
    assert joined.replace(" ", "") == "".join(expected).replace(" ", "")
    if step == 1:
        first = next((at for at, pieces in enumerate(said(text)) if pieces), len(text))
        assert first < len(text) or len(expected) < 2


def test_a_text_without_an_end_is_cut_all_the_same() -> None:
    words = [f"word{number}" for number in range(300)]
    found = [piece for pieces in said(" ".join(words), 7) for piece in pieces]
    assert " ".join(found).split() == words
    assert max(map(len, found)) <= LONGEST


@pytest.mark.parametrize("text", ["Good day.", "東京", "a" * 50_000])
def test_an_id_holds_what_was_said(text: str) -> None:
    assert recalled(identified(text), "messages[0].audio.id") == text


@pytest.mark.parametrize(
    "given", ["", "audio_", "audio_abc", "other", identified("x" * (2 << 20)), "audio_é"]
)
def test_an_id_that_is_none(given: str) -> None:
    with pytest.raises(InvalidRequest) as caught:
        recalled(given, "messages[0].audio.id")
    assert caught.value.param == "messages[0].audio.id"


@pytest.mark.parametrize(
    ("rule", "given", "expected"),
    [
        ({}, [], True), ({}, None, False), ({}, False, True),
        ({"equals": 1}, 1, True), ({"equals": 1}, True, False), ({"equals": ["a", "b"]}, "b", True),
        ({"contains": "Sum"}, "a sum of", True), ({"contains": "sum"}, 3, False),
        ({"contains": "a"}, ["xa"], True),
        ({"over": 2}, "abc", True), ({"over": 2}, [1, 2], False), ({"over": 2}, 2.5, True),
        ({"over": 0}, True, False), ({"over": 1}, {"a": 1, "b": 2}, False),
    ],
)  # fmt: skip
def test_rules(rule: dict[str, object], given: object, expected: bool) -> None:
    assert holds(Rule.model_validate({"field": "f", "model": "m", **rule}), given) is expected


def test_what_rules_read() -> None:
    parts = [
        {"type": "text", "text": "two"},
        {"type": "image_url", "image_url": {}},
        {"type": "text", "text": "3"},
    ]
    messages = [
        {"role": "system", "content": "one"},
        {"role": "user", "content": parts},
        {"role": "assistant"},
    ]
    chat = ChatTask("r", {"messages": messages, "metadata": {"tier": "gold"}, "n": 2})
    assert value(chat, "text") == "two\n3"
    assert value(chat, "messages") == "one\ntwo\n3"
    assert (value(chat, "metadata.tier"), value(chat, "n"), value(chat, "n.x")) == ("gold", 2, None)
    assert value(ChatTask("r", {"input": "hi"}, surface="responses"), "text") == "hi"
    assert value(SpeakTask("r", "hello", "nova"), "voice") == "nova"


def test_the_rest_comes_after_the_reranked() -> None:
    rows = np.array([[1, 0], [1, 0], [0, 1], [-1, 0], [3, 3]], "<f4")
    halves = [Vectors(part.tobytes(), len(part), 2, 1) for part in (rows[:2], rows[2:])]
    near = nearness(halves)
    assert near.tolist() == pytest.approx([1, 0.5, 0, 0.8535], abs=1e-3)
    scores = scattered(near, [0, 3], (0.2, 0.9))
    assert (scores[0], scores[3]) == (0.2, 0.9)
    assert 0.2 > scores[1] > scores[2] >= 0


def test_usage_is_that_of_all_steps() -> None:
    more = Usage(10, 5)
    document = orjson.dumps(
        {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "details": 3}}
    )
    whole = added(ChatChunk(document, usage=Usage(1, 2)), more)
    expected = {"prompt_tokens": 11, "completion_tokens": 7, "total_tokens": 18, "details": 3}
    assert orjson.loads(whole.events)["usage"] == expected
    assert whole.usage == Usage(11, 7)
    event = b'data: {"choices":[],"usage":{"prompt_tokens":1}}\n\n'
    last = added(ChatChunk(b'data: {"choices":[1]}\n\n' + event, usage=Usage(1, 0)), more)
    one, two = (orjson.loads(line[6:]) for line in last.events.split(b"\n\n") if line)
    assert one == {"choices": [1]}
    assert two["usage"]["total_tokens"] == 16
    untouched = ChatChunk(b"data: {}\n\n")
    assert added(untouched, more) is untouched


@pytest.mark.parametrize("message", [{"content": None}, {"content": " "}, {}])
def test_an_answer_without_a_text(message: dict[str, object]) -> None:
    with pytest.raises(EngineFailed):
        answer([ChatChunk(orjson.dumps({"choices": [{"message": message}]}))])
