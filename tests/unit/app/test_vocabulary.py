"""OpenAI's token ids: the vocabulary is the true one, and nothing else is taken for it."""

import hashlib
from pathlib import Path

import pytest

import app.vocabulary
from app.vocabulary import Vocabulary, stranger

# As OpenAI's own tokenizer has them.
KNOWN = {
    "hello world": [15339, 1917],
    "tiktoken is great!": [83, 1609, 5963, 374, 2294, 0],
    "antidisestablishmentarianism": [519, 85342, 34500, 479, 8997, 2191],
    "お誕生日おめでとう": [33334, 45918, 243, 21990, 9080, 33334, 62004, 16556, 78699],
    "<|endoftext|>": [100257],
}


@pytest.fixture(scope="module")
def vocabulary() -> Vocabulary:
    return Vocabulary()


def test_the_file_is_openais() -> None:
    """By the sum that tiktoken itself compares with."""
    data = Path(app.vocabulary.__file__).with_name("cl100k_base.tiktoken").read_bytes()
    assert hashlib.sha256(data).hexdigest() == (
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7"
    )
    assert [line.split()[1] for line in data.splitlines()] == [b"%d" % n for n in range(100_256)]


async def test_ids_are_decoded(vocabulary: Vocabulary) -> None:
    assert await vocabulary.texts(list(KNOWN.values())) == tuple(KNOWN)


async def test_every_known_id_is_decoded(vocabulary: Vocabulary) -> None:
    ids = [*range(100_256), *range(100_257, 100_261), 100_276]
    assert stranger(ids) is None
    assert all(await vocabulary.texts([[one] for one in ids]))


async def test_half_a_character_is_not_lost_in_silence(vocabulary: Vocabulary) -> None:
    """LangChain cuts a long text at a token, which may be within a character."""
    assert await vocabulary.texts([[33334, 45918], [243, 21990]]) == ("お\ufffd", "\ufffd生")


async def test_strings_need_no_vocabulary(tmp_path: Path) -> None:
    untouched = Vocabulary()
    assert await untouched.texts(["a", "b"]) == ("a", "b")
    assert not vars(untouched)


@pytest.mark.parametrize(
    ("ids", "place"),
    [
        ([0, 100_255, 100_257, 100_276], None),
        ([100_256], 0),
        ([1, 100_261], 1),
        ([1, 2, 100_277], 2),
        ([-1], 0),
        ([5, 10**30, -7], 1),
    ],
)
def test_strangers_are_found(ids: list[int], place: int | None) -> None:
    assert stranger(ids) == place
