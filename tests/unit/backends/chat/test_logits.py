"""Log-probabilities, bias and penalties against the definitions, on logits made by hand."""

import math

import numpy as np
import pytest

from backends.chat.logits import NEVER, Scorer, Steering
from backends.chat.spelling import spelling


def spell(token):
    return b"t%d" % token


def test_log_probabilities_are_those_of_the_softmax():
    scorer = Scorer(2, spell)
    read = scorer.read(np.array([1.0, 3.0, 2.0, -np.inf], dtype=np.float32))
    total = sum(math.exp(x) for x in (1, 3, 2))
    score = scorer.score(read, 2)
    assert score.token == b"t2"
    assert score.logprob == pytest.approx(2 - math.log(total))
    assert [token for token, _ in score.top] == [b"t1", b"t2"]
    assert score.top[0][1] == pytest.approx(3 - math.log(total))
    # JSON has no infinity.
    assert scorer.score(read, 3).logprob == NEVER
    assert Scorer(0, spell).score(read, 1).top == ()


def test_large_logits_do_not_overflow():
    read = Scorer(0, spell).read(np.array([1e4, 1e4], dtype=np.float32))
    assert read == pytest.approx([-math.log(2)] * 2)


def test_bias_is_added_and_penalties_count_what_was_said():
    steering = Steering({1: 5.0, 2: -100.0}, presence=0.5, frequency=0.25)
    for token in (0, 0, 3):
        steering.chose(token)
    logits = np.zeros(4, dtype=np.float32)
    steering.steer(logits)
    assert logits.tolist() == [-0.5 - 2 * 0.25, 5.0, -100.0, -0.5 - 0.25]


def test_spelling_of_a_byte_level_vocabulary():
    tokenizer = {
        "model": {"vocab": {"Ġthe": 0, "Ċ": 1, "Ã": 2, "a": 3}},
        "decoder": {"type": "Sequence", "decoders": [{"type": "ByteLevel"}]},
        "added_tokens": [{"id": 9, "content": "<|end|>"}],
    }
    assert spelling(tokenizer) == {0: b" the", 1: b"\n", 2: b"\xc3", 3: b"a", 9: b"<|end|>"}


def test_spelling_of_a_vocabulary_with_byte_fallback():
    tokenizer = {"model": {"vocab": {"\u2581the": 0, "<0x0A>": 1, "é": 2}}, "decoder": {"type": "Metaspace"}}
    assert spelling(tokenizer) == {0: b" the", 1: b"\n", 2: "é".encode()}


@pytest.mark.parametrize("tokenizer", [{}, {"model": {"vocab": [["a", -1.0]]}}])
def test_spelling_that_is_not_told(tokenizer):
    assert spelling(tokenizer) == {}
