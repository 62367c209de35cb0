# ruff: noqa: E501 - a case reads best on one line
import random
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from backends.contract.tasks import VERBS
from backends.fleet.engines import check
from backends.fleet.load import load
from backends.fleet.problems import FleetError, Problem
from backends.fleet.schema import Fleet
from backends.fleet.wording import SYNONYMS

SHAPES = Path(__file__).parents[3] / "data" / "fleets" / "reference_shape.yaml"

Found = Callable[..., list[Problem]]
Write = Callable[[str], Path]

GOOD = """\
version: 1
nodes:
  laptop: {cpus: 2}
models:
  demo:
    task: chat
    engine: fake
    source: builtin://fake
    place: {node: laptop}
"""


def line_of(text: str) -> int:
    return next(number for number, line in enumerate(text.splitlines(), 1) if "# here" in line)


def test_a_good_fleet(write: Write) -> None:
    fleet = load(write(GOOD))
    assert list(fleet.models["demo"].variants) == ["main"]
    assert fleet.models["demo"].variants["main"].place.nodes == ("laptop",)
    assert Fleet.model_validate(fleet.model_dump(mode="json")) == fleet


def test_short_and_long_form_are_the_same_fleet(write: Write) -> None:
    long = GOOD.replace(
        "    engine: fake\n    source: builtin://fake\n    place: {node: laptop}\n",
        "    variants: {main: {engine: fake, source: 'builtin://fake', place: {node: laptop}}}\n",
    )
    assert "variants" in long
    assert load(write(long)) == load(write(GOOD))


# The text, place, message and hint of exactly one problem, on the line that says `# here`.
SYNTAX = {
    "unclosed": (
        "version: 1\nnodes: {a: 1\nmodels: # here\n",
        "",
        "not valid YAML: line 3, column 7: expected ',' or '}', but got ':'",
        "",
    ),
    "tab": ("version: 1\nnodes:\n\ta: {} # here\n", "", "not valid YAML: line 3, column 1: a tab where YAML wants spaces", "indent with spaces"),
    "colon": (
        "version: 1\ndescription: a: b # here\n",
        "",
        "not valid YAML: line 2, column 15: mapping values are not allowed here",
        "a text that holds ': ' needs quotes",
    ),
    "two documents": (
        "version: 1\n--- # here\nversion: 1\n",
        "",
        "not valid YAML: line 2, column 1: a second document begins",
        "one file is one fleet: remove the '---'",
    ),
    "unknown anchor": ("version: 1\nnodes: *there # here\n", "", "not valid YAML: line 2, column 8: found undefined alias 'there'", ""),
    "foreign tag": ("version: 1\nnodes: !!python/object:os.system {} # here\n", "", "the tag !!python/object:os.system means nothing here", "remove it"),
    "tag that does not fit": ("version: !!int one # here\n", "", "'one' is no int", ""),
    "merge of a text": ("nodes:\n  <<: a # here\n", "", "'<<' merges mappings only", ""),
    "key that is a list": ("version: 1\nnodes: {[a, b]: {}} # here\n", "nodes", "a key must be one text", ""),
    "control character": ("version: 1\nnodes: \x07 # here\n", "", "a control character that YAML does not allow", ""),
    "empty": ("# here: nothing but a comment\n", "", "the file is empty", "see deploy/fleets/embedded.yaml"),
    "list": ("- version # here\n", "", "a fleet is a mapping with version, nodes and models, not a list", ""),
    "text": ("version # here\n", "", "a fleet is a mapping with version, nodes and models, not 'version'", ""),
    "twice": (GOOD + "    task: chat # here\n", "models.demo.task", "'task' is written twice, first on line 6", "keep one of the two"),
}  # fmt: skip


@pytest.mark.parametrize("case", SYNTAX.values(), ids=SYNTAX.keys())
def test_what_is_not_a_fleet_in_yaml(case: tuple[str, str, str, str], found: Found) -> None:
    text, place, message, hint = case
    assert found(text, load) == [Problem(line_of(text), place, message, hint)]


NAME_RULE = "must be at most 40 lower-case letters, digits and dashes, with no dash at either end"

# What is written instead of which line of GOOD, and the one problem it makes.
SHAPE = {
    "version": ("version: 1", "version: 2", 1, "version", "must be 1, not 2", ""),
    "version as text": ("version: 1", "version: '1'", 1, "version", "must be 1, not '1'", ""),
    "no nodes": ("  laptop: {cpus: 2}", "  {}", 2, "nodes", "needs at least 1 entry, has 0", ""),
    "nothing for nodes": ("nodes:\n  laptop: {cpus: 2}", "nodes:", 2, "nodes", "must be a mapping, not nothing", ""),
    "name of a node": ("  laptop: {cpus: 2}", "  Big_Box: {cpus: 2}", 3, "nodes.Big_Box", f"the name 'Big_Box' {NAME_RULE}", "for example big-box"),
    "key of a node": ("cpus: 2", "cpu: 2", 3, "nodes.laptop.cpu", "unknown key 'cpu'", "did you mean 'cpus'?"),
    "key of nothing": ("cpus: 2", "zzz: 2", 3, "nodes.laptop.zzz", "unknown key 'zzz'", "known: card, count, cpus, gpus, image, memory, vendor, vram"),
    "vendor": ("cpus: 2", "vendor: nvidea, gpus: 1", 3, "nodes.laptop.vendor", "must be one of 'cpu', 'nvidia', 'amd' or 'intel', not 'nvidea'", "did you mean 'nvidia'?"),
    "vendor without gpus": ("cpus: 2", "vendor: amd", 3, "nodes.laptop", "a node with gpus names its vendor (nvidia, amd, intel); one without is `cpu`", ""),
    "half a GPU": ("cpus: 2", "cpus: 1.5", 3, "nodes.laptop.cpus", "must be a whole number, not 1.5", ""),
    "yes is true": ("cpus: 2", "cpus: yes", 3, "nodes.laptop.cpus", "must be a whole number, not true", ""),
    "no cpus": ("cpus: 2", "cpus: 0", 3, "nodes.laptop.cpus", "must be at least 1, not 0", ""),
    "size without unit": ("cpus: 2", "vram: 8", 3, "nodes.laptop.vram", "must be a text, not 8", "with its unit, for example 8Gi"),
    "size in another unit": ("cpus: 2", "vram: 8GB", 3, "nodes.laptop.vram", "must be a size such as 8Gi (Ki, Mi, Gi, Ti, or bytes), not '8GB'", ""),
    "task of another name": ("task: chat", "task: tts", 6, "models.demo.task", "task 'tts' is called speak", "write task: speak"),
    "task misspelt": ("task: chat", "task: chta", 6, "models.demo.task", "there is no task 'chta'", "did you mean 'chat'?"),
    "task unheard of": ("task: chat", "task: paint", 6, "models.demo.task", "there is no task 'paint'", "known: chat, embed, rerank, speak, transcribe"),
    "task is a list": ("task: chat", "task: [chat]", 6, "models.demo.task", "must be one of 'chat', 'transcribe', 'speak', 'embed' or 'rerank', not a list", ""),
    "key of a model": ("task: chat", "task: chat\n    alias: [a]", 7, "models.demo.alias", "unknown key 'alias'", "did you mean 'aliases'?"),
    "key of its variant": ("task: chat", "task: chat\n    optoins: {}", 7, "models.demo.optoins", "unknown key 'optoins'", "did you mean 'options'?"),
    "public name": ("  demo:", "  a//b:", 5, "models.a//b", "the name 'a//b' must be letters, digits and . _ - /, with a letter or digit first and after each slash", ""),
    "name that climbs": ("  demo:", "  a/../b:", 5, "models.a/../b", "the name 'a/../b' must be letters, digits and . _ - /, with a letter or digit first and after each slash", ""),
    "alias": ("task: chat", "task: chat\n    aliases: [ok, 'not ok']", 7, "models.demo.aliases[1]", "must be letters, digits and . _ - /, with a letter or digit first and after each slash, not 'not ok'", ""),
    "alias that is a number": ("task: chat", "task: chat\n    aliases: [7]", 7, "models.demo.aliases[0]", "must be a text, not 7", "put it in quotes"),
    "aliases is a text": ("task: chat", "task: chat\n    aliases: llm", 7, "models.demo.aliases", "must be a list, not 'llm'", ""),
    "timeout": ("task: chat", "task: chat\n    timeout_s: 0", 7, "models.demo.timeout_s", "must be more than 0, not 0", ""),
    "endless": ("task: chat", "task: chat\n    timeout_s: .inf", 7, "models.demo.timeout_s", "must be a finite number, not inf", ""),
    "negative traffic": ("task: chat", "task: chat\n    traffic: {main: -1}", 7, "models.demo.traffic.main", "must be at least 0, not -1", ""),
    "place is a text": ("place: {node: laptop}", "place: laptop", 9, "models.demo.place", "must be a mapping, not 'laptop'", ""),
    "no node": ("node: laptop", "node: []", 9, "models.demo.place.node", "needs at least 1 entry, has 0", ""),
    "name in a list of nodes": ("node: laptop", "node: [laptop, Box]", 9, "models.demo.place.node[1]", f"{NAME_RULE}, not 'Box'", "for example box"),
    "share": ("node: laptop", "node: laptop, share: half", 9, "models.demo.place.share", "must be a number, not 'half'", ""),
    "negative share": ("node: laptop", "node: laptop, share: -0.5", 9, "models.demo.place.share", "must be at least 0, not -0.5", ""),
    "no number": ("node: laptop", "node: laptop, share: .nan", 9, "models.demo.place.share", "must be a finite number, not nan", ""),
    "one and a half": ("node: laptop", "node: laptop, share: 1.5", 9, "models.demo.place", "share must be a fraction up to 1 or a whole number of GPUs", ""),
    "replicas": ("    place:", "    scale: {replicas: [2, 1]}\n    place:", 9, "models.demo.scale", "replicas is [at least, at most], with 0 ≤ least ≤ most and most ≥ 1", ""),
    "one number of replicas": ("    place:", "    scale: {replicas: [2]}\n    place:", 9, "models.demo.scale.replicas", "needs at least 2 entries", ""),
    "three of them": ("    place:", "    scale: {replicas: [1, 2, 3]}\n    place:", 9, "models.demo.scale.replicas", "takes at most 2 entries, has 3", ""),
    "a number for them": ("    place:", "    scale: {replicas: 2}\n    place:", 9, "models.demo.scale.replicas", "must be a list, not 2", ""),
    "no source": ("    source: builtin://fake\n", "", 5, "models.demo", "the key 'source' is missing", ""),
    "model of nothing": ("    engine: fake\n    source: builtin://fake\n    place: {node: laptop}\n", "", 5, "models.demo", "the keys 'engine', 'source' and 'place' are missing", ""),
    "model is a text": (GOOD.partition("  demo:")[2], " chat\n", 5, "models.demo", "must be a mapping, not 'chat'", ""),
    "date is a text": ("    place:", "    options: 2024-05-13\n    place:", 9, "models.demo.options", "must be a mapping, not '2024-05-13'", ""),
}  # fmt: skip


@pytest.mark.parametrize("case", SHAPE.values(), ids=SHAPE.keys())
def test_one_wrong_thing_is_one_problem(case: tuple[str, str, int, str, str, str], found: Found) -> None:
    old, new, line, place, message, hint = case
    text = GOOD.replace(old, new)
    assert text != GOOD
    assert found(text, load) == [Problem(line, place, message, hint)]


@pytest.mark.parametrize(("written", "task"), SYNONYMS.items())
def test_other_names_of_the_tasks(written: str, task: str, found: Found) -> None:
    [problem] = found(GOOD.replace("task: chat", f"task: {written.upper()}"), load)
    assert task in VERBS
    assert (problem.line, problem.hint) == (6, f"write task: {task}")


def test_everything_wrong_is_said_at_once_in_the_order_of_lines(found: Found) -> None:
    text = """\
    version: 3
    nodes:
      laptop: {cpus: 0}
    models:
      one:
        task: stt
        variants:
          a: {engine: fake, source: s, place: {nodes: laptop}}
        engine: fake
        scale: {}
      two:
        task: chat
        task: embed
        engin: fake
        place: {node: laptop}
    """
    assert [(one.line, one.place, one.message) for one in found(text, load)] == [
        (1, "version", "must be 1, not 3"),
        (3, "nodes.laptop.cpus", "must be at least 1, not 0"),
        (6, "models.one.task", "task 'stt' is called transcribe"),
        (8, "models.one.variants.a.place", "the key 'node' is missing"),
        (8, "models.one.variants.a.place.nodes", "unknown key 'nodes'"),
        (9, "models.one.engine", "'engine' beside 'variants'"),
        (10, "models.one.scale", "'scale' beside 'variants'"),
        (11, "models.two", "the key 'engine' is missing"),
        (11, "models.two", "the key 'source' is missing"),
        (13, "models.two.task", "'task' is written twice, first on line 12"),
        (14, "models.two.engin", "unknown key 'engin'"),
    ]


def test_names_that_yaml_takes_for_something_else(found: Found) -> None:
    for name in ("on", "7", "~"):
        assert found(GOOD.replace("  demo:", f"  {name}:"), load)[0] == Problem(
            5, f"models.{name}", f"the key {name} is not a text in YAML", "put it in quotes"
        )
        assert found(GOOD.replace("  demo:", f"  '{name}':"), load) == [] or name == "~"


def test_anchors_and_merges(write: Write) -> None:
    fleet = load(
        write(
            GOOD
            + """\
  first: &first
    task: embed
    engine: fake
    source: builtin://a
    place: &here {node: laptop, cpus: 1}
  second:
    <<: *first
    source: builtin://b
    place: {<<: *here, cpus: 2}
"""
        )
    )
    second = fleet.models["second"].variants["main"]
    assert (second.source, second.place.node, second.place.cpus) == ("builtin://b", "laptop", 2)
    assert fleet.models["second"].task == "embed"


def test_a_problem_in_a_merge_is_where_it_is_written(found: Found) -> None:
    text = GOOD.replace("place: {node: laptop}", "place: &p {node: laptop, shar: 1}")
    text += (
        "  other:\n    task: chat\n    engine: fake\n    source: s\n    place:\n      <<: *p\n      cpu: 1\n"
    )
    assert [(one.line, one.place) for one in found(text, load)] == [
        (9, "models.demo.place.shar"),
        (9, "models.other.place.shar"),
        (16, "models.other.place.cpu"),
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: &a [*a]", "nested too deeply, or an anchor that contains itself"),
        ("a: &a {<<: *a}", "nested too deeply, or an anchor that contains itself"),
        ("[" * 500, "nested too deeply, or an anchor that contains itself"),
        (
            "a0: &a0 [x]\n"
            + "".join(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 9)),
            "more values than a fleet can have",
        ),
        (
            "a0: &a0 {x: 1}\n"
            + "".join(f"a{n}: &a{n} {{<<: [{', '.join([f'*a{n - 1}'] * 9)}]}}\n" for n in range(1, 9)),
            "more values than a fleet can have",
        ),
    ],
    ids=["in itself", "merged into itself", "deep", "exponential", "exponential merges"],
)
def test_yaml_meant_to_hurt(text: str, message: str, found: Found) -> None:
    [problem] = found(text, load)
    assert problem.message == message


def test_files_that_cannot_be_read(tmp_path: Path, write: Write) -> None:
    path = write(GOOD)
    with pytest.raises(FleetError) as missing:
        load(path.with_name("fleat.yaml"))
    assert str(missing.value) == f"{tmp_path}/fleat.yaml: no such file (did you mean 'fleet.yaml'?)"
    with pytest.raises(FleetError) as folder:
        load(tmp_path)
    assert str(folder.value) == f"{tmp_path}: a directory, not a fleet file (it holds fleet.yaml)"
    path.write_bytes(b"version: 1\n# caf\xe9\n")
    with pytest.raises(FleetError) as latin:
        load(path)
    assert str(latin.value) == f"{path}:2: not UTF-8 (save the file as UTF-8)"


def test_a_byte_order_mark_is_no_problem(tmp_path: Path) -> None:
    path = tmp_path / "fleet.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD.encode())
    assert load(path).version == 1


def test_the_report_is_one_line_a_problem(write: Write) -> None:
    path = write(GOOD.replace("cpus: 2", "cpu: 2").replace("task: chat", "task: tts"))
    with pytest.raises(FleetError) as error:
        load(path)
    assert str(error.value).splitlines() == [
        f"{path}:3: nodes.laptop.cpu: unknown key 'cpu' (did you mean 'cpus'?)",
        f"{path}:6: models.demo.task: task 'tts' is called speak (write task: speak)",
    ]


def outcome(path: Path) -> FleetError | None:
    try:
        check(path)
    except FleetError as error:
        return error
    return None


def test_no_damage_to_a_fleet_shows_the_insides_of_the_program(write: Write) -> None:
    rough = random.Random(7)
    junk = [
        "",
        "x",
        "[]",
        "{}",
        "null",
        "yes",
        "1.5",
        "-3",
        "'",
        "*a",
        "a: b",
        "\t",
        "!!set",
        "<<",
        "~",
        "é",
        "2e9",
    ]
    tokens = re.split(r"([\s:{},\[\]]+)", SHAPES.read_text(encoding="utf-8"))
    refused = 0
    for _ in range(70):
        damaged = list(tokens)
        for _ in range(rough.randint(1, 3)):
            damaged[rough.randrange(len(damaged))] = rough.choice(junk)
        text = "".join(damaged)
        error = outcome(write(text))
        if error is None:
            continue
        refused += 1
        assert not re.search(
            r"pydantic|Traceback|<class|object at|Input should|value_error|\[type=", str(error)
        )
        assert error.problems
        assert all(1 <= (one.line or 0) <= text.count("\n") + 2 for one in error.problems), str(error)
    assert refused > 35
