"""The files in `deploy/observability` speak of metrics that there are, by labels that these have."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import yaml
from prometheus_client.parser import text_string_to_metric_families

from app.catalogue import Target
from app.telemetry.metrics import Meters
from app.telemetry.page import Alone, Page
from app.telemetry.visit import Visit
from backends.contract.results import Usage
from backends.contract.state import Footprint, ReplicaState, VariantState
from backends.contract.tally import Tally

FOLDER = Path(__file__).parents[3] / "deploy" / "observability"
DOCUMENT = Path(__file__).parents[3] / "docs" / "observability.md"
Emitted = Mapping[str, set[str]]


@pytest.fixture
async def emitted() -> Emitted:
    """Sample names → labels, of a door that has seen everything once."""
    meters = Meters()
    refused, visit = Visit("r"), Visit("r", status=200, streams=True, heard_s=1.0, characters=1)
    refused.code = "invalid_api_key"
    visit.usage, visit.cut, visit.spoken_s = Usage(1, 1), "client", 1.0
    visit.got_tokens(1)
    visit.got_tokens(1)
    visit.target = Target("a--main", "a", "main", "fake", "chat", 1.0, retried="x", passed=(("b", "x"),))
    visit.target.cold_s = 1.0
    for one in (refused, visit):
        meters.count(one, "POST", "/v1/chat/completions")
    meters.rolled_back("a", "main", "errors")
    meters.stepped("a", "1", "b", "ok", 1.0)
    meters.kept("written", 1)
    replica = ReplicaState("here", 1, footprint=Footprint(1, 1, 1, 1), tally=Tally(0.5))
    states = {"a--main": VariantState("ready", replicas=(replica,), swaps={"none": (1, 1.0)})}
    text = Page(await Alone(meters).counted(), states).text().decode()
    found = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
    return {sample.name: {*sample.labels, "door"} for sample in found}


def kept(expression: str) -> set[str]:
    """The labels that it groups by."""
    groups = re.findall(r"\bby \(([^)]*)\)", expression)
    return {label.strip() for group in groups for label in group.split(",")}


def problems(expression: str, emitted: Emitted) -> Iterator[str]:
    """What of a PromQL expression is not there."""
    names = re.findall(r"\bmotley_\w+", expression)
    by = kept(expression)
    if not names:
        yield f"no metric of ours in {expression}"
    for name in names:
        missing = by - emitted.get(name, set())
        if name not in emitted:
            yield f"no {name}"
        elif missing:
            yield f"{name} has no {missing}"
    for name, selector in re.findall(r"\b(motley_\w+)\{([^}]*)\}", expression):
        used = set(re.findall(r"(\w+)\s*[=!]", selector))
        if used - emitted.get(name, set()):
            yield f"{name} has no {used - emitted.get(name, set())}"
    for open_, close in ("()", "{}", "[]"):
        if expression.count(open_) != expression.count(close):
            yield f"{open_} and {close} do not match in {expression}"


def shown(text: str, pattern: str, expression: str) -> set[str]:
    """The labels that a text names and the expression does not keep."""
    return set(re.findall(pattern, text)) - kept(expression)


def test_the_dashboard(emitted: Emitted) -> None:
    board = json.loads((FOLDER / "dashboard.json").read_text())
    targets = [target for panel in board["panels"] for target in panel.get("targets", [])]
    assert len(targets) > 25
    assert [one for target in targets for one in problems(target["expr"], emitted)] == []
    for target in targets:
        assert not shown(target["legendFormat"], r"\{\{(\w+)\}\}", target["expr"]), target
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in board["panels"]]
    assert len(set(places)) == len(places)


def test_every_metric_has_its_place(emitted: Emitted) -> None:
    """On the board, or in the document why not."""
    board, told = (FOLDER / "dashboard.json").read_text(), DOCUMENT.read_text()
    families = {re.sub(r"_(bucket|count|sum|total)$", "", name) for name in emitted}
    assert [name for name in sorted(families) if name not in board] == []
    assert [name for name in sorted(families) if f"`{name}" not in told] == []


def test_the_alerts(emitted: Emitted) -> None:
    [group] = yaml.safe_load((FOLDER / "alerts.yaml").read_text())["groups"]
    told = DOCUMENT.read_text()
    for rule in group["rules"]:
        assert list(problems(rule["expr"], emitted)) == []
        assert not shown(rule["annotations"]["summary"], r"\$labels\.(\w+)", rule["expr"]), rule["alert"]
        assert f"### {rule['alert']}\n" in told  # what to do
        assert rule["labels"]["severity"] in ("critical", "warning")


def test_what_to_scrape() -> None:
    config = yaml.safe_load((FOLDER / "prometheus.yaml").read_text())
    assert [(FOLDER / name).is_file() for name in config["rule_files"]] == [True]


def test_the_check_can_fail(emitted: Emitted) -> None:
    for wrong in (
        "rate(motley_nothing_total[5m])",
        "sum by (owner) (motley_requests_total)",
        'motley_requests_total{key="x"}',
        "sum(motley_requests_total",
        "up",
    ):
        assert list(problems(wrong, emitted)), wrong
