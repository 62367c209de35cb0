"""A fleet → the values of the chart in `deploy/helm/motley`. All that depends on the models is decided
here; the chart puts it in its places (decision 0032). Pure."""

import re
from bisect import bisect_left
from collections.abc import Iterator
from importlib.metadata import version
from math import ceil
from typing import Any, TypedDict

import yaml

from backends.fleet import NODE_LABEL
from backends.fleet.placement import asks, machines, solve
from backends.fleet.schema import Fleet, Node, Variant
from backends.render.environment import KUBERNETES
from backends.render.serve import serve_config
from backends.sizes import size_in_bytes
from backends.sources.address import parse

# The kind of node that the doors have for themselves, where the fleet does not say where they run.
DOORS = "doors"
_IMAGES = {"cpu": "cpu", "nvidia": "cuda", "amd": "rocm", "intel": "xpu"}
# Of a node's cores and memory the kubelet keeps a part: so much of the whole is asked for.
_ASKED = 0.75
_SERVICE = re.compile("[a-z]([a-z0-9-]{0,50}[a-z0-9])?")


class Group(TypedDict):
    """One worker group: all pods of one kind of node. KubeRay changes no pods of a living cluster, so of
    the models nothing is in here that shapes pods, but for volumes that they name."""

    name: str
    vendor: str
    image: str  # a key of the chart's `images`
    least: int
    most: int
    gpus: int
    labels: dict[str, str]  # Ray's, of its nodes
    resources: dict[str, str]  # Ray's: stated, since it counts only some vendors' cards by itself
    requests: dict[str, str]
    limits: dict[str, str]
    doors: bool  # doors may run here
    stores: bool  # models may lie here, if not today
    claims: list[str]  # volumes that sources name
    models: list[str]  # for people


def helm_values(fleet: Fleet, text: str) -> dict[str, Any]:
    """`fleet` of the chart's values. `text`: the file as it is written, which `motley pull` reads."""
    housed = with_doors(fleet)
    config = serve_config(housed, host="0.0.0.0", port=8000, proxies="EveryNode")  # noqa: S104 - a pod's own
    return {
        "fleet": {
            "rayVersion": version("ray"),
            "predictors": dict(_predictors(fleet)),
            "groups": list(_groups(housed, own=housed is not fleet and DOORS not in fleet.nodes)),
            "drainSeconds": ceil(fleet.drain_s),
            "environment": dict(KUBERNETES),
            "file": text,
            "serveConfigV2": yaml.safe_dump(config, sort_keys=False, allow_unicode=True, width=110),
        }
    }


def as_yaml(values: dict[str, Any]) -> str:
    """Texts of several lines as people write them."""
    return yaml.dump(values, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


def with_doors(fleet: Fleet) -> Fleet:
    """The same fleet, with nodes for its doors, where it says of none that they are: under Kubernetes Ray's
    head has no cores to give, and a pod with a GPU goes when its model does. A kind of that name is taken for
    them."""
    if fleet.door.node is not None:
        return fleet
    doors = Node(cpus=2, memory="4Gi", image="door", count=fleet.door.replicas)
    return fleet.model_copy(
        update={
            "nodes": {DOORS: doors, **fleet.nodes},
            "door": fleet.door.model_copy(update={"node": DOORS}),
        }
    )


def _groups(fleet: Fleet, own: bool) -> Iterator[Group]:
    """In the order of the fleet's nodes: KubeRay adds what comes at the end to a living cluster. `own`: the
    doors have nodes for themselves."""
    least = _least(fleet)
    for kind, node in fleet.nodes.items():
        here = list(_placed(fleet, kind))
        doors = kind in fleet.door.nodes
        if not here and not doors:  # a pod that would have nothing to do
            continue
        sources = [parse(one.source) for _, _, one in here]
        yield {
            "name": kind,
            "vendor": node.vendor,
            "image": node.image or _IMAGES[node.vendor],
            "least": node.count if doors else least[kind],
            "most": node.count,
            "gpus": node.gpus,
            "labels": {NODE_LABEL: kind},
            "resources": {"CPU": str(node.cpus), **({"GPU": str(node.gpus)} if node.gpus else {})},
            "requests": _requests(node),
            "limits": {"memory": node.memory} if node.memory else {},
            "doors": doors,
            "stores": not (own and kind == DOORS),
            "claims": sorted({source.place for source in sources if source.scheme == "pvc"}),
            "models": [_said(fleet, *each) for each in here],
        }


def _placed(fleet: Fleet, kind: str) -> Iterator[tuple[str, str, Variant]]:
    """(model, name of the variant, variant) of all that may run on a kind of node; those in a slot have its
    place."""
    for name, model in fleet.models.items():
        for variant, one in model.variants.items():
            if kind in one.place.nodes:
                yield name, variant, one


def _said(fleet: Fleet, model: str, variant: str, one: Variant) -> str:
    who = model if len(fleet.models[model].variants) == 1 else f"{model} ({variant})"
    share = f"{one.place.share:g} of a GPU" if one.place.share else "no GPU"
    return f"{who}: {fleet.models[model].task} by {one.engine}, {share}"


def _least(fleet: Fleet) -> dict[str, int]:
    """How few nodes of each kind hold the least replicas: what an autoscaler may go down to."""
    counts = {kind: node.count for kind, node in fleet.nodes.items()}
    wanted, all_of_them = asks(fleet), machines(fleet)

    def enough(kind: str, count: int) -> bool:
        fewer = counts | {kind: count}
        return not solve(wanted, [one for one in all_of_them if one.number <= fewer[one.kind]]).left

    for kind, node in fleet.nodes.items():
        counts[kind] = bisect_left(range(node.count), True, key=lambda count: enough(kind, count))
    return counts


def _requests(node: Node) -> dict[str, str]:
    asked = {"cpu": f"{round(node.cpus * _ASKED * 1000)}m"}
    if node.memory:
        asked["memory"] = f"{round(size_in_bytes(node.memory) * _ASKED / 2**20)}Mi"
    return asked


def _predictors(fleet: Fleet) -> Iterator[tuple[str, str]]:
    """KServe's name of each model, its first alias, where that is a name that Services may have."""
    for name, model in fleet.models.items():
        if model.aliases and _SERVICE.fullmatch(model.aliases[0]):
            yield model.aliases[0], name


class _Dumper(yaml.SafeDumper):
    """Values as people read them."""


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.ScalarNode:
    style = "|" if "\n" in text else None
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style=style)


_Dumper.add_representer(str, _text)
