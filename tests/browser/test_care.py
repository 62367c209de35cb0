"""What one looks after: the fleet as the door tells it, traffic, usage and keys."""

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
import yaml

from backends.contract.state import VariantState
from tests.api.keys import Keys

from .conftest import ROOT, Tab
from .stage import Stage, acted

REFERENCE = ROOT / "deploy" / "fleets" / "reference.yaml"


@pytest.fixture
def told(stage: Stage, keys: Keys) -> Iterator[Any]:
    """What `GET /v1/fleet` says now. Afterwards nobody is down any more."""
    headers = {"authorization": f"Bearer {keys.texts['root']}"}
    yield lambda: httpx2.get(f"{stage.base_url}/v1/fleet", headers=headers, timeout=30).json()
    stage.upstream.said = {}


def drawn(page: Any) -> dict[tuple[str, str], dict[tuple[str, str], float]]:
    """What part of each GPU's bar each variant has, as it is on the screen."""
    page.locator(".gpu").first.wait_for()
    found = {}
    for node in page.locator(".node").all():
        for gpu in node.locator(".gpu").all():
            track = gpu.locator(".track")
            width = track.bounding_box()["width"]
            name = (
                node.get_attribute("aria-label").removeprefix("node "),
                gpu.locator("strong").inner_text(),
            )
            found[name] = {
                (one.get_attribute("data-model"), one.get_attribute("data-variant")): round(
                    one.bounding_box()["width"] / width, 2
                )
                for one in track.locator(".share").all()
            }
    return found


def test_shares_are_drawn_as_the_fleet_has_them(tab: Tab, stage: Stage, keys: Keys, told: Any) -> None:
    page = tab.open(stage, "fleet", keys.texts["eye"])
    found, fleet = drawn(page), told()
    expected = {
        (card["node"], f"GPU {card['gpu']}"): {
            (one["model"], one["variant"]): one["share"] for one in card["entries"]
        }
        for card in fleet["gpus"]
    }
    assert found.pop(("mini", "GPU 0")) == {}  # nobody is on it
    assert found == {name: pytest.approx(shares, abs=0.02) for name, shares in expected.items()}
    assert sum(map(len, found.values())) == 3
    # Colours are the models': the same for two variants, others for others.
    colour = "one => getComputedStyle(one).getPropertyValue('--hue')"
    stable, canary, whisper = (one.evaluate(colour) for one in page.locator(".node .share").all()[:3])
    assert stable == canary != whisper
    # And of each share so much is full as is taken of it.
    share = page.locator(".node .share").first
    taken = share.locator(".taken").bounding_box()["width"] / share.bounding_box()["width"]
    assert taken == pytest.approx(0.9, abs=0.02)
    assert "13.0 GiB of 14.4 GiB" in page.get_by_label("GPU 0").first.inner_text()


def test_the_reference_fleet_is_drawn_as_its_file_says(tab: Tab) -> None:
    one = Stage(acted(REFERENCE))
    try:
        found = drawn(tab.open(one, "fleet"))
    finally:
        one.close()
    declared: dict[tuple[str, str], dict[tuple[str, str], Any]] = {}
    for name, model in yaml.safe_load(REFERENCE.read_text())["models"].items():
        place = model["place"]
        declared.setdefault((place["node"], "GPU 0"), {})[name, "main"] = place["share"]
    assert len(declared) == 4
    assert found == {gpu: pytest.approx(shares, abs=0.02) for gpu, shares in declared.items()}


def test_a_model_that_dies_turns_red_and_comes_back(tab: Tab, stage: Stage, keys: Keys, told: Any) -> None:
    page = tab.open(stage, "fleet", keys.texts["eye"])
    card = page.get_by_label("model whisper")
    card.locator(".badge.ready").first.wait_for()
    assert card.get_attribute("data-state") == "ready"
    well = card.evaluate("one => getComputedStyle(one).borderLeftColor")
    stage.upstream.said = {"whisper--main": VariantState("down", message="out of memory")}
    card.locator(".badge.down").first.wait_for()
    assert "out of memory" in card.inner_text()
    assert card.evaluate("one => getComputedStyle(one).borderLeftColor") != well
    stage.upstream.said = {"whisper--main": VariantState("loading", "weights", 0.42, 3.0)}
    card.get_by_text("loading 42 %").wait_for()
    stage.upstream.said = {}
    card.locator(".badge.ready").first.wait_for()


def test_an_operator_splits_promotes_and_rolls_back(tab: Tab, stage: Stage, keys: Keys, told: Any) -> None:
    page = tab.open(stage, "fleet", keys.texts["root"])
    card = page.get_by_label("model llm")

    def weights() -> dict[str, int]:
        return {name: one["weight"] for name, one in told()["models"]["llm"]["variants"].items()}

    card.get_by_label("stable").fill("40")
    assert "50 in all" in card.inner_text()
    assert card.get_by_role("button", name="Split so").is_disabled()
    card.get_by_label("canary").fill("60")
    card.get_by_role("button", name="Split so").click()
    card.get_by_text("The traffic is split.").wait_for()
    assert weights() == {"stable": 40, "canary": 60}
    card.get_by_role("button", name="Roll back to stable 90 %, canary 10 %").click()
    card.get_by_text("The traffic is as it was.").wait_for()
    assert weights() == {"stable": 90, "canary": 10}
    card.get_by_role("button", name="Promote canary").click()
    card.locator("td", has_text="100 %").wait_for()
    assert weights() == {"stable": 0, "canary": 100}
    card.get_by_role("button", name="Roll back").click()
    card.locator("td", has_text="90 %").wait_for()


def test_an_operator_loads_and_unloads(tab: Tab, stage: Stage, keys: Keys) -> None:
    page = tab.open(stage, "fleet", keys.texts["root"])
    card = page.get_by_label("model large")
    card.locator("header .badge.cold").wait_for()
    card.get_by_role("button", name="Load").click()
    card.locator("header .badge.ready").wait_for()
    page.get_by_label("node mini").locator(".share").wait_for()
    card.get_by_role("button", name="Unload").click()
    card.locator("header .badge.cold").wait_for()
    assert page.get_by_label("node mini").locator(".share").count() == 0


def test_each_key_sees_what_it_may(tab: Tab, stage: Stage, keys: Keys) -> None:
    page = tab.open(stage, "chat", "sk-wrong")
    page.get_by_role("alert").get_by_text("is not known here").wait_for()
    screens = {"root": ["Fleet", "Usage", "Keys"], "eye": ["Fleet", "Usage"], "ann": ["Usage"]}
    for owner, expected in screens.items():
        page.get_by_label("API key").fill(keys.texts[owner])
        page.get_by_role("button", name="Come in").click()
        page.get_by_role("button", name="Forget the key").wait_for()
        assert page.locator(".side ul").last.locator("a").all_inner_texts() == expected
        page.get_by_role("button", name="Forget the key").click()
        page.get_by_label("API key").wait_for()
    # In memory alone.
    stored = page.evaluate("() => [document.cookie, localStorage.length, sessionStorage.length]")
    assert stored == ["", 0, 0]


def test_usage_adds_up(tab: Tab, stage: Stage, keys: Keys) -> None:
    headers = {"authorization": f"Bearer {keys.texts['ann']}"}
    body = {"model": "llm", "messages": [{"role": "user", "content": "!words 7"}]}
    for _ in range(3):
        httpx2.post(f"{stage.base_url}/v1/chat/completions", json=body, headers=headers, timeout=30)
    page = tab.open(stage, "usage", keys.texts["ann"])
    row = page.get_by_role("row").filter(has_text="llm")
    row.wait_for()
    for _ in range(20):  # usage is written behind
        if row.locator("td").all_inner_texts()[1:5] == ["3", "0", "6", "21"]:
            break
        page.wait_for_timeout(500)
        page.get_by_role("button", name="Look again").click()
    assert row.locator("td").all_inner_texts()[1:5] == ["3", "0", "6", "21"]


def test_keys_are_listed_for_operators(tab: Tab, stage: Stage, keys: Keys) -> None:
    page = tab.open(stage, "keys", keys.texts["root"])
    row = page.get_by_role("row").filter(has_text=keys.ids["ann"])
    row.wait_for()
    assert "chat:*" in row.inner_text()
    assert "requests/minute 60" in row.inner_text()
    assert "valid" in row.inner_text()
    assert not any(text in page.content() for text in keys.texts.values())
