"""A running cluster, spoken to through Serve's declarative REST API. Does not import Ray."""

import asyncio
import os
from dataclasses import dataclass
from typing import Any

import aiohttp

from backends.fleet.live import Node
from backends.serve.details import node


class DeployRefused(Exception):
    """Serve did not accept a config, or does not answer; the text says which."""


class Unreachable(Exception):
    """No dashboard of Ray answers there; the text says where."""


@dataclass(frozen=True, slots=True)
class Cluster:
    """`dashboard`: the base URL of Ray's dashboard, whose process answers that API."""

    dashboard: str

    async def deploy(self, config: dict[str, Any]) -> None:
        """Declare what should run; returns once Serve has accepted it, not once it is up."""
        async with _session() as http, http.put(self._url, json=config) as answer:
            if answer.status != 200:
                raise DeployRefused(await answer.text())

    async def details(self) -> dict[str, Any]:
        """`ServeInstanceDetails`, as `backends.serve.details` reads it."""
        async with _session() as http, http.get(self._url) as answer:
            details: dict[str, Any] = await answer.json()
            return details

    async def nodes(self) -> list[Node]:
        """The living ones. Raises Unreachable."""
        url = f"{self.dashboard}/api/v0/nodes?limit=10000"
        try:
            async with _session() as http, http.get(url, raise_for_status=True) as answer:
                told = (await answer.json())["data"]["result"]["result"]
        except (aiohttp.ClientError, KeyError, TypeError, ValueError):
            raise Unreachable(f"no dashboard of Ray answers at {self.dashboard}") from None
        return [
            node(one["node_id"], one["labels"], one["resources_total"])
            for one in told
            if one["state"] == "ALIVE"
        ]

    async def drain(self) -> None:
        """Stop every application; each first finishes what it runs, up to its time. Serve's own
        shutdown would end HAProxy, and with it the connections, at once."""
        await self.deploy({"applications": []})
        while (await self.details())["applications"]:  # noqa: ASYNC110 - another process's state
            await asyncio.sleep(0.1)

    @property
    def _url(self) -> str:
        return f"{self.dashboard}/api/serve/applications/"


def _session() -> aiohttp.ClientSession:
    """With Ray's token, where the environment has one as Ray's own commands want it."""
    token = os.environ.get("RAY_AUTH_TOKEN")
    return aiohttp.ClientSession(headers={"authorization": f"Bearer {token}"} if token else None)
