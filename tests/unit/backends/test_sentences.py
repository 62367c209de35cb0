"""Pieces that a synthesiser can take."""

from backends.sentences import split


def test_text_is_split_at_sentences_and_long_ones_at_commas() -> None:
    assert split("One. Two!  Three?\nFour; five", 400) == ["One.", "Two!", "Three?", "Four;", "five"]
    assert split("3.14 is pi", 400) == ["3.14 is pi"]
    assert split("今日は。晴れ。", 400) == ["今日は。", "晴れ。"]
    long = "word, " * 300
    pieces = split(long, 250)
    assert max(map(len, pieces)) <= 250
    assert " ".join(pieces) == long.strip()
    assert "".join(split("a" * 1_000, 400)) == "a" * 1_000


def test_nothing_makes_no_piece() -> None:
    assert split(" \n\0", 10) == []
