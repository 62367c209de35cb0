"""A door in front of a door: the engine `openai` in front of a server that is not a stand-in."""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import httpx2
import openai
import pytest

from app.main import create_app
from app.settings import Settings
from app.upstream.local import LocalUpstream
from backends.contract.tasks import VERBS
from backends.fleet.schema import Fleet

from .doors import Served
from .wire import Caller, counted, until

CHAT, HEAR, SPEAK = "/v1/chat/completions", "/v1/audio/transcriptions", "/v1/audio/speech"
KEY = "sk-of-the-far-door"
HELLO: Any = [{"role": "user", "content": "Hello!"}]


def fleet(models: dict[str, Any]) -> Fleet:
    placed = {name: {"place": {"node": "here"}, **model} for name, model in models.items()}
    return Fleet.model_validate({"version": 1, "nodes": {"here": {}}, "models": placed})


FAR = {
    "far-demo": {"task": "chat", "engine": "onnxruntime-genai", "source": "builtin://demo_chat"},
    **{f"far-{verb}": {"task": verb, "engine": "fake", "source": "builtin://fake"} for verb in VERBS},
}


def near(base_url: str) -> Fleet:
    options = {"base_url": f"{base_url}/v1", "key_env": "FAR_KEY"}
    stanzas = {
        name.replace("far", "near"): {
            "task": model["task"],
            "engine": "openai",
            "source": "builtin://openai",
            "aliases": [name.replace("far", "my")],
            "options": {**options, "model": name},
        }
        for name, model in FAR.items()
    }
    gone = {**stanzas["near-chat"], "aliases": [], "options": {**options, "model": "no-such-model"}}
    return fleet({**stanzas, "gone": gone})


def ready(upstream: LocalUpstream) -> bool:
    return all(state.ready for state in upstream.states().values())


@dataclass
class Doors:
    base_url: str
    far: LocalUpstream
    key: str = "any"


@pytest.fixture(scope="module")
def door() -> Iterator[Doors]:
    with pytest.MonkeyPatch.context() as environment:
        environment.setenv("FAR_KEY", KEY)
        behind = LocalUpstream.from_fleet(fleet(FAR))
        far = Served(create_app(Settings(_env_file=None, api_keys=KEY), fleet(FAR), behind))
        until(lambda: ready(behind))
        models = near(far.base_url)
        upstream = LocalUpstream.from_fleet(models)
        served = Served(create_app(Settings(_env_file=None), models, upstream))
        until(lambda: ready(upstream))
        yield Doors(served.base_url, behind)
        served.close()
        far.close()


@pytest.fixture
def http(door: Doors) -> Iterator[httpx2.Client]:
    with httpx2.Client(base_url=door.base_url, timeout=60) as client:
        yield client


@pytest.fixture
def sdk(door: Doors) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{door.base_url}/v1", api_key="any", max_retries=0) as client:
        yield client


def tokens(http: httpx2.Client, kind: str) -> float:
    return counted(http, "motley_tokens_total", kind=kind, model="near-demo")


@pytest.mark.parametrize("shown", [False, True])
def test_usage_is_counted_and_shown_only_to_who_asks(
    http: httpx2.Client, sdk: openai.OpenAI, shown: bool
) -> None:
    before = [tokens(http, kind) for kind in ("prompt", "completion")]
    options: Any = {"stream_options": {"include_usage": True}} if shown else {}
    stream = sdk.chat.completions.create(
        model="my-demo", messages=HELLO, stream=True, temperature=0, max_tokens=8, **options
    )
    chunks = list(stream)
    assert {chunk.model for chunk in chunks} == {"my-demo"}
    usage = [chunk.usage for chunk in chunks if chunk.usage]
    assert len(usage) == shown
    assert all(("usage" in chunk.model_fields_set) == shown for chunk in chunks)
    assert all(chunk.choices for chunk in chunks[:-1])
    until(lambda: tokens(http, "completion") > before[1])
    prompt, completion = (
        tokens(http, kind) - old for kind, old in zip(("prompt", "completion"), before, strict=True)
    )
    assert prompt > 0
    assert 0 < completion <= 8
    if shown:
        assert (usage[0].prompt_tokens, usage[0].completion_tokens) == (prompt, completion)


def test_an_answer_in_one_document(sdk: openai.OpenAI) -> None:
    asked: Any = {"messages": HELLO, "temperature": 0, "max_tokens": 12}
    whole = sdk.chat.completions.create(model="my-demo", **asked)
    streamed = sdk.chat.completions.create(model="near-demo", stream=True, **asked)
    said = "".join(chunk.choices[0].delta.content or "" for chunk in streamed)
    assert whole.model == "my-demo"
    assert whole.choices[0].message.content == said
    assert whole.usage is not None


@pytest.mark.parametrize("stream", [False, True])
def test_completions(http: httpx2.Client, sdk: openai.OpenAI, stream: bool) -> None:
    before = tokens(http, "completion")
    asked: Any = {"prompt": "Hello", "temperature": 0, "max_tokens": 8}
    if stream:
        chunks = list(sdk.completions.create(model="my-demo", stream=True, **asked))
        assert {chunk.model for chunk in chunks} == {"my-demo"}
        assert all("usage" not in chunk.model_fields_set for chunk in chunks)
        assert chunks[-1].choices[0].finish_reason
    else:
        whole = sdk.completions.create(model="my-demo", **asked)
        assert (whole.model, whole.object) == ("my-demo", "text_completion")
        assert whole.choices[0].text
    until(lambda: 0 < tokens(http, "completion") - before <= 8)


def test_the_other_verbs(http: httpx2.Client, sdk: openai.OpenAI) -> None:
    vectors = sdk.embeddings.create(model="my-embed", input=["a", "b"])
    direct = [[item.embedding for item in vectors.data]]
    assert len(direct[0][0]) == 8
    assert direct[0][0] != direct[0][1]
    ranked = http.post("/v1/rerank", json={"model": "my-rerank", "query": "cat", "documents": ["dog", "cat"]})
    assert [(one["index"], one["relevance_score"]) for one in ranked.json()["results"]] == [
        (1, 1.0),
        (0, 0.0),
    ]
    form = {"model": "my-transcribe", "response_format": "verbose_json", "timestamp_granularities[]": "word"}
    heard = http.post(HEAR, data=form, files={"file": ("a.wav", b"RIFF")}).json()
    assert (heard["text"], heard["language"], heard["duration"]) == ("word0 word1 word2", "english", 3.0)
    assert [(word["word"], word["start"]) for word in heard["words"]] == [
        ("word0", 0),
        ("word1", 1),
        ("word2", 2),
    ]
    body = {"model": "my-speak", "input": "hi", "voice": "fake", "response_format": "pcm"}
    sound = http.post(SPEAK, json=body).content
    assert len(sound) == pytest.approx(0.3 * 24_000 * 2, rel=0.02)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("script", "status", "code"),
    [
        ("!overloaded", 503, "overloaded"),
        ("!bug", 502, "engine_failed"),
        ("x " * 2000, 400, "context_length_exceeded"),
    ],
)
def test_refusals(http: httpx2.Client, script: str, status: int, code: str, stream: bool) -> None:
    messages = [{"role": "user", "content": script}]
    answer = http.post(CHAT, json={"model": "near-chat", "messages": messages, "stream": stream})
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert "far" not in answer.text
    assert ("retry-after" in answer.headers) == (status == 503)


def test_a_model_that_is_not_there_is_our_fault(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json={"model": "gone", "messages": HELLO})
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "engine_failed")
    assert "no-such-model" not in answer.text


def test_a_failure_on_the_way(http: httpx2.Client) -> None:
    messages = [{"role": "user", "content": "!slow 0.05 !words 5 !break 2"}]
    answer = http.post(CHAT, json={"model": "near-chat", "messages": messages, "stream": True})
    assert "w1 " in answer.text
    assert answer.text.count("engine_failed") == 1
    assert "[DONE]" not in answer.text


@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_ends_the_work_there(door: Doors, stream: bool) -> None:
    engine = door.far.hosts["far-chat--main"].engine
    messages = [{"role": "user", "content": "!slow 0.2 !words 90"}]
    with Caller(door, CHAT, json={"model": "near-chat", "messages": messages, "stream": stream}) as caller:  # type: ignore[arg-type]
        if stream:
            caller.until(b"w0 ")
        until(lambda: engine.busy > 0)
    begun = time.monotonic()
    until(lambda: not engine.busy)
    assert time.monotonic() - begun < 9  # the answer would have taken twice that
