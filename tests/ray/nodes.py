"""Several Ray nodes on this machine, as in a house with several: one `ray start` for each node of a fleet.

What a node has (its label, its cores, its GPUs) is declared, as the fleet says. Each has a loopback address
of its own: 127.0.0.1 Ray would replace by one of the network's.
"""

import asyncio
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx2
import psutil
import yaml

from backends.fleet import NODE_LABEL
from backends.fleet.load import load
from backends.fleet.schema import Fleet, Node
from backends.render.serve import serve_config
from backends.serve.cluster import environment, free_ports
from backends.serve.rest import Cluster, Unreachable
from tests.running import MOTLEY, ROOT

RAY = Path(sys.executable).with_name("ray")
HEAD = "head"
STORE = 80_000_000  # bytes: about the least that Ray takes
SETTINGS = {
    "PYTHONPATH": str(ROOT),
    "RAY_gcs_rpc_server_connect_timeout_s": "60",  # a machine of two cores starts five nodes
}


class Nodes:
    """The nodes of a fleet, one process of `ray start` each, from construction until `close`.

    `names`: of the nodes; one of a kind that there are several of ends in its number (`twin-2`). The
    kind `head` is the head and has no number. Raises RuntimeError, with what Ray printed, when they do
    not come up within `within` seconds.
    """

    def __init__(self, fleet: Path, *, within: float = 180, settings: dict[str, Any] | None = None) -> None:
        self._fleet = load(fleet)
        self.home = Path(tempfile.mkdtemp(prefix="motley-", dir="/tmp"))
        (self.home / "h").mkdir()
        given = {f"MOTLEY_{name.upper()}": str(value) for name, value in (settings or {}).items()}
        self._environment = {**os.environ, **environment(self.home), **SETTINGS, **given}
        self._environment.pop("RAY_ADDRESS", None)
        self._janitor = subprocess.Popen(
            [sys.executable, "-m", "backends.serve.janitor", self.home],
            stdin=subprocess.PIPE, cwd=ROOT, start_new_session=True,
        )  # fmt: skip
        self._gcs, dashboard, self.port = free_ports(3)
        self.dashboard = f"http://127.0.0.1:{dashboard}"
        self.url = f"http://127.0.0.1:{self.port}"
        self.names = _named(self._fleet)
        self._starts: dict[str, subprocess.Popen[bytes]] = {}
        try:
            self._start_head(dashboard)
            self._until(lambda: self._living() == 1, within)
            # One after the other: Ray gives a node thirty seconds, whatever else starts beside it.
            for number, name in enumerate(self.names):
                if name != HEAD:
                    self.start(name)
                    self._until(lambda many=number + 1: self._living() == many, within)
        except BaseException:
            self.close()
            raise

    def kind(self, name: str) -> str:
        """A key of the fleet's `nodes`."""
        return self.names[name]

    def start(self, name: str) -> None:
        """For one that was killed, too: it comes back as another node of its kind."""
        if before := self._starts.get(name):
            before.wait(60)
        self._ray(name, self._fleet.nodes[self.kind(name)], "--address", f"{self._address}:{self._gcs}")

    def kill(self, name: str) -> float:
        """SIGKILL to the node's raylet, as a machine that loses its power. The moment, as `time.monotonic`
        gives it. `ray start` then ends what is left of the node by itself."""
        (raylet,) = (
            one
            for one in psutil.Process(self._starts[name].pid).children(recursive=True)
            if one.name() == "raylet"
        )
        raylet.kill()
        return time.monotonic()

    def deploy(self, fleet: Path) -> None:
        """`motley deploy`; returns once Serve has accepted it."""
        done = subprocess.run(
            [MOTLEY, "deploy", fleet, "--address", self.dashboard, "--port", str(self.port)],
            cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=120, check=False,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr

    def put(self, fleet: Path) -> None:
        """As KubeRay does: what `motley render` prints, as it is, to Serve's REST API."""
        done = subprocess.run(
            [MOTLEY, "render", fleet, "--port", str(self.port)],
            cwd=ROOT, env=self._environment, capture_output=True, text=True, timeout=120, check=True,
        )  # fmt: skip
        url = f"{self.dashboard}/api/serve/applications/"
        answer = httpx2.put(url, json=yaml.safe_load(done.stdout), timeout=60)
        assert answer.status_code == 200, answer.text

    def force(self, fleet: Path) -> None:
        """As `deploy`, past `motley check`: what is not well formed is refused, and nothing else."""
        asyncio.run(Cluster(self.dashboard).deploy(serve_config(load(fleet), port=self.port)))

    def models(self) -> dict[str, Any]:
        """What `GET /v1/fleet` tells: models by name; {} while no door answers."""
        with contextlib.suppress(httpx2.HTTPError, ValueError, KeyError):
            models: dict[str, Any] = httpx2.get(f"{self.url}/v1/fleet", timeout=10).json()["models"]
            return models
        return {}

    def until_ready(self, fleet: Path, within: float = 240) -> None:
        """Until the door serves every model of a fleet. Raises RuntimeError, with what it tells."""
        wanted = set(load(fleet).models)

        def ready() -> bool:
            with contextlib.suppress(httpx2.HTTPError, ValueError, KeyError):
                told = httpx2.get(f"{self.url}/ready", timeout=10).json()
                return set(told["models"]) == wanted and told["status"] == "ready"
            return False

        self._until(ready, within)

    def close(self) -> None:
        for one in reversed(self._starts.values()):
            if one.poll() is None:
                one.send_signal(signal.SIGTERM)
        for one in self._starts.values():
            with contextlib.suppress(subprocess.TimeoutExpired):
                one.wait(10)
        # Whatever is left of the cluster carries its mark, and ends by its pid.
        self._janitor.communicate()
        for one in self._starts.values():
            one.wait(10)

    @property
    def _address(self) -> str:
        return "127.0.0.10"

    def _start_head(self, dashboard: int) -> None:
        (client,) = free_ports(1)
        self._ray(
            HEAD, self._fleet.nodes[HEAD], "--head", f"--port={self._gcs}", f"--temp-dir={self.home}",
            "--include-dashboard=true", "--dashboard-host=127.0.0.1", f"--dashboard-port={dashboard}",
            f"--ray-client-server-port={client}",
        )  # fmt: skip

    def _ray(self, name: str, node: Node, *more: str) -> None:
        address = f"127.0.0.{10 + [*self.names].index(name)}"
        with (self.home / f"{name}.out").open("ab") as out:
            self._starts[name] = subprocess.Popen(
                [
                    RAY, "start", "--block", "--disable-usage-stats", f"--node-ip-address={address}",
                    f"--num-cpus={node.cpus}", f"--num-gpus={node.gpus}", f"--object-store-memory={STORE}",
                    f"--labels={NODE_LABEL}={self.kind(name)}",
                    # Ray's own choices are fixed, or ranges that the nodes of one machine share.
                    "--min-worker-port=0", "--max-worker-port=0", "--dashboard-agent-listen-port=0", *more,
                ],
                stdout=out, stderr=subprocess.STDOUT, env=self._environment, cwd=ROOT, start_new_session=True,
            )  # fmt: skip

    def _living(self) -> int:
        with contextlib.suppress(Unreachable):
            return len(asyncio.run(Cluster(self.dashboard).nodes()))
        return 0

    def _until(self, true: Callable[[], bool], within: float) -> None:
        deadline = time.monotonic() + within
        while not true():
            ended = [name for name, one in self._starts.items() if one.poll() is not None]
            if ended or time.monotonic() > deadline:
                files = [*self.home.glob("*.out"), *self.home.glob("session_latest/logs/raylet*")]
                said = "\n".join(f"{file.name}:\n{file.read_text()[-2000:]}" for file in files)
                raise RuntimeError(f"the nodes did not come up (ended: {ended}):\n{self.models()}\n{said}")
            time.sleep(0.2)


def _named(fleet: Fleet) -> dict[str, str]:
    """Name → kind, the head first."""
    names = {HEAD: HEAD}
    for kind, node in fleet.nodes.items():
        for number in range(node.count):
            if kind != HEAD:
                names[f"{kind}-{number + 1}" if node.count > 1 else kind] = kind
    return names


@contextlib.contextmanager
def serving(fleet: Path, declare: Callable[[Nodes, Path], None] = Nodes.deploy) -> Iterator[Nodes]:
    """The nodes of a fleet, and all of it ready on them."""
    nodes = Nodes(fleet)
    try:
        declare(nodes, fleet)
        nodes.until_ready(fleet)
        yield nodes
    finally:
        nodes.close()
