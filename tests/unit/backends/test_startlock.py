"""One start at a time on one device, across processes."""

import asyncio
import subprocess
import sys
from pathlib import Path

import pytest

from backends import startlock


def test_devices_are_what_the_runtime_sees() -> None:
    seen = {"CUDA_VISIBLE_DEVICES": "1, 0", "HIP_VISIBLE_DEVICES": "2"}
    assert startlock.devices("nvidia", seen) == ("0", "1")
    assert startlock.devices("amd", seen) == ("2",)
    assert startlock.devices("intel", seen) == ("all",)
    assert startlock.devices("cpu", seen) == ()


async def test_the_second_waits_and_another_card_does_not(tmp_path: Path) -> None:
    async def held(*names: str) -> None:
        async with startlock.held("nvidia", names, folder=tmp_path, every=0.005):
            entered.append(names)
            await asyncio.sleep(0.05)
            entered.append(())

    entered: list[tuple[str, ...]] = []
    await asyncio.gather(held("0"), held("0", "1"))
    assert entered in ([("0",), (), ("0", "1"), ()], [("0", "1"), (), ("0",), ()])
    entered.clear()
    await asyncio.gather(held("0"), held("1"))
    assert entered == [("0",), ("1",), (), ()]


async def test_one_who_gives_up_waiting_holds_nothing(tmp_path: Path) -> None:
    async with startlock.held("nvidia", ("0",), folder=tmp_path, every=0.005):
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(0.05),
                startlock.held("nvidia", ("0",), folder=tmp_path, every=0.005),
            ):
                pytest.fail("held twice")
    async with asyncio.timeout(1), startlock.held("nvidia", ("0",), folder=tmp_path):
        pass


HOLDER = """
import asyncio, sys
from pathlib import Path
from backends import startlock

async def main():
    async with startlock.held("nvidia", ("0",), folder=Path(sys.argv[1])):
        print("held", flush=True)
        await asyncio.sleep(60)

asyncio.run(main())
"""


async def test_it_falls_with_its_process(tmp_path: Path) -> None:
    command = [sys.executable, "-c", HOLDER, tmp_path]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as holder:  # noqa: ASYNC220
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"held\n"
        with pytest.raises(TimeoutError):
            async with (
                asyncio.timeout(0.1),
                startlock.held("nvidia", ("0",), folder=tmp_path, every=0.01),
            ):
                pytest.fail("held twice")
        holder.kill()
    async with asyncio.timeout(2), startlock.held("nvidia", ("0",), folder=tmp_path):
        pass
