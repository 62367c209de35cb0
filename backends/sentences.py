"""Long texts in pieces that a synthesiser can take."""

import re


def split(text: str, longest: int) -> list[str]:
    """Sentences, or parts of long ones, none longer than `longest` characters and none blank."""
    pieces = []
    for sentence in re.split(r"(?<=[.!?…;:])\s+|(?<=[。！？])|\n+", text.replace("\0", "")):
        rest = sentence.strip()
        while len(rest) > longest:
            cut = max(rest.rfind(mark, 0, longest) for mark in (", ", "，", "、", " "))
            cut = cut + 1 if cut > 0 else longest
            pieces.append(rest[:cut].strip())
            rest = rest[cut:].strip()
        if rest:
            pieces.append(rest)
    return pieces
