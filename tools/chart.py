"""Write what is generated in the Helm chart: the README's table, the copies of what Prometheus and Grafana
read (Helm reads files inside a chart only), and the fleets in example values.

python tools/chart.py            # write
python tools/chart.py --check    # exit 1 when something is stale
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[1]
CHART = ROOT / "deploy" / "helm" / "motley"
OBSERVED = ROOT / "deploy" / "observability"
FLEETS = {
    CHART / "values-reference.yaml": "reference.yaml",
    CHART / "values-cpu.yaml": "embedded.yaml",
    ROOT / "deploy" / "examples" / "flux" / "fleet-values.yaml": "reference.yaml",
}
# What is above it is written by hand.
MARK = "# Below: `motley render --helm {fleet}`. `make chart` writes it anew.\n"
sys.path.insert(0, str(ROOT))

from backends.fleet.engines import check  # noqa: E402
from backends.render.helm import as_yaml, helm_values  # noqa: E402


def generated() -> Iterator[tuple[Path, str]]:
    """Path and text of every file."""
    table = "\n".join(rows((CHART / "values.yaml").read_text(encoding="utf-8")))
    readme = (CHART / "README.md.in").read_text(encoding="utf-8")
    yield CHART / "README.md", readme.replace("{{ values }}", table)
    for name in ("alerts.yaml", "dashboard.json"):
        yield CHART / "files" / name, (OBSERVED / name).read_text(encoding="utf-8")
    for target, fleet in FLEETS.items():
        path = ROOT / "deploy" / "fleets" / fleet
        mark = MARK.format(fleet=path.relative_to(ROOT))
        by_hand = target.read_text(encoding="utf-8").split(mark)[0] if target.exists() else ""
        values = helm_values(check(path), path.read_text(encoding="utf-8"))
        yield target, by_hand + mark + as_yaml(values)


def rows(values: str) -> Iterator[str]:
    """The README's table: a row for each value that `# --` describes, and each that has no parts."""
    yield "| Value | Default | |\n|---|---|---|"
    above: list[str] = []  # the keys that the line is in
    said, described = "", 99  # the indent of a value whose parts are described with it
    for line in values.splitlines():
        if found := re.match(r" *# -- (.*)", line):
            said = found[1]
        elif found := re.match(r"( *)([A-Za-z0-9]+):(?: (.*))?$", line):
            depth, key, default = len(found[1]) // 2, found[2], found[3]
            above = [*above[:depth], key]
            if depth > described:
                continue
            described = depth if said and default is None else 99
            if said or default is not None:
                shown = f"`{default}`" if default else "see values.yaml"
                yield f"| `{'.'.join(above)}` | {_cell(shown)} | {_cell(said)} |"
            said = ""


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main(arguments: list[str]) -> int:
    stale = [
        (path, text)
        for path, text in generated()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    ]
    if "--check" not in arguments:
        for path, text in stale:
            path.write_text(text, encoding="utf-8")
        return 0
    for path, _ in stale:
        print(f"{path.relative_to(ROOT)} is stale: run python tools/chart.py", file=sys.stderr)
    return 1 if stale else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
