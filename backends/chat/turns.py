"""One thread owns every generation of a model and steps them in turn.

A generation is stepped only here, so it needs no lock, and whoever joins has its first step
after at most one step of each of the others. When there is nothing to do the thread sleeps.
"""

import threading
import time
from collections import deque
from typing import Protocol


class Turn(Protocol):
    """One generation. All three are called by the owning thread alone."""

    def step(self) -> bool:
        """One bounded piece of work. False: it was the last."""
        ...

    def fail(self, error: Exception) -> None:
        """This turn, and no other, cannot go on; tell whoever waits for it."""
        ...

    def close(self) -> None:
        """Free everything held. Called once, last, for every turn that was added."""
        ...


class Turns:
    """Any thread may call `add` and `drop`; `busy` and `steps` are plain readings."""

    def __init__(self, name: str) -> None:
        self._live: deque[Turn] = deque()  # the owning thread's alone
        self._joining: list[Turn] = []
        self._leaving: set[Turn] = set()
        self._wake = threading.Condition()
        self._ended = False
        self.steps = 0
        self._thread = threading.Thread(target=self._run, name=name, daemon=True)

    def start(self) -> None:
        self._thread.start()

    @property
    def alive(self) -> bool:
        return self._thread.is_alive()

    @property
    def busy(self) -> int:
        """How many turns the thread holds now."""
        return len(self._live)

    def add(self, turn: Turn) -> None:
        """Raises RuntimeError where the thread has ended: nobody would ever step the turn."""
        with self._wake:
            if self._ended:
                raise RuntimeError("the decoding thread has ended")
            self._joining.append(turn)
            self._wake.notify()

    def drop(self, turn: Turn) -> None:
        """Give up a turn before the thread's next step. Harmless after its end."""
        with self._wake:
            if not self._ended:
                self._leaving.add(turn)
                self._wake.notify()

    def close(self) -> None:
        """End the thread after the step it is in; the turns it holds fail. Blocks until then."""
        with self._wake:
            self._ended = True
            self._wake.notify()
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            while self._settle():
                self._step(self._live[0])
                # The libraries that compute hold the interpreter's lock for a whole step. Without
                # this, whoever waits for it gets it only every 5 ms (the switch interval).
                time.sleep(0)
        finally:
            with self._wake:
                self._ended = True
                left = [*self._live, *self._joining]
                self._live.clear()
                self._joining.clear()
            for turn in left:
                turn.fail(RuntimeError("the decoding thread has ended"))
                turn.close()

    def _settle(self) -> bool:
        """Take in who joined, let go who left, wait while nobody is there. False at the end."""
        with self._wake:
            while not self._ended:
                self._live.extend(self._joining)
                self._joining.clear()
                if self._leaving:
                    self._let_go()
                if self._live:
                    return True
                self._wake.wait()
            return False

    def _let_go(self) -> None:
        gone = [turn for turn in self._live if turn in self._leaving]
        self._leaving.clear()
        for turn in gone:
            self._live.remove(turn)
            turn.close()

    def _step(self, turn: Turn) -> None:
        self.steps += 1
        try:
            more = turn.step()
        except Exception as error:
            turn.fail(error)
            more = False
        self._live.popleft()
        if more:
            self._live.append(turn)
        else:
            turn.close()
