"""Write docs/cli.md from the commands, or check that it is fresh.

python tools/cli.py           write it
python tools/cli.py --check   exit with 1 if it is stale
"""

import inspect
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1]))

import typer

from app.cli import main as motley
from tools.generated import kept

TARGET = Path(__file__).parents[1] / "docs" / "cli.md"
HEAD = """# Commands

<!-- written by `make cli` -->

`motley --help` lists them, `motley COMMAND --help` says what each takes, as below. `motley --install-completion`
teaches the shell to complete commands and options, and names where they are cheap to come by: fleet files, models and
kinds of node of the fleet file that was named, models and variants of the cluster that answers. Where the output is no
terminal, there are no colours and no bars, but plain lines.

## Exit status
| | |
|---|---|
| 0 | done; for `check`, `doctor` and `try`: nothing is wrong |
| 1 | it could not be done, or something is wrong: stderr, or with `--json` the answer, says what |
| 2 | the command line itself is wrong: an option that is not there, or that does not go with another |
| 128 + N | the signal N ended it; after the first Ctrl-C `motley up` drains and exits with 0 |

## JSON
`--json` prints one JSON document on stdout. Of these keys none is taken away and none changes its meaning before the next
major version; others may come. What keeps a command from its work is said on stderr, in words, and by the exit status.

| command | `--json` prints |
|---|---|
| `doctor` | `{"ok", "findings": [{"about", "state", "message", "fix"}]}`; `state` is `ok`, `warning` or `wrong` |
| `check` | `{"ok", "file", "placement": […], "seats": […], "chains": […]}`, with `--cluster` also `"cluster": [sentence]`; of a fleet that is wrong `{"ok", "file", "problems": [{"line", "place", "message", "hint"}]}`; with `--parity` `{"ok", "tolerance", "model", "largest", "replicas": […]}` |
| `pull` | `[{"source", "allow_pickle", "models", "path", "revision", "seconds", "why", "message"}]`; `why` is null where all is well, else [a word](sources.md#what-one-sees) |
| `keys create`, `keys rotate` | the key's facts, and what it reads, once: `{"id", "owner", "scopes", "limits", "weight", "priority", "created", "expires", "revoked", "state", "texts", "key"}` |
| `keys list`, `keys revoke` | `[{"id", …}]` and `{"id", …}`, the same without `key` |
| `try` | `[{"verb", "model", "result", "seconds", "engine", "node", "error"}]`; `error` is null where it was answered |
| `status` | what `GET /v1/fleet` answers |
| `usage` | the rows of `GET /v1/usage`: `[{"key", "model", "verb", "variant", "requests", …}]` |
| `deploy` | `{"outcome", "steps": [{"app", "who", "fate", "why", "gap"}], "doors": [sentence]}`; `outcome` is `planned` (`--dry-run`), `accepted` (`--no-wait`), `deployed` or `failed` |
| `traffic`, `promote`, `rollback` | `{"model", "traffic": {variant: per cent}, "before": {…}, "changed"}` |

`up` serves and `render` prints YAML; they have no `--json`.
"""  # noqa: E501 – a row of a table is a line


def commands(group: Any, name: str) -> Iterator[tuple[str, Any]]:
    """Every command that does something, by the words that call it."""
    for word, one in group.commands.items():
        if hasattr(one, "commands"):
            yield from commands(one, f"{name} {word}")
        else:
            yield f"{name} {word}", one


def section(name: str, command: Any) -> str:
    context = typer.Context(command, info_name=name)
    usage = " ".join((name, *command.collect_usage_pieces(context)))
    rows = [record for one in command.params if (record := one.get_help_record(context))]
    table = [f"| `{_cell(what)}` | {_cell(said)} |" for what, said in rows]
    paragraphs = [" ".join(one.split()) for one in inspect.cleandoc(command.help).split("\n\n")]
    return "\n".join(
        (f"## `{name}`", "\n\n".join(paragraphs), "", f"`{usage}`", "", "| | |", "|---|---|", *table, "")
    )


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def document() -> str:
    found = commands(typer.main.get_command(motley), "motley")
    return "\n".join((HEAD, *(section(*one) for one in found)))


def main(arguments: list[str]) -> int:
    return kept(TARGET, document(), "`make cli`", arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
