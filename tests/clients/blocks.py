"""Runs programs of the documentation: `{page: [program, …]}` as JSON on stdin, `{page: [what failed, …]}` on
stdout, "" for what did not. Those of a page share their names, as for a reader who types one after the other.
"""

import contextlib
import io
import json
import os
import sys
import traceback
from importlib.util import find_spec
from pathlib import Path
from typing import Any


def ran(programs: list[str]) -> list[str]:
    names: dict[str, Any] = {"__name__": "__main__"}
    return [failure(program, names) for program in programs]


def failure(program: str, names: dict[str, Any]) -> str:
    printed = io.StringIO()
    try:
        with contextlib.redirect_stdout(printed):
            exec(compile(program, "<the page>", "exec"), names)
    except BaseException:
        return f"{printed.getvalue()}\n{traceback.format_exc()}"
    return ""


if __name__ == "__main__":
    # The table of the tokenizer that LangChain fetches from a network comes with LlamaIndex, too.
    if core := find_spec("llama_index"):
        (folder,) = core.submodule_search_locations or ()
        os.environ["TIKTOKEN_CACHE_DIR"] = str(Path(folder) / "core" / "_static" / "tiktoken_cache")
    print(json.dumps({page: ran(programs) for page, programs in json.load(sys.stdin).items()}))
