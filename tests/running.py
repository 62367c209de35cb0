"""A real `motley up` in a process of its own, from start to Ctrl-C."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx2
import psutil

from backends.serve.cluster import free_ports

ROOT = Path(__file__).parents[1]
MOTLEY = Path(sys.executable).with_name("motley")


class Running:
    """Up once constructed. `options` are those of `motley up`, `settings` go into its environment as
    `MOTLEY_…`.

    Raises RuntimeError, with what it printed, when it does not come up within `within` seconds.
    """

    def __init__(self, fleet: Path, *options: str, within: float = 240, **settings: Any) -> None:
        self.port = free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.key = str(settings.get("api_keys", "none")).split(",")[0]
        self.log = Path(tempfile.mkstemp(suffix=".log")[1])
        # Nothing of a test belongs into the home of whoever runs it.
        settings = {"usage_url": "none", **settings}
        environment = {f"MOTLEY_{name.upper()}": str(value) for name, value in settings.items()}
        with self.log.open("w") as out:
            self.process = subprocess.Popen(
                [MOTLEY, "up", fleet, "--port", str(self.port), *options],
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=ROOT,
                env={**os.environ, **environment},
                start_new_session=True,
            )
        try:
            self._until("Ctrl-C stops", within)
        except BaseException:
            self.stop()
            raise

    def _until(self, said: str, within: float) -> None:
        deadline = time.monotonic() + within
        while said not in self.printed():
            if self.process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"`motley up` did not come up:\n{self.printed()}")
            time.sleep(0.1)

    def printed(self) -> str:
        return self.log.read_text()

    def fleet(self) -> dict[str, Any]:
        """What `GET /v1/fleet` tells: models by name."""
        answer = httpx2.get(
            f"{self.url}/v1/fleet", headers={"authorization": f"Bearer {self.key}"}, timeout=30
        )
        models: dict[str, Any] = answer.raise_for_status().json()["models"]
        return models

    def replica(self, model: str) -> dict[str, Any]:
        """The one replica of a model of one variant; {} while there is none."""
        (variant,) = self.fleet()[model]["variants"].values()
        return next(iter(variant["replicas"]), {})

    @property
    def address(self) -> str:
        """Of Ray's dashboard, which takes commands."""
        told = re.search(r"http://\S+(?=\s+\(Ray's dashboard)", self.printed())
        assert told is not None
        return told.group()

    def command(self, *arguments: str, within: float = 240) -> subprocess.CompletedProcess[str]:
        """`motley` with its address."""
        return subprocess.run(
            [MOTLEY, *arguments, "--address", self.address],
            cwd=ROOT, capture_output=True, text=True, timeout=within, check=False,
        )  # fmt: skip

    def status(self) -> str:
        """What `motley status` prints."""
        command = [MOTLEY, "status", "--url", self.url, "--key", self.key]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout

    def deploy(self, fleet: Path) -> None:
        """Declare another fleet to it; returns once that is up."""
        done = self.command("deploy", str(fleet), "--port", str(self.port))
        assert done.returncode == 0, done.stderr

    def family(self) -> list[psutil.Process]:
        """Every process of it."""
        top = psutil.Process(self.process.pid)
        return [top, *top.children(recursive=True)]

    def listening(self) -> dict[tuple[str, int], str]:
        """Where a process of it listens for TCP: what that process is called, by address and port."""
        found = {}
        for one in self.family():
            with contextlib.suppress(psutil.NoSuchProcess):
                name = " ".join(one.cmdline())
                for found_one in one.net_connections("tcp"):
                    if found_one.status == psutil.CONN_LISTEN:
                        # Sockets of both protocols have IPv4's addresses in IPv6's.
                        address = found_one.laddr.ip.removeprefix("::ffff:")
                        found[address, found_one.laddr.port] = name
        return found

    def stop(self, number: int = signal.SIGINT, within: float = 60) -> int:
        """As Ctrl-C does: a terminal signals the whole process group. Returns the exit status."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, number)
        return self.process.wait(within)


def free_port() -> int:
    (port,) = free_ports(1)
    return port
