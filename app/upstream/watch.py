"""What a door knows of the variants: Serve's word, the replicas' own, and whether they can be felt."""

import asyncio
import logging
from collections import defaultdict
from collections.abc import Awaitable, Callable, Collection, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Any, TypeVar

from backends.contract.errors import ModelDown, NotReady
from backends.contract.state import ReplicaState, VariantState
from backends.fleet.live import Node
from backends.serve.details import inside, lost, replica_ids, settled, spread, variant_states
from backends.serve.pulse import Pulses

R = TypeVar("R")

POLL_S = 0.5
REPORT_S = 2.0

log = logging.getLogger(__name__)


class Watch:
    """The last known state of every variant: what Serve's controller says, what a replica reports of
    itself when it comes up, and from then on whether it can be felt (`Pulses`): Serve's own word of a
    death comes seconds later, and that of a node's longer still.

    When the controller does not answer, the last word stands and requests go on.

    `processes` are the applications that Serve knows; `states` those of variants, of which several may be in
    one process, their slot (`process`).
    """

    def __init__(
        self,
        report: Callable[[str], Awaitable[list[VariantState]]],
        details: Callable[[], Awaitable[dict[str, Any]]],
        nodes: Callable[[], Awaitable[tuple[dict[str, str], tuple[Node, ...]]]],
    ) -> None:
        """`nodes`: (Ray's node id → the kind of node, those that live)."""
        self.states: dict[str, VariantState] = {}
        self.processes: dict[str, VariantState] = {}
        self._slots: dict[str, dict[str, bool]] = {}
        self.nodes: tuple[Node, ...] = ()
        self._report, self._details, self._count_nodes = report, details, nodes
        self._told: dict[str, Any] = {"applications": {}}
        self._kinds: dict[str, str] = {}  # by Ray's node id, of dead ones too
        self._known: dict[str, ReplicaState] = {}
        self._settled: dict[str, float] = {}
        self._pulses = Pulses(self._settle)
        self._down: defaultdict[str, asyncio.Event] = defaultdict(asyncio.Event)
        self._drops: defaultdict[str, set[Callable[[], None]]] = defaultdict(set)
        self._asking: dict[str, asyncio.Task[None]] = {}
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run())

    async def close(self) -> None:
        if self._task is not None:
            ended = [self._task, *self._asking.values()]
            for one in ended:
                one.cancel()
            await asyncio.wait(ended)
        await self._pulses.close()

    def process(self, app: str) -> str:
        """The application that hosts a variant: its own, or its slot's."""
        return next((slot for slot, apps in self._slots.items() if app in apps), app)

    async def while_up(self, app: str, answer: Awaitable[R]) -> R:
        """Await an answer, but not past the death of the variant's last replica: Serve's router
        would hold the request until another comes up, however long that takes.

        Raises NotReady or ModelDown."""
        work = asyncio.ensure_future(answer)
        down = asyncio.ensure_future(self._down[app].wait())
        try:
            await asyncio.wait({work, down}, return_when=asyncio.FIRST_COMPLETED)
            if work.done():
                return work.result()
            if app in self.processes and self.processes[app].readiness != "down":
                raise NotReady("the model is loading")
            raise ModelDown("the model is down; it is being restarted")
        finally:
            down.cancel()
            work.cancel()

    @contextmanager
    def when_down(self, app: str, drop: Callable[[], None]) -> Iterator[None]:
        """`drop` is called when the variant's last replica is gone, as long as this is entered."""
        drops = self._drops[app]
        drops.add(drop)
        if self._down[app].is_set():
            drop()
        try:
            yield
        finally:
            drops.discard(drop)

    def hatch(self, app: str) -> str | None:
        """Where the only replica of a variant can be asked, if it is on this machine."""
        replicas = self.processes[app].replicas if app in self.processes else ()
        known = self._known.get(replicas[0].id) if len(replicas) == 1 else None
        return known.hatch if known else None

    async def ask(self, apps: Collection[str]) -> None:
        """Take in what the replicas of some variants report. Silence changes nothing."""
        told = await asyncio.gather(*(self._asked(app) for app in apps))
        # All at once: the next look would take the first one's figures away again.
        for app, reports in zip(apps, told, strict=True):
            self._note(app, reports)

    async def _asked(self, app: str) -> list[VariantState]:
        try:
            return await asyncio.wait_for(self._report(app), REPORT_S)
        except Exception:
            log.warning("the replicas did not report", extra={"app": app})
            return []

    async def take(self, app: str, report: VariantState) -> None:
        """A replica that has come up says so itself, before the next look."""
        with suppress(Exception):  # the controller is silent: the next look will tell
            await asyncio.wait_for(self._look(), REPORT_S)
        self._note(app, [report])

    def must_be_coming(self, app: str) -> None:
        """Raises ModelDown for a variant that will not come up, NotReady for one that there is no more."""
        if app not in self.processes and self.processes:
            raise NotReady("the model is not placed yet")
        if app in self.processes and self.processes[app].readiness == "down":
            raise ModelDown("the model is down; the operator's log says why")

    def _note(self, app: str, reports: Sequence[VariantState]) -> None:
        if app not in self.processes or not reports:
            return
        state, last = self.processes[app], reports[-1]
        told = {replica.id: replica for report in reports for replica in report.replicas}
        self._known |= told
        self.processes[app] = replace(
            state,
            replicas=tuple(told.get(replica.id, replica) for replica in state.replicas),
            facts=last.facts,
            seconds=last.seconds,
            members=last.members,
        )
        self.states = spread(self.processes, self._slots)
        self._feel()

    async def _run(self) -> None:
        while True:
            try:
                await self._look()
            except Exception:
                log.exception("the Serve controller does not answer; its last word stands")
            await asyncio.sleep(POLL_S)

    async def _look(self) -> None:
        self._told = await self._details()
        self._settle()
        machines = {replica.machine for state in self.processes.values() for replica in state.replicas}
        # Why a replica waits depends on which nodes there are at this moment.
        if machines - self._kinds.keys() or any(state.pending for state in self.processes.values()):
            kinds, self.nodes = await self._count_nodes()
            self._kinds |= kinds
            self._settle()
        self._feel()
        # Other processes may know other facts, and so may those that took other options: an update brings
        # them while the variant stays ready, once it is settled.
        then, self._settled = self._settled, settled(self._told)
        for app, state in self.processes.items():
            deployed = self._settled.setdefault(app, then.get(app, 0))
            unknown = any(replica.id not in self._known for replica in state.replicas)
            unknown |= app in self._slots  # who is in it changes by itself
            if state.ready and (unknown or deployed > then.get(app, 0)) and app not in self._asking:
                self._asking[app] = asyncio.create_task(self._learn(app))

    async def _learn(self, app: str) -> None:
        try:
            await self.ask([app])
        finally:
            del self._asking[app]

    def _settle(self) -> None:
        """The states, by Serve's last word and the pulses of now."""
        fallen = self._pulses.fallen()
        self.processes = variant_states(self._told, self._kinds, self.processes, fallen)
        self._slots = inside(self._told)
        self.states = spread(self.processes, self._slots)
        gone = lost(self._told, fallen)
        for app in self.processes:
            down = self._down[app]
            if app not in gone:
                down.clear()
            elif not down.is_set():
                down.set()
                for drop in tuple(self._drops[app]):
                    drop()

    def _feel(self) -> None:
        """Every replica that Serve still names, those too that are known to have fallen."""
        self._known = {one: self._known[one] for one in replica_ids(self._told) if one in self._known}
        self._pulses.feel({one: known.pulse for one, known in self._known.items()})
