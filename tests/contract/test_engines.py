"""What every engine owes the host, asked of every engine in the registry.

A new engine is one line in `SOURCES`; `test_no_engine_is_left_out` fails until it is there.
"""

import asyncio
import subprocess
import sys
from collections.abc import AsyncGenerator, AsyncIterator, Iterator
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from app.formats.audio import FORMATS, encode, encode_whole
from backends.contract.engine import GpuShare, ModelRef
from backends.contract.errors import InvalidRequest, MediaTooLong, NotReady, TaskUnsupported
from backends.contract.results import ChatChunk, Heard, Pcm, Ranking, Vectors
from backends.contract.tasks import (
    VERBS,
    AnyTask,
    ChatTask,
    EmbedTask,
    RerankTask,
    SpeakTask,
    StreamTask,
    TranscribeTask,
    Vad,
    Verb,
)
from backends.engines.registry import ENGINES, engine_class
from backends.host import Host
from backends.sources import locate
from tests.api.doors import Behind, on_one_node
from tests.sounds import decoded
from tests.vllm.standing import STAND_IN
from tests.whisper.checkpoint import SURE, made
from tests.xtts.standing import STAND_IN as XTTS_STAND_IN

SOURCES = {
    "onnxruntime-genai": "builtin://demo_chat",
    "pocketsphinx": "builtin://pocketsphinx",
    "faster-whisper": "file:///",  # made for the session (`tiny_models`)
    "espeak-ng": "builtin://espeak-ng",
    "onnx": "builtin://minilm",
    "openai": "builtin://openai",
    "xtts": f"file://{Path(__file__).parent}",
    "vllm": f"file://{Path(__file__).parent}",
    "fake": "builtin://fake",
}
SPEAKING: dict[str, Any] = {**XTTS_STAND_IN, "voices": {"nova": "Ana Florence"}}
# Need torch: `make test-torch` asks them these questions, too.
ON_TORCH = {"whisper": "file:///", "sentence-transformers": "file:///", "cross-encoder": "file:///"}
if find_spec("sentence_transformers"):
    SOURCES |= ON_TORCH  # likewise
# What an engine cannot do without. `there` is a server of this session (`other_server`).
# vLLM and XTTS themselves are asked in `tests/vllm` and `tests/xtts`: here stand-ins show what the
# engines make of them.
OPTIONS: dict[str, dict[str, Any]] = {
    "openai": {"base_url": "http://there/v1"},
    "vllm": STAND_IN,
    "xtts": SPEAKING,
    "whisper": {"vad": False, "threads": 1, "max_new_tokens": 32},
    "faster-whisper": {**SURE, "vad": False, "max_new_tokens": 32},
}
# Behind `openai` stand fakes, too. They do every verb and take anything: nothing for them to refuse.
SCRIPTABLE = ("fake", "openai")
PAIRS = [(engine, verb) for engine in SOURCES for verb in VERBS if verb in ENGINES[engine].tasks]
RESULTS: dict[Verb, type] = {
    "chat": ChatChunk,
    "transcribe": Heard,
    "speak": Pcm,
    "embed": Vectors,
    "rerank": Ranking,
}


def task(engine: str, verb: Verb, *, long: bool = False) -> AnyTask:
    """A small request, or one that keeps any engine at work for a good while."""
    slow = "!slow 0.1 !words 100" if long and engine in SCRIPTABLE else ""
    if verb == "chat":
        asked = [{"role": "user", "content": f"Tell me a joke. {slow}"}]
        return ChatTask(
            "r", {"model": "m", "messages": asked, "stream": True, "max_tokens": 900 if long else 8}
        )
    if verb == "transcribe":
        sound = encode_whole([Pcm(b"\x00\x10\x00\xf0" * 11_025 * (120 if long else 1), 22_050)], "wav")
        return TranscribeTask("r", sound, prompt=slow or None)
    if verb == "speak":
        text = (
            f"Hello there. {slow}"
            if engine in SCRIPTABLE
            else "Hello there, you of all people. " * (100 if long else 1)
        )
        return SpeakTask("r", text, "fake" if engine in SCRIPTABLE else "nova")
    if verb == "embed":
        return EmbedTask("r", (f"a cat {slow}", *("a small cat on a long sofa",) * (2000 if long else 1)))
    return RerankTask("r", f"cat {slow}", ("a cat", "a dog") * (1000 if long else 1))


def hosted(engine: str, verb: Verb) -> Host:
    cls = engine_class(engine)
    ref = ModelRef(f"m-{verb}", verb, SOURCES[engine], locate(SOURCES[engine]))
    return Host(cls(ref, cls.Options(**OPTIONS.get(engine, {})), GpuShare()))


@pytest.fixture(scope="session", autouse=True)
def other_server() -> Iterator[None]:
    """An OpenAI-compatible server for `openai` to ask: our own, with a fake of every verb."""
    fake = {"engine": "fake", "source": "builtin://fake"}
    there = Behind(on_one_node({f"m-{verb}": {"task": verb, **fake} for verb in VERBS}))
    OPTIONS["openai"]["base_url"] = f"{there.base_url}/v1"
    yield
    there.close()


@pytest.fixture(scope="session", autouse=True)
def tiny_models(tmp_path_factory: pytest.TempPathFactory) -> None:
    SOURCES["faster-whisper"] = f"file://{made()}"
    if "whisper" in SOURCES:
        from tests.torch.checkpoint import make
        from tests.torch.encoders import make_pairs, make_sentences

        SOURCES["whisper"] = f"file://{make(tmp_path_factory.mktemp('whisper'))}"
        sentences, pairs = (tmp_path_factory.mktemp(name) for name in ("sentences", "pairs"))
        SOURCES["sentence-transformers"] = f"file://{make_sentences(sentences, layers=6)}"
        SOURCES["cross-encoder"] = f"file://{make_pairs(pairs)}"


@pytest_asyncio.fixture(loop_scope="function")
async def host(request: pytest.FixtureRequest) -> AsyncIterator[Host]:
    engine, verb = request.param
    one = hosted(engine, verb)
    await one.load()
    yield one
    await one.close()


async def answer(host: Host, asked: AnyTask) -> list[Any]:
    if isinstance(asked, StreamTask):
        return [item async for batch in host.stream(asked) for item in batch]
    return [await host.call(asked)]


def over(pairs: list[tuple[str, Verb]]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize(
        ("host", "engine", "verb"),
        [(pair, *pair) for pair in pairs],
        indirect=["host"],
        ids=["-".join(pair) for pair in pairs],
    )


every_engine = over(PAIRS)
every_real_engine = over([pair for pair in PAIRS if pair[0] not in SCRIPTABLE])


def test_no_engine_is_left_out() -> None:
    assert SOURCES.keys() | ON_TORCH.keys() == ENGINES.keys()


@pytest.mark.parametrize("engine", ENGINES)
def test_options_refuse_what_they_do_not_know(engine: str) -> None:
    with pytest.raises(ValueError, match="Extra inputs are not permitted"):
        engine_class(engine).Options(no_such_knob=1)


@pytest.mark.parametrize("engine", ENGINES)
def test_the_registry_and_the_class_agree(engine: str) -> None:
    cls = engine_class(engine)
    assert cls.tasks == ENGINES[engine].tasks
    assert all(callable(getattr(cls, verb)) for verb in cls.tasks)


@pytest.mark.parametrize("engine", ENGINES)
def test_what_is_live_is_an_option_and_can_be_changed(engine: str) -> None:
    cls = engine_class(engine)
    live = getattr(cls, "live", frozenset())
    assert live <= cls.Options.model_fields.keys()
    assert bool(live) == hasattr(cls, "reconfigure")


@pytest.mark.parametrize("engine", SOURCES)
def test_estimating_imports_nothing_heavy(engine: str) -> None:
    """`motley check` runs on any laptop."""
    program = f"""
import sys
from backends.contract.engine import GpuShare, ModelRef
from backends.engines.registry import ENGINES, engine_class
from backends.sources import locate
from tests.vllm.standing import STAND_IN
cls, source = engine_class({engine!r}), {SOURCES[engine]!r}
task = sorted(cls.tasks)[0]
options = cls.Options(**{OPTIONS.get(engine, {})!r})
estimate = cls.estimate(ModelRef("m", task, source, locate(source)), options, GpuShare())
assert estimate is None or estimate.total >= 0
heavy = {{"torch", "onnxruntime", "onnxruntime_genai", "tokenizers", "numpy", "av", "pocketsphinx", "ray",
    "ctranslate2", "faster_whisper", "transformers", "sentence_transformers"}}
print(*heavy & set(sys.modules))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == ""


@every_engine
async def test_it_answers_and_is_idle_again(host: Host, engine: str, verb: Verb) -> None:
    items = await answer(host, task(engine, verb))
    assert items
    assert {type(item) for item in items} == {RESULTS[verb]}
    async with asyncio.timeout(2):
        while host.engine.busy:
            await asyncio.sleep(0.001)
    assert await host.engine.healthy()
    assert isinstance(host.engine.facts(), dict)


@every_engine
async def test_leaving_ends_the_work(host: Host, engine: str, verb: Verb) -> None:
    working = asyncio.create_task(answer(host, task(engine, verb, long=True)))
    async with asyncio.timeout(20):
        while not host.engine.busy:
            await asyncio.sleep(0.001)
        assert not working.done()
        working.cancel()
        await asyncio.wait({working})
        while host.engine.busy:
            await asyncio.sleep(0.01)
    assert working.cancelled()
    assert await answer(host, task(engine, verb))


@every_real_engine
async def test_another_verb_is_refused(host: Host, engine: str, verb: Verb) -> None:
    other = next(one for one in VERBS if one not in ENGINES[engine].tasks)
    with pytest.raises(TaskUnsupported):
        await answer(host, task(engine, other))


# What a transcription can ask, and the name that it goes by where an engine refuses it.
ASKED: list[tuple[dict[str, Any], str]] = [
    ({"languages": ("de",)}, "language"),
    ({"languages": ("de", "fr")}, "languages"),
    ({"prompt": "So far, so good."}, "prompt"),
    ({"keywords": ("Motley",)}, "keywords"),
    ({"temperature": 0.4}, "temperature"),
    ({"words": True}, "timestamp_granularities"),
    ({"logprobs": True}, "include"),
    ({"vad": Vad()}, "chunking_strategy"),
    ({"vad": Vad(0.9, 0.1, 1.0)}, "chunking_strategy"),
    ({"to": "en"}, "model"),
    ({"streams": True}, "stream"),
]


@over([(engine, verb) for engine, verb in PAIRS if hasattr(engine_class(engine), "live")])
async def test_options_are_taken_while_it_serves(host: Host, engine: str, verb: Verb) -> None:
    options = engine_class(engine).Options(**OPTIONS.get(engine, {}))
    before = asyncio.create_task(answer(host, task(engine, verb)))
    await asyncio.sleep(0)
    await host.reconfigure(options, max_ongoing=2, max_queued=1)
    assert await before
    assert await answer(host, task(engine, verb))


async def answer_or_name(host: Host, asked: AnyTask) -> tuple[list[Any], str | None]:
    """The items, or the name of the field that is refused."""
    try:
        return await answer(host, asked), None
    except InvalidRequest as refused:
        return [], refused.param or "nothing"


@over([pair for pair in PAIRS if pair[1] == "transcribe"])
async def test_what_a_transcription_asks_is_honoured_or_named(host: Host, engine: str, verb: Verb) -> None:
    plain = task(engine, verb)
    assert isinstance(plain, TranscribeTask)
    for asked, param in ASKED:
        heard, named = await answer_or_name(host, replace(plain, **asked))
        assert named in (None, param), asked
        found = [segment for item in heard for segment in item.segments]
        assert all(segment.words for segment in found) or not asked.get("words")
        assert all(segment.logprobs for segment in found) or not asked.get("logprobs")
        assert [item.position for item in heard] == sorted(item.position for item in heard)
    with pytest.raises(MediaTooLong) as too_long:
        await answer(host, replace(plain, longest_s=0.5))
    assert too_long.value.param == "file"


@pytest.mark.parametrize(("engine", "verb"), PAIRS)
async def test_before_loading_it_is_not_ready(engine: str, verb: Verb) -> None:
    with pytest.raises(NotReady):
        await answer(hosted(engine, verb), task(engine, verb))


@every_real_engine
async def test_what_it_cannot_do_is_named(host: Host, engine: str, verb: Verb) -> None:
    """A field that no engine here honours is refused with its name, never ignored."""
    bad: dict[Verb, AnyTask] = {
        "chat": ChatTask("r", {"model": "m", "messages": [{"role": "user", "content": "x" * 90_000}]}),
        "transcribe": TranscribeTask("r", b"this is no sound at all"),
        "speak": SpeakTask("r", "Hello.", "no-such-voice"),
        "embed": EmbedTask("r", ("a cat",), dimensions=100_000),
        "rerank": RerankTask("r", "cat " * 5000, ("a cat",)),
    }
    with pytest.raises(InvalidRequest) as refused:
        await answer(host, bad[verb])
    assert refused.value.param


@over([pair for pair in PAIRS if pair[1] == "speak"])
async def test_what_it_says_is_heard_in_every_format(host: Host, engine: str, verb: Verb) -> None:
    text = "!words 60" if engine in SCRIPTABLE else "Let us go for a walk in the park this afternoon. " * 6
    said = await answer(host, SpeakTask("r", text, "fake" if engine in SCRIPTABLE else "nova"))
    seconds = sum(len(piece.samples) / 2 / piece.rate for piece in said)
    assert seconds > 5

    async def again() -> AsyncGenerator[Pcm, None]:
        for piece in said:
            yield piece

    for form in FORMATS:
        streamed = b"".join([part async for part in encode(again(), form)])
        for data in (streamed, encode_whole(said, form)):
            sound = decoded(data, form)
            assert (sound.rate, sound.channels) == (24_000, 1)
            assert sound.seconds == pytest.approx(seconds, rel=0.02), form
