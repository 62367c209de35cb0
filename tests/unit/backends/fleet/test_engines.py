# ruff: noqa: E501 - a case reads best on one line
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.contract.tasks import VERBS
from backends.engines.registry import ENGINES, Entry
from backends.fleet.engines import check
from backends.fleet.problems import FleetError, Problem
from backends.sources.address import SCHEMES

Found = Callable[..., list[Problem]]
FLEETS = Path(__file__).parents[3] / "data" / "fleets"

FLEET = """\
version: 1
nodes: {laptop: {}}
models:
  demo:
    task: chat
    engine: fake
    source: builtin://x
    options:
      words: 2
    place: {node: laptop}
"""

KNOWN = "known: " + ", ".join(SCHEMES.values())

# What is written instead of what, and (line, place, message, hint).
CASES = {
    "engine misspelt": ("engine: fake", "engine: fakee", 6, "models.demo.engine", "there is no engine 'fakee'", "did you mean 'fake'?"),
    "engine unheard of": ("engine: fake", "engine: zzz", 6, "models.demo.engine", "there is no engine 'zzz'", "known: " + ", ".join(sorted(ENGINES))),
    "option misspelt": ("words: 2", "word: 2", 9, "models.demo.options.word", "unknown key 'word'", "did you mean 'words'?"),
    "option of another type": ("words: 2", "words: many", 9, "models.demo.options.words", "must be a whole number, not 'many'", ""),
    "no scheme": ("builtin://x", "x/y", 7, "models.demo.source", "the source 'x/y' has no scheme", KNOWN),
    "scheme misspelt": ("builtin://x", "builtn://x", 7, "models.demo.source", "the source 'builtn://x' has a scheme that is not known", "did you mean 'builtin'?"),
    "scheme unheard of": ("builtin://x", "ftp://x", 7, "models.demo.source", "the source 'ftp://x' has a scheme that is not known", KNOWN),
    "source of nothing": ("builtin://x", "builtin://", 7, "models.demo.source", "the source 'builtin://' names nothing", "write builtin://NAME"),
    "relative path": ("builtin://x", "file://x/y", 7, "models.demo.source", "the source 'file://x/y' has a path that does not begin with a slash", "write file:///PATH"),
    "no URL at all": ("builtin://x", "'http://[x'", 7, "models.demo.source", "the source 'http://[x' is none", "did you mean 'https'?"),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_engines_refuse(case: tuple[str, str, int, str, str, str], found: Found) -> None:
    old, new, line, place, message, hint = case
    assert found(FLEET) == []
    assert found(FLEET.replace(old, new)) == [Problem(line, place, message, hint)]


def test_an_engine_that_does_another_task(found: Found) -> None:
    engines = {
        "fake": ENGINES["fake"],
        "mute": Entry(ENGINES["fake"].path, frozenset({"embed", "rerank"})),
        "talker": Entry(ENGINES["fake"].path, frozenset({"chat"})),
    }
    problems = found(FLEET.replace("engine: fake", "engine: mute"), lambda path: check(path, engines))
    message = "the engine 'mute' does not chat, it does embed, rerank"
    assert problems == [Problem(6, "models.demo.engine", message, "engines that do: talker")]


def test_an_engine_whose_extra_is_not_installed(found: Found) -> None:
    engines = {"far": Entry("a_package_that_is_not_there:Engine", frozenset({"chat"}), "onnx")}
    problems = found(FLEET.replace("engine: fake", "engine: far"), lambda path: check(path, engines))
    message = "the engine 'far' is not installed here: it needs 'a_package_that_is_not_there'"
    assert problems == [Problem(6, "models.demo.engine", message, "pip install motley[onnx]")]


def test_an_engine_whose_module_breaks(found: Found, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "broken_engine_for_a_test.py").write_text("raise ZeroDivisionError('inside')")
    monkeypatch.syspath_prepend(tmp_path)
    engines = {"broken": Entry("broken_engine_for_a_test:Engine", frozenset({"chat"}))}
    problems = found(FLEET.replace("engine: fake", "engine: broken"), lambda path: check(path, engines))
    message = "the engine 'broken' cannot be imported here (ZeroDivisionError)"
    assert problems == [Problem(6, "models.demo.engine", message, "install motley again")]


def test_the_three_rings_speak_together_in_the_order_of_lines(found: Found) -> None:
    text = (
        FLEET.replace("words: 2", "word: 2").replace("node: laptop", "node: desktop")
        + "  other: {task: tts}\n"
        + "  docs: {task: chat, engine: fakee, source: 'ftp://x', place: {node: laptop}}\n"
    )
    assert [(one.line, one.place) for one in found(text)] == [
        (9, "models.demo.options.word"),
        (10, "models.demo.place.node"),
        (11, "models.other.task"),
        (11, "models.other"),
        (12, "models.docs"),
        (12, "models.docs.source"),
        (12, "models.docs.engine"),
    ]


def test_the_reference_shape_passes() -> None:
    fleet = check(FLEETS / "reference_shape.yaml")
    assert fleet.models["llama-3.3-70b"].weights == {"stable": 90, "canary": 10}
    assert len({model.task for model in fleet.models.values()}) == 5


def test_the_embedded_fleet_passes() -> None:
    fleet = check(Path(__file__).parents[4] / "deploy" / "fleets" / "embedded.yaml")
    assert {model.task for model in fleet.models.values()} == set(VERBS)


def test_checking_imports_nothing_heavy(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_text(FLEET)
    script = f"""
import sys
from backends.fleet.engines import check
check({str(path)!r})
print(sorted({{'torch', 'ray', 'vllm', 'numpy', 'onnxruntime'}} & sys.modules.keys()))
"""
    root = Path(__file__).parents[4]
    ran = subprocess.run([sys.executable, "-c", script], cwd=root, capture_output=True, text=True, check=True)
    assert ran.stdout.strip() == "[]"


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(FleetError, match="no such file"):
        check(tmp_path / "fleet.yaml")


def test_pickles_are_refused_unless_they_are_trusted(found: Found, tmp_path: Path) -> None:
    (tmp_path / "model.pt").write_bytes(b"\x80\x02.")
    text = FLEET.replace("builtin://x", f"file://{tmp_path}")
    [problem] = found(text)
    assert (problem.line, problem.place) == (7, "models.demo.source")
    assert "allow_pickle: true" in problem.message
    assert found(text.replace("engine: fake", "engine: fake\n    allow_pickle: true")) == []
    (tmp_path / "model.safetensors").touch()
    assert found(text) == []
