"""The owning thread: whose step comes when, who leaves when, and what a failure costs."""

import threading

import pytest

from backends.chat.turns import Turns


class Counted:
    """Takes `steps` steps, writes each into the shared log; may wait or fail on the way."""

    def __init__(self, name, log, steps=3, then=None):
        self.name, self.log, self.left, self.then = name, log, steps, then
        self.failure, self.closed = None, threading.Event()

    def step(self):
        self.log.append(self.name)
        self.left -= 1
        if self.then:
            self.then(self)
        return self.left > 0

    def fail(self, error):
        self.failure = error

    def close(self):
        assert not self.closed.is_set()
        self.closed.set()


@pytest.fixture
def turns():
    turns = Turns("test")
    yield turns
    turns.close()


def test_all_are_stepped_in_turn(turns):
    log = []
    every = [Counted(name, log, steps) for name, steps in (("a", 3), ("b", 2), ("c", 4))]
    for turn in every:
        turns.add(turn)
    turns.start()
    for turn in every:
        assert turn.closed.wait(5)
    assert log == list("abcabcacc")
    assert turns.steps == len(log)
    assert turns.busy == 0


def test_who_joins_waits_for_one_step_of_each_other(turns):
    log = []
    late = Counted("late", log, 1)

    def join_at_ten(turn):
        if turn.left == 90:
            turns.add(late)

    early = [Counted("a", log, 100, join_at_ten), Counted("b", log, 100)]
    for turn in early:
        turns.add(turn)
    turns.start()
    assert early[1].closed.wait(5)
    assert log.index("late") <= 10 + 10 + len(early)
    assert len(log) == 201


def test_who_leaves_is_closed_before_the_next_step(turns):
    log = []
    victim = Counted("victim", log, 1000)
    waiting = Counted("waiting", log, 1000)

    def send_away(turn):
        if turn.left == 5:
            turns.drop(victim)
            turns.add(waiting)
            turns.drop(waiting)  # gone before it ever stood in line

    other = Counted("other", log, 10, send_away)
    turns.add(victim)
    turns.add(other)
    turns.start()
    assert other.closed.wait(5)
    assert victim.closed.wait(5)
    assert log.count("victim") == 5
    assert "waiting" not in log
    assert waiting.closed.is_set()
    assert victim.failure is None
    turns.drop(victim)  # harmless afterwards
    assert turns.busy == 0


def test_a_failure_is_one_turns_own(turns):
    def break_down(turn):
        raise ZeroDivisionError

    log = []
    broken, sound = Counted("broken", log, 3, break_down), Counted("sound", log, 5)
    turns.add(broken)
    turns.add(sound)
    turns.start()
    assert sound.closed.wait(5)
    assert isinstance(broken.failure, ZeroDivisionError)
    assert broken.closed.is_set()
    assert sound.failure is None
    assert log.count("sound") == 5
    assert turns.alive


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_the_end_of_the_thread_fails_all_and_is_seen(turns):
    def end_the_thread(turn):
        raise SystemExit

    log = []
    fatal, other = Counted("fatal", log, 3, end_the_thread), Counted("other", log, 10**9)
    turns.add(other)
    turns.add(fatal)
    turns.start()
    assert fatal.closed.wait(5)
    assert other.closed.wait(5)
    assert isinstance(fatal.failure, RuntimeError)
    assert isinstance(other.failure, RuntimeError)
    turns.close()
    assert not turns.alive
    assert turns.busy == 0
    with pytest.raises(RuntimeError, match="ended"):
        turns.add(Counted("late", log))


def test_closing_ends_what_runs(turns):
    endless = Counted("endless", [], 10**9)
    turns.add(endless)
    turns.start()
    turns.close()
    assert isinstance(endless.failure, RuntimeError)
    assert endless.closed.is_set()


def test_closing_before_the_start():
    Turns("never started").close()
