"""A changed fleet onto a cluster that runs: what becomes of each variant, and back again where one of
them cannot start."""

import asyncio
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from backends.fleet import DOOR
from backends.fleet.schema import Fleet
from backends.fleet.traffic import Public, carried
from backends.render.plan import Step, plan, told
from backends.render.serve import serve_config
from backends.serve.declared import Config, applications, config_of, public_of
from backends.serve.rest import Cluster

LOOK_S = 0.5
SEEN_S = 1.0  # until every door has seen what is up: each looks twice a second
HINT = "the log of its process says why"


class Broken(Exception):
    """The new fleet was taken back, or is not what runs; the text says why."""


@dataclass(frozen=True, slots=True)
class Rollout:
    """`before` and `after`: bodies of Serve's `PUT`."""

    before: Config
    after: Config
    steps: list[Step]
    told: list[str]

    @property
    def changed(self) -> list[Step]:
        return [step for step in self.steps if step.fate != "unchanged"]

    def lines(self) -> list[str]:
        """For people: what changes, and how many variants do not."""
        same = len(self.steps) - len(self.changed)
        lines = [*map(str, self.changed), *(f"{'in place':<10} {line}" for line in self.told)]
        if same:
            lines.append(f"{'unchanged':<10} {same} {'variant' if same == 1 else 'variants'}")
        return lines


async def drafted(cluster: Cluster, fleet: Fleet, **serving: Any) -> Rollout:
    """What deploying a fleet would do. `serving`: as `serve_config` takes it; how long what runs drains
    stands, where the fleet does not say."""
    before = config_of(await cluster.details())
    running, public = applications(before), public_of(before)
    carrying = carried(public, fleet, time.time()) if public else Public(fleet=fleet)
    after = serve_config(fleet, public=carrying, **{**serving, **_standing(fleet, running)})
    return Rollout(before, after, plan(running, applications(after)), told(public, carrying))


async def rolled_out(cluster: Cluster, rollout: Rollout, say: Callable[[str], None] = lambda _: None) -> None:
    """Declare it, and wait until what changed is up. Where a variant cannot start, what was before is
    declared again: a variant that could not be replaced goes on, or comes back.

    Raises DeployRefused, where nothing changed, and Broken.
    """
    await _declared(cluster, rollout)
    waiting = {step.app: step for step in rollout.changed}
    while waiting:
        await asyncio.sleep(LOOK_S)
        found = (await cluster.details())["applications"]
        for app, step in list(waiting.items()):
            status = found.get(app, {}).get("status", "NOT_STARTED")
            if status == "DEPLOY_FAILED" and step.fate != "removed":
                await _take_back(cluster, rollout, found, step)
            if status == "RUNNING" if step.fate != "removed" else app not in found:
                say(f"{'done':<10} {step.who}")
                del waiting[app]
    await asyncio.sleep(SEEN_S)
    declared = applications(config_of(await cluster.details()))
    if declared.keys() != applications(rollout.after).keys():
        raise Broken("another deploy came between: what runs is its fleet")


async def _declared(cluster: Cluster, rollout: Rollout) -> None:
    """In two steps where something goes: the doors send nothing there any more before it does."""
    going = {step.app for step in rollout.steps if step.fate == "removed"}
    if going:
        kept = [one for app, one in applications(rollout.before).items() if app in going]
        await cluster.deploy({**rollout.after, "applications": [*rollout.after["applications"], *kept]})
        told = "DEPLOYING"
        while told == "DEPLOYING":
            await asyncio.sleep(LOOK_S / 5)
            told = (await cluster.details())["applications"].get(DOOR, {}).get("status")
    await cluster.deploy(rollout.after)


async def _take_back(
    cluster: Cluster, rollout: Rollout, found: Mapping[str, Mapping[str, Any]], failed: Step
) -> None:
    meant = applications(rollout.after)[failed.app]["args"]
    # Unless another deploy came between: that one is not ours to take back.
    if rollout.before["applications"] and found[failed.app]["deployed_app_config"].get("args") == meant:
        await cluster.deploy(rollout.before)
        raise Broken(f"{failed.who} could not start; the fleet of before is declared again ({HINT})")
    raise Broken(f"{failed.who} could not start ({HINT})")


def _standing(fleet: Fleet, running: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    if DOOR not in running or "drain_s" in fleet.model_fields_set:
        return {}
    (door,) = running[DOOR]["deployments"]
    name = "graceful_shutdown_timeout_s"
    return {"drain_s": door[name]} if name in door else {}
