"""`motley status`: how every model is, where it runs, and what it takes there."""

import json
from typing import Any

from rich.table import Table

from app.cli.at import NO_KEY, URL, AsJson, Key, Url, told
from app.cli.stdout import stdout


def status(
    url: Url = URL,
    key: Key = NO_KEY,
    as_json: AsJson = False,
) -> None:
    """Show how every model is, and who is on each GPU.

    Its state, replicas, nodes, share, memory, traffic, and what runs and waits.
    """
    fleet = told(url, key, "/v1/fleet", 10)
    if as_json:
        print(json.dumps(fleet, indent=2))
        return
    console = stdout(highlight=False)
    console.print(_models(fleet))
    if fleet["gpus"]:
        console.print(_cards(fleet["gpus"]))
    for name, model in fleet["models"].items():
        if model["steps"]:
            steps = ", ".join(f"{label}: {of}" for label, of in model["steps"].items())
            said = f" - {model['message']}" if model["message"] else ""
            console.print(f"{name} is made of {steps}{said}", markup=False)
        for label, variant in model["variants"].items():
            if variant["message"]:
                console.print(f"{name}, variant {label}: {variant['message']}", markup=False)
        if (model["traffic"] or {}).get("why"):
            console.print(f"{name}: {model['traffic']['why']}", markup=False)


def _models(fleet: dict[str, Any]) -> Table:
    table = Table()
    for heading in ("model", "task", "variant", "engine", "state", "node"):
        table.add_column(heading)
    for heading in ("traffic", "share", "replicas", "memory", "running", "queued", "loaded in"):
        table.add_column(heading, justify="right")
    for name, model in fleet["models"].items():
        if model["steps"]:
            table.add_row(name, model["task"], "–", "chain", model["state"], *["–"] * 8)
        for label, variant in model["variants"].items():
            replicas = variant["replicas"]
            waiting = f" + {variant['pending']}" if variant["pending"] else ""
            table.add_row(
                name,
                model["task"],
                label,
                variant["engine"],
                _state(variant),
                ", ".join(sorted({replica["node"] for replica in replicas})) or "–",
                f"{variant['weight']} %",
                _share(variant),
                f"{len(replicas)}{waiting}",
                _size(_sum(replica["memory"]["ram"] for replica in replicas)),
                str(sum(replica["ongoing"] for replica in replicas)),
                str(sum(replica["queued"] for replica in replicas)),
                f"{variant['seconds']:.1f} s",
            )
    return table


def _cards(cards: list[dict[str, Any]]) -> Table:
    table = Table()
    for heading in ("node", "GPU", "who"):
        table.add_column(heading)
    for heading in ("share", "granted", "estimated", "used"):
        table.add_column(heading, justify="right")
    for card in cards:
        for entry in card["entries"]:
            table.add_row(
                card["node"],
                f"{card['machine'][:6]} {card['gpu']}",
                f"{entry['model']} ({entry['variant']}, {entry['pid']})",
                f"{entry['share']:g}",
                *(_size(entry[what]) for what in ("granted", "estimated", "used")),
            )
        sums = [_sum(entry[what] for entry in card["entries"]) for what in ("granted", "estimated", "used")]
        table.add_row("", "", "in all", f"{card['share']:g}", *map(_size, sums), end_section=True)
    return table


def _sum(sizes: Any) -> int | None:
    """None where one of them is not known."""
    known = list(sizes)
    return None if None in known or not known else sum(known)


def _size(count: int | None) -> str:
    """GiB, or MiB below one; – where it is not known."""
    if count is None:
        return "–"
    return f"{count / 2**30:.1f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _share(variant: dict[str, Any]) -> str:
    share = f"{variant['share']:g}" if variant["share"] else "–"
    return f"{share} in {variant['slot']}" if variant["slot"] else share


def _state(variant: dict[str, Any]) -> str:
    state, circuit = str(variant["state"]), variant["circuit"]
    if state == "loading" and variant["stage"]:
        done = variant["progress"]
        state = (
            f"loading ({variant['stage']})" if done is None else f"loading {done:.0%} ({variant['stage']})"
        )
    return state if circuit == "closed" else f"{state} (circuit {circuit})"
