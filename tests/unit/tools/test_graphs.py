"""Graphs that say what was measured, to eyes and to readers of text alike."""

from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tools.graphs import all_drawn, drawn

SVG = "{http://www.w3.org/2000/svg}"


def result(rows: dict[str, dict[str, float]], **more: Any) -> dict[str, Any]:
    told = {"title": "Speed & <more>", "unit": "ms", "better": "less", "rounds": 15, "from": "a run"}
    machine = {"processor": "Some", "cores": 2, "load": [4.0, 3.5, 3.0]}
    return {**told, "rows": rows, "date": "2026-01-01", "machine": machine, "versions": [], **more}


def bars(text: str) -> list[tuple[str, float]]:
    _, *rects = ET.fromstring(text).iter(f"{SVG}rect")  # the first is the ground
    return [(one.attrib["class"], float(one.attrib["width"])) for one in rects]


def test_bars_are_as_long_as_their_figures() -> None:
    text = drawn(result({"one": {"Motley": 20, "peer": 40}, "two": {"peer": 10}}))
    (ours, half), (peer, whole), (_, quarter) = bars(text)
    assert (ours, peer) == ("ours", "other")
    assert [half / whole, quarter / whole] == pytest.approx([0.5, 0.25], abs=0.01)
    assert "own scale" not in text


def test_groups_that_are_far_apart_have_scales_of_their_own() -> None:
    text = drawn(result({"one": {"Motley": 2, "peer": 4}, "two": {"Motley": 400, "peer": 300}}))
    (_, small), (_, four), (_, large), _ = bars(text)
    assert [small / four, four / large] == pytest.approx([0.5, 1], abs=0.01)
    assert "each group on its own scale" in text


def test_where_none_is_ours_none_stands_out() -> None:
    assert {kind for kind, _ in bars(drawn(result({"one": {"keys": 1, "logs": 2}})))} == {"ours"}


def test_every_figure_is_in_the_text() -> None:
    root = ET.fromstring(drawn(result({"one": {"Motley": 1234.5, "peer": 0.06}, "two": {"Motley": 27.7}})))
    title, about = root.find(f"{SVG}title"), root.find(f"{SVG}desc")
    assert title is not None
    assert about is not None
    assert title.text == "Speed & <more>"
    assert about.text == "In ms, less is better. one: Motley 1,234, peer 0.06. two: Motley 27.7."
    assert {root.attrib["role"], root.attrib["aria-labelledby"]} == {"img", "title about"}
    said = [one.text for one in root.iter(f"{SVG}text")]
    assert {"1,234", "0.06", "27.7"} <= set(said)
    assert "15 rounds on 2 cores, Some, 3.5 processes wanted them" in said


def test_what_was_copied_says_so() -> None:
    assert "from the table of May" in drawn(result({"one": {"a": 1}}, **{"from": "the table of May"}))


def test_those_of_the_docs_fit_their_page() -> None:
    for name, text in all_drawn().items():
        for kind, width in bars(text):
            assert 1 <= width <= 440, (name, kind)
