"""Stands in for XTTS's interpreter in tests: `stand_in.py -I abroad.py backends.engines.xtts_child`.

It speaks as the child does: for each word a tone of a tenth of a second, whose pitch says whose voice
it is. A word in the text makes it misbehave: `!die` (as for a poisoned GPU), `!slow` (0.2 s a word),
`!bug`. STAND_IN_NOTES names a file that it writes every job to; with STAND_IN_GPU it stands for a torch
that sees a GPU.
"""

import hashlib
import json
import math
import os
import sys
import time
from array import array
from collections.abc import Generator, Mapping
from pathlib import Path
from typing import Any

RATE = 24_000
SPEAKERS = ["Ana Florence", "Craig Gutsy"]


def start(options: Mapping[str, Any]) -> "Speaker":
    granted = os.environ.get("CUDA_VISIBLE_DEVICES")
    note("start", {**options, "path_of_ours": os.environ.get("PYTHONPATH"), "gpus": granted})
    if options["device"] != "cpu" and "STAND_IN_GPU" not in os.environ:
        from backends.contract.errors import EngineFailed

        raise EngineFailed("the torch of its environment sees no GPU of this kind")
    return Speaker()


class Speaker:
    def describe(self, _fields: Any, _data: bytes) -> Generator[Any, None, None]:
        limits = {"en": 250, "de": 253, "ja": 71}
        yield (
            {"speakers": SPEAKERS, "languages": ["en", "de", "zh-cn", "ja"], "limits": limits, "rate": RATE},
            b"",
        )

    def learn(self, _fields: Any, recording: bytes) -> Generator[Any, None, None]:
        note("learn", {"bytes": len(recording)})
        yield {}, hashlib.sha256(recording).digest()

    def speak(self, fields: Any, latents: bytes) -> Generator[Any, None, None]:
        note("speak", {**fields, "latents": latents.hex()[:8]})
        who = fields["speaker"] or latents.hex()
        step = (2 + int(hashlib.sha256(who.encode()).hexdigest(), 16) % 100) / 500
        for word in fields["text"].split():
            if word.startswith("!die"):
                sys.exit(70)
            if word.startswith("!bug"):
                raise ZeroDivisionError
            if "!slow" in fields["text"]:
                time.sleep(0.2)
            else:
                time.sleep(0.005)
            yield {}, array("h", [int(9000 * math.sin(at * step)) for at in range(RATE // 10)]).tobytes()


def note(what: str, about: Mapping[str, Any]) -> None:
    if notes := os.environ.get("STAND_IN_NOTES"):
        with Path(notes).open("a") as file:
            file.write(json.dumps({"what": what, **about}) + "\n")


if __name__ == "__main__":
    # The launcher itself, with this module in the place of the one that needs torch.
    flag, launcher, module = sys.argv[1:]
    assert (flag, module) == ("-I", "backends.engines.xtts_child")
    sys.modules["backends.engines.xtts_child"] = sys.modules["__main__"]
    sys.argv = [launcher, module]
    exec(
        compile(Path(launcher).read_text(), launcher, "exec"), {"__name__": "__main__", "__file__": launcher}
    )
