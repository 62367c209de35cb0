"""How people type: alternatives in templates, courtesy, casing, punctuation and slips of the keyboard."""

from __future__ import annotations

import random
import re
from collections.abc import Mapping
from functools import lru_cache


def words(text: str) -> list[str]:
    """Split a `|`-separated list."""
    return [part.strip() for part in text.split("|")]


def table(text: str) -> dict[str, str]:
    """Read `key=value|key=value` into a dictionary."""
    return dict(part.strip().split("=", 1) for part in text.split("|"))


OPENINGS = (
    "please ", "please ", "hi, ", "hello! ", "hey, ", "hey there, ", "hi! ", "ok, ", "okay, ", "so, ", "so ",
    "well, ", "now ", "quick question: ", "question: ", "one more thing: ", "excuse me, ", "sorry, ", "um, ",
    "just wondering, ", "I was wondering, ", "just curious: ", "tell me, ", "say, ", "and ", "but ", "then ",
    "next: ", "my question is: ", "help: ", "for my homework: ", "I have a question. ", "a friend asked me: ",
    "can you help me? ", "good morning, ", "alright, ", "also, ", "actually, ", "by the way, ", "listen, ",
)  # fmt: skip
CLOSINGS = (
    " please", ", please", " please", ", thanks", " thanks", " for me", ", thank you", ", can you tell me",
    ", do you know", " again", ", by the way", ", I wonder", ", if you can", " now", ", quickly", ", ok",
)  # fmt: skip
SHORT = {"you": "u", "are": "r", "please": "pls", "what is": "whats", "thanks": "thx", "your": "ur"}
NUMERALS = words(
    "zero|one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|thirteen|fourteen|fifteen|sixteen|"
    "seventeen|eighteen|nineteen|twenty"
)

ONSETS = words("b|bl|br|ch|d|dr|f|fl|g|gr|h|j|k|kl|l|m|n|p|pl|qu|r|s|sh|sk|st|t|tr|v|w|y|z|th|cl")
VOWELS = words("a|e|i|o|u|ai|ee|oo|ou|ia")
CODAS = words("|||n|r|l|m|s|t|x|nd|rk|st|ck|ng")


def made_up(rng: random.Random) -> str:
    """A pronounceable word of one to three syllables that most likely does not exist."""
    syllables = rng.randint(1, 3)
    return "".join(rng.choice(ONSETS) + rng.choice(VOWELS) + rng.choice(CODAS) for _ in range(syllables))


def sentence(text: str) -> str:
    """The text with its first letter in upper case."""
    return text[:1].upper() + text[1:]


@lru_cache(maxsize=4096)
def _parts(template: str) -> tuple[str, ...]:
    """A template cut at its outermost groups: every second part is the inside of a group."""
    parts, depth, begun = [], 0, 0
    for place, mark in enumerate(template):
        if mark == "(":
            depth += 1
            if depth == 1:
                parts.append(template[begun:place])
                begun = place + 1
        elif mark == ")":
            depth -= 1
            if depth == 0:
                parts.append(template[begun:place])
                begun = place + 1
    return (*parts, template[begun:])


@lru_cache(maxsize=4096)
def _alternatives(group: str) -> tuple[str, ...]:
    """The alternatives of a group, cut at the bars that are in no inner group."""
    found, depth, begun = [], 0, 0
    for place, mark in enumerate(group):
        depth += (mark == "(") - (mark == ")")
        if mark == "|" and depth == 0:
            found.append(group[begun:place])
            begun = place + 1
    return (*found, group[begun:])


def expand(rng: random.Random, template: str) -> str:
    """One text of a template in which `(a|b|)` stands for one of its alternatives; groups may nest."""
    parts = _parts(template)
    if len(parts) == 1:
        return template
    return "".join(
        expand(rng, rng.choice(_alternatives(part))) if place % 2 else part
        for place, part in enumerate(parts)
    )


def phrase(rng: random.Random, templates: list[str], slots: Mapping[str, str] | None = None) -> str:
    """One of the templates, expanded, then with `{slot}` filled in."""
    text = " ".join(expand(rng, rng.choice(templates)).split())
    for name, value in (slots or {}).items():
        text = text.replace("{" + name + "}", value)
    return text


def slip(rng: random.Random, text: str) -> str:
    """The text with one letter of a long word left out, doubled or swapped with the next."""
    long = list(re.finditer(r"[a-z]{5,}", text))
    if not long:
        return text
    found = rng.choice(long)
    place = rng.randrange(found.start() + 1, found.end() - 1)
    kind = rng.randrange(3)
    if kind == 0:
        return text[:place] + text[place + 1 :]
    if kind == 1:
        return text[:place] + text[place] + text[place:]
    return text[:place] + text[place + 1] + text[place] + text[place + 2 :]


def typed(rng: random.Random, text: str, *, exact: bool = False) -> str:
    """A question or order as a person might type it. `exact` keeps its letters: they will be copied."""
    order = text.endswith((".", "!", ":"))
    bare = text.rstrip(".!") if order else text
    if rng.random() < 0.16:
        bare = rng.choice(OPENINGS) + bare
    if rng.random() < 0.1 and not order:
        bare += rng.choice(CLOSINGS)
    ends = (".", ".", "!", "", "") if order else ("?", "?", "?", "?", "?", "", "", "", "??", ".", " ?")
    bare = bare if bare.endswith((":", "?")) else bare + rng.choice(ends)
    if rng.random() < 0.8:
        bare = sentence(bare)
    if exact:
        return bare
    if rng.random() < 0.1:
        bare = bare.lower()
    if rng.random() < 0.12:
        bare = bare.replace("'", "")
    if rng.random() < 0.04:
        short = rng.choice(list(SHORT))
        bare = bare.replace(short + " ", SHORT[short] + " ")
    return slip(rng, bare) if rng.random() < 0.05 else bare
