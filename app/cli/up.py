"""`motley up FLEET`: Ray, the fleet and the door on this machine, until Ctrl-C."""

import asyncio
import contextlib
import os
import signal
import socket
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import aiohttp
import typer
from dotenv import load_dotenv
from pydantic import ValidationError
from rich.console import Console, RenderableType
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from app.cli.apart import continue_apart
from app.cli.at import NO_KEY, wrong
from app.cli.watch import Stamp, stamp, watch
from app.guard import mint
from app.guard.counters import Counters, CountersError
from app.guard.keyfile import KeysError
from app.guard.keyring import Keyring
from app.guard.visitors import must_be_guarded
from app.settings import Settings
from app.usage.ledger import StoreFailed, kept
from backends.contract.state import VariantState
from backends.contract.tasks import Verb
from backends.fleet.engines import check as check_fleet
from backends.fleet.problems import FleetError
from backends.fleet.schema import Fleet, app_name
from backends.render.serve import serve_config
from backends.serve.details import inside, spread, variant_states
from backends.serve.rest import Cluster

# HAProxy looks for the door's own process on loopback, and Serve lets that listen where HAProxy does: so no
# other address will do.
LOOPBACK: Final = "127.0.0.1"
EMBEDDED = Path("deploy/fleets/embedded.yaml")
LOOK_S = 1.0
# The fleet file and how it looked when it was read; None where nobody watches it.
Watched = tuple[Path, Stamp] | None
# Ctrl-C, a supervisor, a terminal that is closed.
STOPPING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
SETTLED = frozenset({"ready", "cold", "down"})

_CURL: dict[Verb, str] = {
    "chat": "curl {url}/v1/chat/completions -H 'content-type: application/json' \\\n"
    '    -d \'{{"model": "{model}", "messages": [{{"role": "user", "content": "Hello!"}}]}}\'',
    "transcribe": "curl {url}/v1/audio/transcriptions -F model={model} -F file=@speech.wav",
    "speak": "curl {url}/v1/audio/speech -H 'content-type: application/json' -o speech.wav \\\n"
    '    -d \'{{"model": "{model}", "voice": "nova", "response_format": "wav", '
    '"input": "I would like to order a cup of coffee please."}}\'',
    "embed": "curl {url}/v1/embeddings -H 'content-type: application/json' \\\n"
    '    -d \'{{"model": "{model}", "input": "A motley fleet"}}\'',
    "rerank": "curl {url}/v1/rerank -H 'content-type: application/json' \\\n"
    '    -d \'{{"model": "{model}", "query": "who barks?", "documents": ["a cat", "a dog"]}}\'',
}


def up(
    fleet: Annotated[Path, typer.Argument(metavar="FLEET", help="The fleet file (YAML).")] = EMBEDDED,
    host: Annotated[
        Literal["127.0.0.1", "0.0.0.0"],  # noqa: S104 – guarded
        typer.Option(help="Where the door listens: on this machine, or everywhere, which takes keys."),
    ] = LOOPBACK,
    port: Annotated[int, typer.Option(help="Where the door listens.")] = 8000,
    watched: Annotated[
        bool, typer.Option("--watch", help="Deploy the fleet file whenever it changes.")
    ] = False,
) -> None:
    """Serve a fleet on this machine, until Ctrl-C.

    In a private Ray cluster, on loopback. `motley doctor FLEET` says beforehand what this machine lacks.
    """
    load_dotenv(".env")
    seen = stamp(fleet)
    try:
        checked = check_fleet(fleet)
        node = _only_node(checked)
        key = _guarded(host)
        _must_be_countable()
        _keep_usage()
        _must_be_free(port)
    except (FleetError, Impossible, KeysError, CountersError, StoreFailed) as error:
        print(error, file=sys.stderr)
        raise typer.Exit(1) from None
    except ValidationError as error:
        print(wrong(error), file=sys.stderr)
        raise typer.Exit(1) from None
    continue_apart(STOPPING)
    for number in STOPPING:
        signal.signal(number, signal.default_int_handler)
    console, clock = Console(highlight=False), Clock()
    try:
        _serve(checked, node, Place(host, port, key), console, clock, (fleet, seen) if watched else None)
    except KeyboardInterrupt:
        console.print("stopped")


class Impossible(Exception):
    """This machine cannot run the fleet; the text says why and what would help."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where the door listens; `key` opens it for this process."""

    host: str
    port: int
    key: str

    @property
    def url(self) -> str:
        """From this machine, which reaches it by loopback either way."""
        return f"http://{LOOPBACK}:{self.port}"


class Clock:
    """Where the seconds went."""

    def __init__(self) -> None:
        self.began = self._last = time.monotonic()
        self.laps: list[tuple[str, float]] = []

    def lap(self, name: str) -> float:
        now = time.monotonic()
        self.laps.append((name, now - self._last))
        self._last = now
        return self.laps[-1][1]

    def elapsed(self) -> float:
        return time.monotonic() - self.began


def _serve(fleet: Fleet, node: str, place: Place, console: Console, clock: Clock, file: Watched) -> None:
    with console.status("starting Ray …"):
        # Ray alone takes a second to import: only now, and where the wait is explained.
        from backends.serve.cluster import private_cluster

        kind = fleet.nodes[node]
        entered = private_cluster(node, cpus=kind.cpus, gpus=kind.gpus)
        cluster = entered.__enter__()
    try:
        clock.lap("Ray")
        asyncio.run(_until_stopped(cluster, fleet, place, console, clock, file))
    finally:
        entered.__exit__(None, None, None)


async def _until_stopped(
    cluster: Cluster, fleet: Fleet, place: Place, console: Console, clock: Clock, file: Watched
) -> None:
    stop = asyncio.Event()
    for number in STOPPING:
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    starting = asyncio.create_task(_start(cluster, fleet, place, console, clock))
    stopping = asyncio.create_task(stop.wait())
    await asyncio.wait({starting, stopping}, return_when=asyncio.FIRST_COMPLETED)
    if starting.done():
        starting.result()
        _greet(fleet, place.url, cluster.dashboard, console, clock)
        if place.key != NO_KEY:
            console.print("Each needs a key: -H 'authorization: Bearer KEY', or MOTLEY_API_KEY for `try`.")
        watching = None
        if file is not None:
            watching = asyncio.create_task(
                watch(*file, fleet, cluster, console, host=place.host, port=place.port)
            )
        await stopping
        if watching is not None:
            watching.cancel()
    starting.cancel()
    for number in STOPPING:
        # A second Ctrl-C does not wait for the requests in flight.
        asyncio.get_running_loop().remove_signal_handler(number)
    began = time.monotonic()
    console.print("\ndraining … (Ctrl-C again: at once)")
    await cluster.drain()
    console.print(f"drained in {time.monotonic() - began:.1f} s")


async def _start(cluster: Cluster, fleet: Fleet, place: Place, console: Console, clock: Clock) -> None:
    with console.status("starting Ray Serve …"):
        # Whoever presses Ctrl-C is waiting, unless the fleet says how long that may take.
        drain_s = None if "drain_s" in fleet.model_fields_set else 5
        await cluster.deploy(serve_config(fleet, host=place.host, port=place.port, drain_s=drain_s))
    clock.lap("Ray Serve")
    board = Board(fleet, console)
    with board:
        states: dict[str, VariantState] = {}
        while not board.settled:
            details = await cluster.details()
            states = variant_states(details, {}, states)
            board.show(spread(states, inside(details)))
            await asyncio.sleep(LOOK_S)
    clock.lap("models")
    with console.status("waiting for the door …"):
        await _answers(place, set(fleet.models))
    clock.lap("door")


class Board:
    """A line per variant: waiting → loading → ready (or cold), with seconds. On a terminal the lines
    stand still and change, with a bar of what is loaded; elsewhere each change is a line of its own."""

    def __init__(self, fleet: Fleet, console: Console) -> None:
        self._names = {
            app_name(model, variant): model if len(one.variants) == 1 else f"{model} ({variant})"
            for model, one in fleet.models.items()
            for variant in one.variants
        }
        self._console, self._began = console, time.monotonic()
        self._shown: dict[str, str] = dict.fromkeys(self._names, "")
        self._since = dict.fromkeys(self._names, self._began)
        self._took: dict[str, float] = {}
        self._states: Mapping[str, VariantState] = {}
        self._live = Live(console=console, auto_refresh=False) if console.is_terminal else None
        self.settled = False

    def __enter__(self) -> "Board":
        if self._live:
            self._live.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._live:
            self._live.stop()

    def show(self, states: Mapping[str, VariantState]) -> None:
        now, self._states = time.monotonic(), states
        for app, name in self._names.items():
            state = states.get(app, VariantState())
            if state.readiness != self._shown[app]:
                self._shown[app] = state.readiness
                self._took[app] = now - self._began
                if self._live is None:
                    self._console.print(f"{name:<28} {state.readiness:<8} {now - self._began:6.1f} s")
                if state.message:
                    self._console.print(f"{name}: {state.message}", style="red")
        self.settled = all(shown in SETTLED for shown in self._shown.values())
        if self._live:
            self._live.update(self._table(now), refresh=True)

    def _table(self, now: float) -> Table:
        colours = {"cold": "cyan", "waiting": "dim", "loading": "yellow", "ready": "green", "down": "red"}
        table = Table.grid(padding=(0, 2))
        for app, name in self._names.items():
            shown = self._shown[app]
            seconds = self._took[app] if shown in SETTLED else now - self._began
            table.add_row(name, f"[{colours[shown]}]{shown}[/]", f"{seconds:.1f} s", *self._loading(app))
        return table

    def _loading(self, app: str) -> tuple[RenderableType, RenderableType]:
        """How far it is, and at what."""
        state = self._states.get(app, VariantState())
        if state.readiness != "loading":
            return "", ""
        bar = "" if state.progress is None else ProgressBar(total=1, completed=state.progress, width=20)
        return bar, Text(state.stage, style="dim")


def _greet(fleet: Fleet, url: str, dashboard: str, console: Console, clock: Clock) -> None:
    spent = ", ".join(f"{name} {seconds:.1f} s" for name, seconds in clock.laps)
    console.print(f"\nup after {clock.elapsed():.1f} s: {spent}")
    console.print(f"\nbase URL  {url}/v1   (docs: {url}/docs)", style="bold")
    console.print(f"          {dashboard}   (Ray's dashboard; it takes `motley deploy --address`)\n")
    # In this order the curls work as they stand: speech.wav is spoken before it is transcribed.
    shown: dict[Verb, str] = {model.task: name for name, model in reversed(fleet.models.items())}
    for verb in ("chat", "speak", "transcribe", "embed", "rerank"):
        if verb in shown:
            console.print(_CURL[verb].format(url=url, model=shown[verb]), markup=False, soft_wrap=True)
    console.print("\n`motley try` in another terminal asks each verb once. Ctrl-C stops.")


async def _answers(place: Place, models: set[str], within: float = 60) -> None:
    """Wait until the door tells of these models: until it is registered, Serve's own proxy
    answers in its place."""
    headers = {"authorization": f"Bearer {place.key}"}
    async with asyncio.timeout(within), aiohttp.ClientSession(headers=headers) as http:
        while True:
            with contextlib.suppress(aiohttp.ClientError, ValueError, KeyError):
                async with http.get(f"{place.url}/ready") as answer:
                    told = await answer.json()
                    if set(told["models"]) == models and "waiting" not in _states(told):
                        return
            await asyncio.sleep(0.1)


def _states(told: dict[str, Any]) -> set[str]:
    return {model["state"] for model in told["models"].values()}


def _only_node(fleet: Fleet) -> str:
    if len(fleet.nodes) > 1:
        raise Impossible(
            f"this fleet spans several kinds of node ({', '.join(fleet.nodes)}); "
            "`motley up` serves one machine: give it a fleet with one"
        )
    return next(iter(fleet.nodes))


def _guarded(host: str) -> str:
    """A key for what this process asks the door, where that asks for one.

    Raises KeysError, ValidationError."""
    settings = Settings()
    must_be_guarded(host, settings)
    if not Keyring.of(settings).on:
        return NO_KEY
    # One more, for this run alone: of those in the file nobody here knows the text.
    mine = mint.made()
    os.environ["MOTLEY_API_KEYS"] = ",".join((*settings.keys, mine))
    return mine


def _keep_usage() -> None:
    """For all doors here in a file of this machine's, unless a setting says where. Raises ValidationError."""
    if not Settings().usage_url.get_secret_value():
        states = os.environ.get("XDG_STATE_HOME") or os.path.join(os.path.expanduser("~"), ".local/state")
        os.environ["MOTLEY_USAGE_URL"] = f"sqlite:///{states}/motley/usage.db"


def _must_be_countable() -> None:
    """What the doors need to count: else they would not come up. Raises CountersError, StoreFailed."""
    settings = Settings()
    Counters(settings.limits_url.get_secret_value())
    kept(settings.usage)


def _must_be_free(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            raise Impossible(f"port {port} is taken; choose another with --port") from None
