# ruff: noqa: E501 - a case reads best on one line
from collections.abc import Callable

import pytest

from backends.fleet.agree import RESERVED
from backends.fleet.problems import Problem

Found = Callable[[str], list[Problem]]
Marked = Callable[[str], list[int]]


def fake(task: str = "chat", place: str = "{node: laptop}", more: str = "") -> str:
    """A model of one variant, on one line."""
    return f"{{task: {task}, engine: fake, source: 'builtin://x', place: {place}{more}}}"


# The models, and the (place, message, hint) of the problems on the lines that say `# here`.
CASES = {
    "alias of another model": (
        f"""\
        one: {fake(more=", aliases: [llm]")}
        two: {fake(more=", aliases: [x, llm]")} # here
        """,
        [("models.two.aliases[1]", "'llm' is an alias of the model 'one' already", "every name and alias belongs to one model: choose another")],
    ),
    "alias that is a model": (
        f"""\
        one: {fake(more=", aliases: [Two]")} # here
        two: {fake()}
        """,
        [("models.one.aliases[0]", "'Two' is the name of the model 'two' already", "every name and alias belongs to one model: choose another")],
    ),
    "alias twice": (
        f"one: {fake(more=', aliases: [a, one, a]')} # here # here",
        [
            ("models.one.aliases[1]", "'one' is a name of 'one' already", "remove it here"),
            ("models.one.aliases[2]", "'a' is a name of 'one' already", "remove it here"),
        ],
    ),
    "models that differ in case": (
        f"""\
        one: {fake()}
        ONE: {fake()} # here
        """,
        [("models.ONE", "'ONE' differs from the model 'one' only in case", "every name and alias belongs to one model: choose another")],
    ),
    "reserved name": (f"Docs: {fake()} # here", [("models.Docs", "'Docs' is a path of Motley's own", "choose another name")]),
    "reserved alias": (
        f"one: {fake(more=', aliases: [v1/x]')} # here",
        [("models.one.aliases[0]", "'v1' is a path of Motley's own", "choose another name")],
    ),
    "one address for two models": (
        f"""\
        a.b: {fake()}
        a-b: {fake()} # here
        """,
        [("models.a-b", "'a-b' and 'a.b' both become the application a-b--main", "rename one of the two models or the variant")],
    ),
    "node": (
        f"one: {fake(place='{node: [laptop, laptob]}')} # here",
        [("models.one.place.node[1]", "one, variant main: there is no node 'laptob'", "did you mean 'laptop'?")],
    ),
    "node unheard of": (
        f"one: {fake(place='{node: zzz}')} # here",
        [("models.one.place.node", "one, variant main: there is no node 'zzz'", "known: elminster, laptop, twin")],
    ),
    "node twice": (
        f"one: {fake(place='{node: [laptop, laptop]}')} # here",
        [("models.one.place.node[1]", "'laptop' is named twice", "remove it here")],
    ),
    "share without GPU": (
        f"one: {fake(place='{node: laptop, share: 0.5}')} # here",
        [("models.one.place.share", "one, variant main: share 0.5, but node 'laptop' has no GPU", "nodes that have: 'elminster', 'twin'")],
    ),
    "share of more than there is": (
        f"one: {fake(place='{node: [twin, elminster], share: 2}')} # here",
        [("models.one.place.share", "one, variant main: share 2 is more than the 1 GPU of node 'elminster'", "at most 1")],
    ),
    "cpus": (
        f"one: {fake(place='{node: laptop, cpus: 2.5}')} # here",
        [("models.one.place.cpus", "one, variant main: 2.5 cpus are more than the 2 of node 'laptop'", "at most 2")],
    ),
    "shares together": (
        f"""\
        one: {fake(place="{node: elminster, share: 0.5}")}
        two: {fake(place="{node: elminster, share: 0.2}")} # here
        three: {fake(place="{node: elminster, share: 0.4}")}
        """,
        [("models.two.place.share", "two, variant main: needs 0.2 of a GPU on elminster; one 0.5 and three 0.4 leave 0.1 of one", "lower a share to fit, add a node (count: 2), or start from 0 replicas")],
    ),
    "replicas together": (
        f"one: {fake(place='{node: elminster, share: 0.4}', more=', scale: {replicas: [3, 3]}')} # here",
        [("models.one.place.share", "one, variant main, replica 3: needs 0.4 of a GPU on elminster; 2 × one 0.4 leave 0.2 of one", "lower a share to fit, add a node (count: 2), or start from 0 replicas")],
    ),
    "a share cannot span two GPUs": (
        f"one: {fake(place='{node: twin, share: 0.6}', more=', scale: {replicas: [3, 3]}')} # here",
        [("models.one.place.share", "one, variant main, replica 3: needs 0.6 of a GPU on twin; 2 × one 0.6 leave 0.4 of one", "lower a share to fit, add a node (count: 2), or start from 0 replicas")],
    ),
    "whole GPUs are whole": (
        f"""\
        one: {fake(place="{node: twin, share: 2}")}
        two: {fake(place="{node: twin, share: 0.1}")} # here
        """,
        [("models.two.place.share", "two, variant main: needs 0.1 of a GPU on twin; one 2 fills it", "lower a share to fit, add a node (count: 2), or start from 0 replicas")],
    ),
    "cpus together": (
        f"""\
        one: {fake(place="{node: laptop, cpus: 1.5}")}
        two: {fake(place="{node: laptop, cpus: 1}")} # here
        """,
        [("models.two.place.cpus", "two, variant main: needs 1 cpus on laptop, which has 0.5 left", "reserve fewer cpus to fit, add a node (count: 2), or start from 0 replicas")],
    ),
    "variants without traffic": (
        """\
        one: # here
          task: chat
          variants:
            stable: &v {engine: fake, source: 'builtin://x', place: {node: laptop}}
            canary: *v
        """,
        [("models.one", "the variants 'stable', 'canary' need 'traffic'", "for example traffic: {stable: 100, canary: 0}")],
    ),
    "traffic": (
        """\
        one:
          task: chat
          variants:
            stable: &v {engine: fake, source: 'builtin://x', place: {node: laptop}}
            canary: *v
          traffic: # here
            stable: 90
            canray: 20 # here
        """,
        [
            ("models.one.traffic", "the traffic of 'one' sums to 110", "it is in per cent: make it 100"),
            ("models.one.traffic.canray", "'one' has no variant 'canray'", "did you mean 'canary'?"),
        ],
    ),
    "fallback to itself": (
        f"one: {fake(more=', aliases: [uno], fallback: [one]')} # here",
        [("models.one.fallback[0]", "'one' is its own fallback", "name another model")],
    ),
    "fallback unheard of": (
        f"""\
        one: {fake(more=", fallback: [three]")} # here
        thre: {fake()}
        embedder: {fake(task="embed")}
        """,
        [("models.one.fallback[0]", "there is no model 'three'", "did you mean 'thre'?")],
    ),
    "fallback by an alias": (
        f"""\
        one: {fake(more=", fallback: [dos]")} # here
        two: {fake(more=", aliases: [dos]")}
        """,
        [("models.one.fallback[0]", "'dos' is an alias", "write the model's own name, 'two'")],
    ),
    "fallback named twice": (
        f"""\
        one: {fake(more=", fallback: [two, two]")} # here
        two: {fake()}
        """,
        [("models.one.fallback[1]", "'two' is named twice", "remove it here")],
    ),
    "fallback of another task": (
        f"""\
        one: {fake(more=", fallback: [two]")} # here
        two: {fake(task="embed")}
        """,
        [("models.one.fallback[0]", "'two' does embed, and 'one' chat", "a fallback does the same task")],
    ),
    "fallbacks in a circle": (
        f"""\
        one: {fake(more=", fallback: [four, two]")} # here
        two: {fake(more=", fallback: [three]")} # here
        three: {fake(more=", fallback: [four, one]")} # here
        four: {fake()}
        """,
        [
            (f"models.{place}", f"the fallbacks go in a circle: {way}", "each model may stand in for another, but not in turn")
            for place, way in (
                ("one.fallback[1]", "one → two → three → one"),
                ("two.fallback[0]", "two → three → one → two"),
                ("three.fallback[1]", "three → one → two → three"),
            )
        ],
    ),
    "place of a variant in full": (
        """\
        one:
          task: chat
          variants:
            stable:
              engine: fake
              source: builtin://x
              place:
                node: elminster
                share: 2 # here
        """,
        [("models.one.variants.stable.place.share", "one, variant stable: share 2 is more than the 1 GPU of node 'elminster'", "at most 1")],
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
def test_what_does_not_agree(
    case: tuple[str, list[tuple[str, str, str]]], found_in_models: Found, marked: Marked
) -> None:
    text, expected = case
    lines = marked(text)
    if len(lines) < len(expected):
        lines *= len(expected)
    assert found_in_models(text) == [
        Problem(line, place, message, hint)
        for line, (place, message, hint) in zip(lines, expected, strict=True)
    ]


AGREES = {
    "names with the same beginning": f"a/b: {fake()}\na/c: {fake()}\n",
    "reserved words inside a name": f"my/v1: {fake(more=', aliases: [docs-bot, healthy]')}\n",
    "an alias in another case of its own model": f"one: {fake(more=', aliases: [ONE]')}\n",
    "one address less by the variant": (
        f"a.b: {fake()}\n"
        "a-b: {task: chat, variants: {x: {engine: fake, source: 'builtin://x', place: {node: laptop}}}}\n"
    ),
    "traffic to one of two": (
        "one: {task: chat, traffic: {a: 100}, variants: {a: &v {engine: fake, source: 'builtin://x', "
        "place: {node: laptop}}, b: *v}}\n"
    ),
    "fallbacks that share one": (
        f"one: {fake(more=', fallback: [two, org/three]')}\ntwo: {fake(more=', fallback: [org/three]')}\norg/three: {fake()}\n"
    ),
    "a GPU filled to the brim": "".join(
        f"m{n}: {fake(place='{node: elminster, share: 0.1}')}\n" for n in range(10)
    ),
    "four shares on two GPUs": "".join(
        f"m{n}: {fake(place=f'{{node: twin, share: {share}}}')}\n"
        for n, share in enumerate((0.3, 0.6, 0.4, 0.7))
    ),
    "any of two nodes, one of which is full": (
        f"a: {fake(place='{node: [elminster, twin], share: 1}')}\nb: {fake(place='{node: elminster, share: 1}')}\n"
    ),
    "more at most than fits": f"one: {fake(place='{node: elminster, share: 1}', more=', scale: {replicas: [1, 9]}')}\n",
    "what starts from zero": "".join(
        f"m{n}: {fake(place='{node: elminster, share: 1}', more=', scale: {replicas: [0, 1]}')}\n"
        for n in range(3)
    ),
}


@pytest.mark.parametrize("text", AGREES.values(), ids=AGREES.keys())
def test_what_agrees(text: str, found_in_models: Found) -> None:
    assert found_in_models(text) == []


def test_more_nodes_of_a_kind_hold_more(found: Callable[[str], list[Problem]]) -> None:
    text = """\
    version: 1
    nodes:
      card: {vendor: nvidia, gpus: 1, cpus: 4, count: COUNT}
    models:
      one: {task: chat, engine: fake, source: 'builtin://x', place: {node: card, share: 0.6, cpus: 3}, scale: {replicas: [3, 3]}}
    """
    assert found(text.replace("COUNT", "3")) == []
    [problem] = found(text.replace("COUNT", "2"))
    assert "replica 3" in problem.message


@pytest.mark.parametrize("word", sorted(RESERVED - {"-"}))
def test_every_reserved_word(word: str, found_in_models: Found) -> None:
    [problem] = found_in_models(f"one: {fake(more=f', aliases: [{word}]')}")
    assert problem.message == f"'{word}' is a path of Motley's own"


def test_sound_models_are_judged_beside_one_of_bad_shape(found_in_models: Found, marked: Marked) -> None:
    text = f"""\
    bad: {fake(task="tts")} # here
    one: {fake(place="{node: laptob}")} # here
    """
    problems = found_in_models(text)
    assert [problem.line for problem in problems] == marked(text)
    assert [problem.place for problem in problems] == ["models.bad.task", "models.one.place.node"]


def test_where_the_door_runs(found: Callable[[str], list[Problem]]) -> None:
    text = """\
    version: 1
    door: {replicas: 2, node: WHERE}
    nodes: {laptop: {cpus: 4}}
    models:
      one: {task: chat, engine: fake, source: 'builtin://x', place: {node: laptop}}
    """
    assert found(text.replace("WHERE", "laptop")) == []
    [problem] = found(text.replace("WHERE", "laptob"))
    assert (problem.place, problem.line) == ("door.node", 2)
    assert (problem.message, problem.hint) == ("there is no node 'laptob'", "did you mean 'laptop'?")
    [problem] = found(text.replace("WHERE", "[laptop, zzz]"))
    assert problem.place == "door.node[1]"
