"""The engine `vllm` with a stand-in for vLLM: what passes, what is hidden, what dies and comes back."""

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from backends.contract.engine import GpuShare
from backends.contract.errors import ContextExceeded, EngineFailed, InvalidRequest, ModelDown, Overloaded
from backends.contract.results import ChatChunk, Usage
from backends.engines.vllm import Vllm
from backends.host import Host
from tests.vllm.standing import asked, engine, gone, noted, slots, until


@pytest.fixture
async def vllm(tmp_path: Path) -> AsyncIterator[Vllm]:
    one = engine(tmp_path)
    await one.load(lambda *_: None)
    yield one
    await one.close()


async def answer(vllm: Vllm, said: str, **body: Any) -> list[ChatChunk]:
    async with aclosing(vllm.chat(asked(said, **body))) as chunks:
        return [chunk async for chunk in chunks]


def read(chunks: list[ChatChunk]) -> list[dict[str, Any]]:
    events = b"".join(chunk.events for chunk in chunks).split(b"\n\n")
    assert events.pop() == b""
    return [json.loads(event.removeprefix(b"data: ")) for event in events]


async def running(vllm: Vllm) -> int:
    return await asyncio.to_thread(slots, vllm.uds)


async def idle(vllm: Vllm) -> None:
    async with asyncio.timeout(2):
        while await running(vllm):
            await asyncio.sleep(0.01)


async def test_events_pass_as_bytes_and_usage_is_counted_but_not_shown(vllm: Vllm) -> None:
    chunks = await answer(vllm, "hello", stream=True)
    data = b"".join(chunk.events for chunk in chunks)
    assert data.startswith(
        b'data: {"id":"chatcmpl-r-1","object":"chat.completion.chunk","created":1,"model":"m"'
    )
    assert "ünï".encode() in data  # as it came, not written anew
    told = read(chunks)
    assert all("usage" not in event and event["choices"] for event in told)
    assert told[-1]["choices"][0]["finish_reason"] == "length"
    assert told[1]["choices"][0]["delta"]["content"].endswith("data: [DONE]\n\n")
    assert not data.rstrip().endswith(b"[DONE]")
    assert [chunk.usage for chunk in chunks if chunk.usage] == [Usage(5, 3)]
    assert sum(chunk.tokens for chunk in chunks) == 3
    assert [chunk.finish for chunk in chunks if chunk.finish] == ["length"]


async def test_usage_is_shown_to_who_asked(vllm: Vllm) -> None:
    chunks = await answer(vllm, "hello", stream=True, stream_options={"include_usage": True})
    last = read(chunks)[-1]
    assert last["choices"] == []
    assert last["usage"]["total_tokens"] == 8
    assert chunks[-1].usage == Usage(5, 3)


async def test_a_document_passes_whole(vllm: Vllm) -> None:
    (chunk,) = await answer(vllm, "hello", seed=7, top_k=3)
    content = json.loads(chunk.events)
    assert content["echo"] == asked("hello", seed=7, top_k=3).body
    assert (chunk.finish, chunk.usage, chunk.tokens) == ("stop", Usage(5, 2), 2)


async def test_an_alias_is_echoed_and_vllm_sees_the_served_name(vllm: Vllm) -> None:
    streamed = read(await answer(vllm, "hello", stream=True, model="gpt-4o"))
    assert {event["model"] for event in streamed} == {"gpt-4o"}
    assert '"model":"m"' in streamed[1]["choices"][0]["delta"]["content"]  # what the model wrote stays
    (whole,) = await answer(vllm, "hello", model="gpt-4o")
    assert json.loads(whole.events)["model"] == "gpt-4o"


async def test_what_vllm_would_ignore_is_refused(vllm: Vllm) -> None:
    for field, value in {
        "no_such_field": 1,
        "store": True,
        "kv_transfer_params": {"remote_host": "x"},
    }.items():
        with pytest.raises(InvalidRequest) as refused:
            await answer(vllm, "hello", **{field: value})
        assert refused.value.param == field
    picture = {"type": "image_url", "image_url": {"url": "http://127.0.0.1/secret"}}
    with pytest.raises(InvalidRequest) as refused:
        await answer(vllm, "x", messages=[{"role": "user", "content": [picture]}])
    assert refused.value.param == "messages[0].content[0].image_url"


@pytest.mark.parametrize("number", [2**64, -(2**63) - 1, 10**300])
async def test_a_number_too_large_is_the_callers(vllm: Vllm, number: int) -> None:
    """Not a failure of the engine's: the door's parser reads any number."""
    with pytest.raises(InvalidRequest, match="too large"):
        await answer(vllm, "hello", seed=number)


async def test_refusals_of_vllm_are_ours(vllm: Vllm) -> None:
    with pytest.raises(ContextExceeded) as long:
        await answer(vllm, "x" * 5000, stream=True)
    assert (long.value.param, long.value.code) == ("messages", "context_length_exceeded")
    assert "parameter=" not in long.value.message
    with pytest.raises(ContextExceeded) as most:
        await answer(vllm, "hello", max_tokens=5000)
    assert most.value.param == "max_tokens"
    with pytest.raises(InvalidRequest) as odd:
        await answer(vllm, "hello", temperature="x")
    assert (odd.value.param, odd.value.message) == ("temperature", "'temperature': Input should be a number")
    with pytest.raises(Overloaded):
        await answer(vllm, "!full")


@pytest.mark.parametrize("streams", [True, False])
async def test_its_own_failures_are_told_to_the_operator_alone(
    vllm: Vllm, caplog: pytest.LogCaptureFixture, streams: bool
) -> None:
    host = Host(vllm)
    host._readiness = "ready"  # loaded by the fixture
    with pytest.raises(EngineFailed) as failed:
        async for _ in host.stream(asked("!bug" if not streams else "!broken", stream=streams)):
            pass
    assert "secret" not in failed.value.message
    assert ("Internal server error" if streams else "/opt/secret/place.py") in caplog.text
    assert await answer(vllm, "hello")


@pytest.mark.parametrize("said", ["!slow", "!late"])
@pytest.mark.parametrize("streams", [True, False])
async def test_leaving_frees_the_slot(vllm: Vllm, streams: bool, said: str) -> None:
    working = asyncio.create_task(answer(vllm, said, stream=streams, max_tokens=1000))
    async with asyncio.timeout(5):
        while not await running(vllm):
            await asyncio.sleep(0.01)
    assert vllm.busy == 1
    working.cancel()
    await asyncio.wait({working})
    assert vllm.busy == 0
    await idle(vllm)


async def test_closing_a_stream_frees_the_slot(vllm: Vllm) -> None:
    async with aclosing(vllm.chat(asked("!slow", stream=True, max_tokens=1000))) as chunks:
        await anext(chunks)
        assert await running(vllm) == 1
    assert vllm.busy == 0
    await idle(vllm)


async def test_a_death_in_mid_stream_is_told_and_mended(
    tmp_path: Path, vllm: Vllm, caplog: pytest.LogCaptureFixture
) -> None:
    before, core = vllm.pid, noted(tmp_path)[1]["core"]
    chunks: list[ChatChunk] = []

    async def gather() -> None:
        async for chunk in vllm.chat(asked("!die", stream=True)):
            chunks.append(chunk)

    with pytest.raises(ModelDown) as down:
        await gather()
    assert chunks
    assert down.value.retry_after
    await until(lambda: gone(core))
    await until(lambda: "last words" in caplog.text)
    with pytest.raises(ModelDown):
        await answer(vllm, "hello")
    assert await vllm.healthy()
    await until(lambda: vllm.pid != before)
    async with asyncio.timeout(20):
        while True:
            try:
                assert await answer(vllm, "hello", stream=True)
            except ModelDown:
                await asyncio.sleep(0.05)
            else:
                break
    assert "serves again" in caplog.text


async def test_a_dead_engine_behind_a_live_server_is_replaced(vllm: Vllm) -> None:
    before = vllm.pid
    with pytest.raises(ModelDown):
        await answer(vllm, "!dead")
    await until(lambda: gone(before))
    await until(lambda: vllm.pid != before)


async def test_a_start_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[tuple[str, float | None]] = []
    one = engine(tmp_path, env={"STAND_IN_S": "0.3"})
    await one.load(lambda *seen: told.append(seen))
    try:
        assert told[0] == ("starting", None)
        assert ("loading", 0.5) in told
        assert told.index(("loading", 0.5)) < told.index(("compiling", None)) < told.index(("warming", None))
        assert one.facts() == {"context_length": 1024}
    finally:
        await one.close()


async def test_a_start_that_fails_says_why_to_the_operator_alone(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "refuse").touch()
    one = engine(tmp_path)
    with caplog.at_level(logging.ERROR), pytest.raises(RuntimeError, match="did not start") as failed:
        await one.load(lambda *_: None)
    assert "secret" not in str(failed.value)
    assert "no memory at /opt/secret/place.py" in caplog.text
    assert not await one.healthy()


async def test_the_environment_is_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTHONPATH", "/ours")
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "3")
    one = engine(tmp_path, env={"OMP_NUM_THREADS": "1"})
    await one.load(lambda *_: None)
    await one.close()
    seen = noted(tmp_path)[0]["environment"]
    assert "PYTHONPATH" not in seen
    assert (seen["CUDA_VISIBLE_DEVICES"], seen["OMP_NUM_THREADS"], seen["HF_HUB_OFFLINE"]) == ("3", "1", "1")


async def test_starts_on_one_gpu_come_one_after_the_other(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # A card that no machine has: the locks are shared by all processes of this one.
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", f"GPU-{os.getpid()}")
    folders = [tmp_path / name for name in ("a", "b")]
    engines = []
    for folder in folders:
        folder.mkdir()
        engines.append(engine(folder, share=GpuShare(0.4, "nvidia", 8 * 2**30), env={"STAND_IN_S": "0.4"}))
    await asyncio.gather(*(one.load(lambda *_: None) for one in engines))
    await asyncio.gather(*(one.close() for one in engines))
    (began, up), (began_too, up_too) = sorted(
        (noted(folder)[0]["at"], noted(folder)[1]["up"]) for folder in folders
    )
    assert began < up < began_too < up_too


async def test_never_in_our_own_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MOTLEY_VLLM_PYTHON", raising=False)
    for python in (None, sys.executable):
        one = engine(tmp_path)
        one._options = Vllm.Options(python=python)
        with pytest.raises(InvalidRequest) as refused:
            await one.load(lambda *_: None)
        assert refused.value.param == "python"


PARENT = """
import asyncio, sys
from pathlib import Path
from tests.vllm.standing import engine

async def main():
    one = engine(Path(sys.argv[1]))
    await one.load(lambda *_: None)
    print(one.pid, flush=True)
    await asyncio.sleep(60)

asyncio.run(main())
"""


def test_nothing_outlives_a_killed_replica(tmp_path: Path) -> None:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, [os.getcwd(), *sys.path]))}
    command = [sys.executable, "-c", PARENT, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, env=environment) as parent:
        assert parent.stdout is not None
        pids = [int(parent.stdout.readline()), noted(tmp_path)[1]["core"]]
        assert not any(gone(pid) for pid in pids)
        parent.send_signal(signal.SIGKILL)
    asyncio.run(until(lambda: all(gone(pid) for pid in pids), seconds=5))
