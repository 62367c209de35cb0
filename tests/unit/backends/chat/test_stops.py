"""Stop strings: the cut is the same wherever the pieces are, and no part of one is ever shown."""

from itertools import combinations

import pytest

from backends.chat.stops import StopScanner

TEXT = "one stop two sto three"


def scan(pieces, stops):
    scanner, shown = StopScanner(stops), []
    for piece in pieces:
        shown.append(scanner.push(piece))
        if scanner.stopped:
            break
    return [*shown, scanner.flush()], scanner.stopped


def partitions(text, cuts):
    for places in combinations(range(1, len(text)), cuts):
        yield [text[a:b] for a, b in zip((0, *places), (*places, len(text)), strict=True)]


@pytest.mark.parametrize(
    ("stops", "expected"),
    [
        ([], TEXT),
        (["stop"], "one "),
        (["absent"], TEXT),
        (["three"], "one stop two sto "),
        (["o t", "two"], "one stop "),
        (["top", "stop"], "one "),
        (["one"], ""),
        (["threes", "hree!"], TEXT),
        (["p two sto threes", "two"], "one stop "),
    ],
)
def test_the_cut_does_not_depend_on_where_pieces_end(stops, expected):
    for cuts in (0, 1, 2, 3):
        for pieces in partitions(TEXT, cuts):
            shown, stopped = scan(pieces, stops)
            assert "".join(shown) == expected
            assert stopped == (expected != TEXT)
    assert "".join(scan(list(TEXT), stops)[0]) == expected


def test_a_possible_beginning_is_held_back_and_given_back():
    scanner = StopScanner(["END"])
    assert [scanner.push(piece) for piece in ("text E", "N", "Q E", "E")] == ["text ", "", "ENQ ", "E"]
    assert scanner.flush() == "E"
    assert not scanner.stopped


def test_a_stop_that_repeats_its_own_beginning():
    scanner = StopScanner(["aab"])
    assert "".join(scanner.push(letter) for letter in "aaab") == "a"
    assert scanner.stopped


def test_nothing_follows_a_stop():
    scanner = StopScanner(["."])
    assert scanner.push("yes. no") == "yes"
    assert scanner.push("more") == ""
    assert scanner.flush() == ""
