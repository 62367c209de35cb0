"""An engine is asked only for the endpoints it says it answers."""

import pytest

from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import TaskUnsupported
from backends.contract.tasks import ChatTask
from backends.engines.fake import Fake
from backends.host import Host


class Silent(Fake):
    """Knows the chat body alone."""

    surfaces = frozenset({"chat"})


async def answered(engine: type[Fake], task: ChatTask) -> bytes:
    host = Host(engine(ModelRef("m", "chat", "builtin://fake"), engine.Options(), GpuShare()))
    await host.load()
    return b"".join([chunk.events async for batch in host.stream(task) for chunk in batch])


async def test_completions_need_an_engine_that_answers_them() -> None:
    task = ChatTask("r", {"model": "m", "prompt": "!words 1"}, surface="completions")
    assert b"text_completion" in await answered(Fake, task)
    with pytest.raises(TaskUnsupported) as refusal:
        await answered(Silent, task)
    assert refusal.value.param == "model"


async def test_chat_is_what_every_engine_answers() -> None:
    task = ChatTask("r", {"model": "m", "messages": [{"role": "user", "content": "hi"}]})
    assert b"chat.completion" in await answered(Silent, task)
