"""The doors that the API suite knocks at. One list of cases, `--door NAME` says where.

A door is served over a real socket with `SETTINGS` in force and the fleet `FLEET`. To add one,
write a class with `Door`'s shape and put it into `DOORS`.
"""

import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Protocol

import httpx2
import openai
import psutil
import uvicorn
import yaml

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.fleet.schema import Fleet, app_name
from tests.record import RECORD
from tests.running import Running

FLEET = Path(__file__).parents[1] / "data" / "fleets" / "suite.yaml"
KEY = "sk-suite"
# As `MOTLEY_…` in the environment of a door that runs in another process.
SETTINGS: dict[str, Any] = {"api_keys": f"sk-other, {KEY}", "keepalive_s": 0.4, "voices": "memory://suite"}


class Door(Protocol):
    """`base_url` without `/v1` and without a final slash; `key` is one it knows."""

    base_url: str
    key: str

    def busy(self, model: str) -> int:
        """How many tasks the engines of a model work on at this instant, by their own count."""
        ...

    def family(self) -> list[psutil.Process]:
        """Every process of it, engines included."""
        ...

    def close(self) -> None: ...


class Behind:
    """A door in this process with a fleet behind it, all of it ready. `stages`: what its models went
    through, as far as that was seen. Raises RuntimeError for one that does not come up."""

    key = "none"

    def __init__(self, fleet: Fleet, **settings: Any) -> None:
        self._fleet, self.upstream = fleet, LocalUpstream.from_fleet(fleet)
        self.served = Served(create_app(Settings(_env_file=None, **settings), fleet, self.upstream))
        self.base_url = self.served.base_url
        self.stages: list[str] = []
        try:
            self._wait()
        except BaseException:
            self.close()
            raise

    @property
    def engine(self) -> Any:
        """The only one."""
        (host,) = self.upstream.hosts.values()
        return host.engine

    def busy(self, model: str) -> int:
        hosts = (self.upstream.hosts[app_name(model, name)] for name in self._fleet.models[model].variants)
        return sum(host.engine.busy for host in hosts)

    def family(self) -> list[psutil.Process]:
        this = psutil.Process()
        return [this, *this.children(recursive=True)]

    def close(self) -> None:
        self.served.close()

    def _wait(self) -> None:
        while loading := [
            one for one in self.upstream.states().values() if one.readiness not in ("ready", "cold")
        ]:
            for state in loading:
                if state.readiness == "down":
                    raise RuntimeError(state.message)
                if state.stage not in ("", *self.stages):
                    self.stages.append(state.stage)
            time.sleep(0.02)


class LocalDoor(Behind):
    """Uvicorn in a thread of this process, the hosts behind it too."""

    key = KEY

    def __init__(self) -> None:
        super().__init__(Fleet.model_validate(yaml.safe_load(FLEET.read_text())), **SETTINGS)


def on_one_node(models: Mapping[str, Mapping[str, Any]]) -> Fleet:
    """Models as a fleet file has them, less their places: all on a node without a GPU."""
    placed = {name: {**model, "place": {"node": "here"}} for name, model in models.items()}
    return Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": placed})


class Served:
    """An ASGI app on a free loopback port, from construction until `close`."""

    def __init__(self, app: Any) -> None:
        config = uvicorn.Config(
            RECORD.watched(app), host="127.0.0.1", port=0, log_config=None, access_log=False, ws="none",
            # uvloop cannot be closed while the pipes of ended child processes are still closing.
            loop="asyncio", timeout_graceful_shutdown=5,
        )  # fmt: skip
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run)
        self._thread.start()
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the server did not start")
            time.sleep(0.01)
        port = self._server.servers[0].sockets[0].getsockname()[1]
        self.base_url = f"http://127.0.0.1:{port}"

    def close(self) -> None:
        self._server.should_exit = True
        self._thread.join()


class RayDoor:
    """`motley up` in a process of its own: the door and every host behind HAProxy, on Ray."""

    key = KEY

    def __init__(self) -> None:
        self._running = Running(FLEET, **SETTINGS)
        self.base_url = self._running.url

    def busy(self, model: str) -> int:
        variants = self._running.fleet()[model]["variants"].values()
        return sum(replica["busy"] for variant in variants for replica in variant["replicas"])

    def family(self) -> list[psutil.Process]:
        return self._running.family()

    def close(self) -> None:
        self._running.stop()


def by_http(door: Door) -> httpx2.Client:
    headers = {"authorization": f"Bearer {door.key}"}
    return httpx2.Client(base_url=door.base_url, headers=headers, timeout=60)


def by_sdk(door: Door) -> openai.OpenAI:
    return openai.OpenAI(base_url=f"{door.base_url}/v1", api_key=door.key, max_retries=0, timeout=60)


DOORS: dict[str, Callable[[], Door]] = {"local": LocalDoor, "ray": RayDoor}
