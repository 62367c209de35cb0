"""A text that is still being written → what of it can be spoken already."""

import re

from backends.sentences import split

# After these a sentence is over: those of languages without spaces, and those that need one to follow, so
# that `3.14` and `example.com` stay whole.
_ENDS = re.compile(r"[。！？]|[.!?…]+[\"'”’)\]]*\s|\n")
LEAST = 12  # characters: an initial, or the number of a list's item, is spoken with what follows it
LONGEST = 400  # characters that are waited for until a text is cut at its commas


class Sentences:
    """Texts in the order they came, nothing lost but what has no letter or digit in it."""

    def __init__(self) -> None:
        self._rest = ""

    def push(self, text: str) -> list[str]:
        """What is complete now."""
        self._rest += text
        cut = 0
        for end in _ENDS.finditer(self._rest):
            if end.end() - cut >= LEAST or end[0] in "。！？":
                cut = end.end()
        if not cut and len(self._rest) > LONGEST:
            *_, last = split(self._rest, LONGEST) or [""]
            cut = len(self._rest.rstrip()) - len(last)
        done, self._rest = self._rest[:cut], self._rest[cut:]
        return spoken(done)

    def end(self) -> list[str]:
        """What is left."""
        done, self._rest = self._rest, ""
        return spoken(done)


def spoken(text: str) -> list[str]:
    return [piece for piece in split(text, LONGEST) if any(map(str.isalnum, piece))]
