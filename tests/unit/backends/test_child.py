"""Children: they stream, refuse, crash, are stopped, and never outlive us."""

import asyncio
import logging
import os
import signal
import socket
import subprocess
import sys
import tempfile
import time
import tracemalloc
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from backends.child import Group, Pool
from backends.contract.audio import Spooled
from backends.contract.errors import InvalidRequest, ModelDown

TOY = """
import os, resource, sys, time
from backends.contract.audio import opened
from backends.contract.errors import InvalidRequest

class Toy:
    def __init__(self, options):
        self.options = options

    def count(self, fields, data):
        print("a library that prints to standard output")
        os.write(1, b"and one that writes to the descriptor")
        for number in range(fields["to"]):
            time.sleep(fields.get("pause", 0))
            yield {"number": number, "pid": os.getpid(), **self.options}, opened(data).read() * number

    def most(self, fields, data):
        yield {"bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024}, b""

    def refuse(self, fields, data):
        yield None
        raise InvalidRequest("not that one", param="file", code="odd")

    def bug(self, fields, data):
        yield {}, b""
        raise ZeroDivisionError("a toy's secret")

    def die(self, fields, data):
        yield {}, b""
        os._exit(3)

    def flood(self, fields, data):
        for number in range(64):
            yield {}, bytes(100_000)
        time.sleep(60)

    def deaf(self, fields, data):
        yield {}, b""
        time.sleep(60)
        yield {}, b""

def start(options):
    if "fail_while" in options and os.path.exists(options["fail_while"]):
        raise InvalidRequest("no such model", param="source")
    return Toy(options)
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    (tmp_path / "toy_child.py").write_text(TOY)
    monkeypatch.syspath_prepend(tmp_path)
    return "toy_child"


@pytest.fixture
async def pool(toy: str) -> AsyncGenerator[Pool, None]:
    pool = Pool(toy, {"colour": "red"}, grace=0.3)
    await pool.start()
    yield pool
    await pool.close()


async def gather(pool: Pool, method: str, **fields: float) -> list[tuple[dict[str, Any], bytes]]:
    return [item async for item in pool.stream(method, fields, b"ab")]


async def until(condition: Callable[[], bool], seconds: float = 5) -> None:
    async with asyncio.timeout(seconds):
        while not condition():
            await asyncio.sleep(0.01)


def stat(pid: int) -> list[str]:
    """The fields of the process after its name: state, parent …"""
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


def gone(pid: int) -> bool:
    """Not running: unknown to the kernel, or only waiting to be reaped."""
    try:
        return stat(pid)[0] == "Z"
    except FileNotFoundError:
        return True


async def test_streams_fields_and_bytes(pool: Pool) -> None:
    items = await gather(pool, "count", to=3)
    assert [fields["number"] for fields, _ in items] == [0, 1, 2]
    assert {fields["colour"] for fields, _ in items} == {"red"}
    assert [data for _, data in items] == [b"", b"ab", b"abab"]
    assert pool.busy == 0


async def test_items_arrive_one_by_one(pool: Pool) -> None:
    times = []
    async for _ in pool.stream("count", {"to": 4, "pause": 0.1}):
        times.append(time.monotonic())
        assert pool.busy == 1
    assert times[-1] - times[0] > 0.2


async def test_large_data_crosses_both_ways(pool: Pool) -> None:
    data = os.urandom(5_000_000)
    items = [item async for item in pool.stream("count", {"to": 3}, data)]
    assert items[2][1] == data * 2


async def test_data_in_a_file_crosses_like_other(pool: Pool) -> None:
    data = os.urandom(5_000_000)
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.flush()
        items = [item async for item in pool.stream("count", {"to": 2}, Spooled(file, len(data)))]
    assert items[1][1] == data


async def test_large_data_is_not_held_by_a_worker(pool: Pool) -> None:
    """Beyond what it holds of a small one. (Python alone grows by some MB now and then.)"""
    await gather(pool, "most")
    ((before, _),) = await gather(pool, "most")
    [(after, _)] = [item async for item in pool.stream("most", {}, os.urandom(40_000_000))]
    assert after["bytes"] - before["bytes"] < 20_000_000


async def test_large_data_is_not_held_again_to_be_sent(pool: Pool) -> None:
    data = os.urandom(20_000_000)
    tracemalloc.start()
    try:
        assert [item async for item in pool.stream("count", {"to": 1}, data)]
        assert tracemalloc.get_traced_memory()[1] < len(data) / 4
    finally:
        tracemalloc.stop()


async def test_who_leaves_while_data_is_sent_leaves_the_worker_whole(toy: str) -> None:
    pool = Pool(toy, {}, grace=20)
    await pool.start()
    try:
        before = pool.pids
        os.kill(before[0], signal.SIGSTOP)  # it does not read
        job = asyncio.ensure_future(anext(pool.stream("count", {"to": 1}, os.urandom(5_000_000))))
        await until(lambda: pool.busy == 1)
        await asyncio.sleep(0.05)
        job.cancel()
        await asyncio.sleep(0)
        os.kill(before[0], signal.SIGCONT)
        await asyncio.wait({job})
        assert await gather(pool, "count", to=2)
        assert pool.pids == before
    finally:
        await pool.close()


async def test_jobs_queue_for_the_one_worker(pool: Pool) -> None:
    answers = await asyncio.gather(*(gather(pool, "count", to=3, pause=0.01) for _ in range(4)))
    assert all([fields["number"] for fields, _ in items] == [0, 1, 2] for items in answers)
    assert len({fields["pid"] for items in answers for fields, _ in items}) == 1


async def test_two_workers_answer_two_jobs_at_once(toy: str) -> None:
    pool = Pool(toy, {}, size=2)
    await pool.start()
    try:
        answers = await asyncio.gather(*(gather(pool, "count", to=3, pause=0.05) for _ in range(2)))
        assert len({fields["pid"] for items in answers for fields, _ in items}) == 2
    finally:
        await pool.close()


async def test_a_refusal_crosses_whole(pool: Pool) -> None:
    with pytest.raises(InvalidRequest) as caught:
        await gather(pool, "refuse")
    assert (caught.value.message, caught.value.param, caught.value.code) == ("not that one", "file", "odd")
    assert await gather(pool, "count", to=1)


async def test_a_bug_is_logged_here_and_told_to_nobody(pool: Pool, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError) as caught:
        await gather(pool, "bug")
    assert "secret" not in str(caught.value)
    assert "a toy's secret" in caplog.text
    assert "toy_child.py" in caplog.text
    assert await gather(pool, "count", to=1)


async def test_a_crash_fails_its_job_and_the_next_is_answered(pool: Pool) -> None:
    before = pool.pids
    with pytest.raises(RuntimeError, match="ended"):
        await gather(pool, "die")
    assert await gather(pool, "count", to=2)
    assert pool.pids != before
    assert pool.healthy()
    assert pool.busy == 0


async def test_a_child_killed_while_idle_is_replaced(pool: Pool) -> None:
    before = pool.pids
    os.kill(before[0], signal.SIGKILL)
    await until(lambda: pool.pids != before)
    assert len(await gather(pool, "count", to=2)) == 2


async def test_a_killed_supervisor_leaves_no_orphan(pool: Pool) -> None:
    (pid,) = pool.pids
    supervisor = int(stat(pid)[1])
    stream = pool.stream("deaf", {})
    await anext(stream)
    os.kill(supervisor, signal.SIGKILL)
    with pytest.raises(RuntimeError):
        await anext(stream)
    await until(lambda: gone(pid))
    assert await gather(pool, "count", to=1)


async def test_closing_the_stream_ends_the_work_at_the_next_step(pool: Pool) -> None:
    before = pool.pids
    async with aclosing(pool.stream("count", {"to": 1000, "pause": 0.02})) as stream:
        await anext(stream)
    assert pool.busy == 0
    assert len(await gather(pool, "count", to=2)) == 2
    assert pool.pids == before


async def test_a_child_that_does_not_stop_is_replaced(pool: Pool) -> None:
    before = pool.pids
    started = time.monotonic()
    async with aclosing(pool.stream("deaf", {})) as stream:
        await anext(stream)
        await asyncio.sleep(0.1)  # now it is in its long step
    assert time.monotonic() - started < 5
    assert pool.busy == 0
    assert len(await gather(pool, "count", to=2)) == 2
    assert pool.pids != before
    assert gone(before[0])


async def test_a_child_stuck_behind_a_full_pipe_is_replaced_too(pool: Pool) -> None:
    async with aclosing(pool.stream("flood", {})) as stream:
        for _ in range(40):
            await anext(stream)
        await asyncio.sleep(0.1)  # everything between is full: nobody reads
    assert len(await gather(pool, "count", to=2)) == 2
    closing = Pool.close(pool)
    stream = pool.stream("flood", {})
    await anext(stream)
    await asyncio.sleep(0.1)
    await asyncio.wait_for(closing, 5)
    with pytest.raises(RuntimeError):
        async for _ in stream:
            pass


async def test_cancelling_the_waiting_task_ends_the_work(pool: Pool) -> None:
    task = asyncio.create_task(gather(pool, "count", to=1000, pause=0.02))
    await until(lambda: pool.busy == 1)
    queued = asyncio.create_task(gather(pool, "count", to=1000, pause=0.02))
    await asyncio.sleep(0.05)
    queued.cancel()  # one that had not begun
    task.cancel()
    await asyncio.wait({task, queued})
    assert task.cancelled()
    assert pool.busy == 0
    assert len(await gather(pool, "count", to=2)) == 2


async def test_a_crash_under_a_slow_reader_is_recovered(pool: Pool) -> None:
    stream = pool.stream("count", {"to": 1000})
    await anext(stream)
    os.kill(pool.pids[0], signal.SIGKILL)
    await asyncio.sleep(0.2)
    await stream.aclose()
    assert len(await gather(pool, "count", to=2)) == 2


async def test_a_start_that_is_refused_says_so(toy: str, tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="no such model"):
        await Pool(toy, {"fail_while": str(tmp_path)}).start()
    with pytest.raises(RuntimeError):
        await Pool("no_such_module_at_all", {}).start()


async def test_unhealthy_while_restarts_fail_and_healthy_again(toy: str, tmp_path: Path) -> None:
    obstacle = tmp_path / "obstacle"
    pool = Pool(toy, {"fail_while": str(obstacle)})
    await pool.start()
    try:
        obstacle.touch()
        os.kill(pool.pids[0], signal.SIGKILL)
        await until(lambda: not pool.healthy())
        with pytest.raises(ModelDown):
            await gather(pool, "count", to=1)
        obstacle.unlink()
        await until(pool.healthy)
        assert await gather(pool, "count", to=1)
    finally:
        await pool.close()


async def test_close_ends_jobs_and_children(toy: str) -> None:
    pool = Pool(toy, {})
    await pool.start()
    stream = pool.stream("deaf", {})
    await anext(stream)
    await pool.close()
    assert all(gone(pid) for pid in pool.pids)
    with pytest.raises(RuntimeError):
        await anext(stream)


async def test_a_group_ends_with_all_its_members() -> None:
    ours, theirs = socket.socketpair()
    group = await Group.start(["sh", "-c", "sleep 60 & echo $!; wait"], stdio=theirs)
    with ours, theirs:
        grandchild = int(ours.recv(32))
    await group.kill()
    await until(lambda: gone(grandchild) and gone(group.pid))


async def test_a_groups_status_is_passed_on() -> None:
    assert await (await Group.start(["sh", "-c", "exit 7"])).wait() == 7
    assert await (await Group.start(["sh", "-c", "kill -9 $$"])).wait() == 137
    assert await (await Group.start(["no-such-command-at-all"])).wait() == 127


ORPHAN_MAKER = """
import asyncio, socket
from backends.child import Group

async def main():
    ours, theirs = socket.socketpair()
    group = await Group.start(["sh", "-c", "sleep 60 & echo $!; wait"], stdio=theirs)
    grandchild = int(ours.recv(32))
    print(group.process.pid, group.pid, grandchild, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_nothing_outlives_a_killed_parent() -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))}
    command = [sys.executable, "-c", ORPHAN_MAKER]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(pid) for pid in parent.stdout.readline().split()]
        assert len(pids) == 3
        assert not any(gone(pid) for pid in pids)
        parent.kill()
    asyncio.run(until(lambda: all(gone(pid) for pid in pids), seconds=2))
