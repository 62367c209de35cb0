"""Prints dialogues: `PYTHONPATH=tools python -m demo_corpus 20`."""

import json
import sys

from . import dialogues

for example in dialogues(int(sys.argv[1]) if len(sys.argv) > 1 else 10):
    offered = [tool["function"]["name"] for tool in example.tools]
    print(json.dumps({"messages": example.messages, "tools": offered}, ensure_ascii=False))
