"""Models that are made of others. Over a socket, on the local door: what a chain does is the door's alone."""

import io
import wave
from base64 import b64decode, b64encode
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk

from tests.sounds import decoded, wav

from .doors import Behind, by_http, by_sdk, on_one_node
from .wire import SOON, Caller, counted, seconds_until_idle, until, wait_until_busy

CHAT, SPEAK, HEAR = "/v1/chat/completions", "/v1/audio/speech", "/v1/audio/transcriptions"
RERANK, EMBED = "/v1/rerank", "/v1/embeddings"
SOUND = b64encode(wav(bytes(3200))).decode()
STORY = "Once there was a fox. It met a hen by the old mill. They both went home."


def fake(task: str = "chat", **more: Any) -> dict[str, Any]:
    return {"task": task, "engine": "fake", "source": "builtin://fake", **more}


def chain(task: str, **steps: Any) -> dict[str, Any]:
    return {"task": task, "steps": steps}


MODELS: dict[str, dict[str, Any]] = {
    "ears": fake("transcribe", aliases=["whisper"]),
    "slow-ears": fake("transcribe", options={"delay": 0.3, "words": 60}),
    "mind": fake(aliases=["llm"]),
    "slow-mind": fake(options={"delay": 0.3, "words": 60}),
    "mouth": fake("speak", options={"words": 2}),
    "slow-mouth": fake("speak", options={"delay": 0.3, "words": 60}),
    "vectors": fake("embed"),
    "judge": fake("rerank"),
    "deaf": fake(options={"load_s": 600}),
    "saved": fake(options={"load_s": 600}, fallback=["mind"]),
    "audio-chat": {**chain("chat", hear="whisper", think="llm", speak="mouth"), "aliases": ["gpt-audio"]},
    "slow-hearing": chain("chat", hear="slow-ears", think="mind", speak="mouth"),
    "slow-speaking": chain("chat", hear="ears", think="slow-mind", speak="slow-mouth"),
    "no-mind": chain("chat", hear="ears", think="deaf", speak="mouth"),
    "saved-mind": chain("chat", hear="ears", think="saved", speak="mouth"),
    "twice": chain("chat", sequence=["mind", {"model": "mind", "prompt": "Say it anew."}]),
    "nested": chain("chat", sequence=["mind", "twice"]),
    "notes": chain("transcribe", sequence=["ears", {"model": "mind", "prompt": "Shorten."}]),
    "told": chain("speak", sequence=["mind", "mouth"]),
    "search": chain("rerank", embed="vectors", rerank="judge", keep=2),
    "tidied": chain("chat", before="tidy:loud", model="mind", after="tidy:signed"),
    "tidied-rank": chain("rerank", model="judge", after="tidy:halved"),
    "refusing": chain("chat", before="tidy:refuse", model="mind"),
    "failing": chain("chat", model="mind", after="tidy:fail"),
    "stuck": chain("chat", before="tidy:stuck", model="mind", within_s=0.3),
    "strange": chain("chat", before="tidy:strange", model="mind"),
    "lost": chain("chat", before="nowhere:found", model="mind"),
    "desk": chain(
        "chat",
        classify={"model": "mind", "prompt": "Is this talk or code?"},
        switch=[
            {"field": "response_format.type", "equals": ["json_object", "json_schema"], "model": "slow-mind"},
            {"field": "messages", "over": 200, "model": "audio-chat"},
            {"field": "text", "contains": "deaf", "model": "deaf"},
            {"answer": "code", "model": "twice"},
            {"answer": "talk", "model": "mind"},
            {"model": "deaf"},
        ],
    ),
}
TIDY = """
import time
from dataclasses import replace
from backends.contract.errors import InvalidRequest
from backends.contract.results import Ranking

def loud(task):
    first, *others = task.body["messages"]
    text = first["content"].replace("quiet", "!tell LOUD")
    return replace(task, body={**task.body, "messages": [{**first, "content": text}, *others]})

async def signed(task, chunk):
    return replace(chunk, events=chunk.events.replace(b"LOUD", b"LOUD, signed"))

def halved(task, ranking):
    return Ranking(tuple(score / 2 for score in ranking.scores), ranking.tokens)

def refuse(task):
    raise InvalidRequest("no sums here", param="messages")

def fail(task, chunk):
    raise ZeroDivisionError("a secret of the operator's")

def stuck(task):
    time.sleep(1.5)
    return task

def strange(task):
    return {"not": "a task"}
"""


@pytest.fixture(scope="module")
def door(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Behind]:
    folder: Path = tmp_path_factory.mktemp("hooks")
    (folder / "tidy.py").write_text(TIDY)
    placed = on_one_node({name: model for name, model in MODELS.items() if "steps" not in model})
    whole = placed.model_dump(mode="json")
    whole["models"] |= {name: model for name, model in MODELS.items() if "steps" in model}
    behind = _Behind(type(placed).model_validate(whole), hooks=str(folder))
    yield behind
    behind.close()


class _Behind(Behind):
    """Of which some never come up."""

    def _wait(self) -> None:
        late = ("deaf--main", "saved--main")
        until(lambda: all(state.ready for app, state in self.upstream.states().items() if app not in late))


@pytest.fixture
def http(door: Behind) -> Iterator[httpx2.Client]:
    with by_http(door) as client:
        yield client


@pytest.fixture
def sdk(door: Behind) -> Iterator[openai.OpenAI]:
    with by_sdk(door) as client:
        yield client


def spoken_to(script: str = "") -> list[Any]:
    """A question by voice, with a text beside it."""
    sound = {"type": "input_audio", "input_audio": {"data": SOUND, "format": "wav"}}
    return [{"role": "user", "content": [sound, {"type": "text", "text": script}]}]


def asked(model: str, script: str = "", **more: Any) -> dict[str, Any]:
    return {"model": model, "messages": [{"role": "user", "content": script}], **more}


def aloud(model: str, script: str, form: str = "pcm16", **more: Any) -> dict[str, Any]:
    return {
        "model": model, "messages": spoken_to(script), "modalities": ["text", "audio"],
        "audio": {"voice": "fake", "format": form}, **more,
    }  # fmt: skip


def transcripts(chunks: list[ChatCompletionChunk]) -> list[str]:
    return [part.transcript for part in audios(chunks) if part.transcript]


def audios(chunks: list[ChatCompletionChunk]) -> list[Any]:
    return [choice.delta.audio for chunk in chunks for choice in chunk.choices if choice.delta.audio]


def test_audio_chat_streams(sdk: openai.OpenAI) -> None:
    """As the SDK adds deltas up: strings end to end."""
    body = aloud("gpt-audio", f"!slow 0.05 !tell {STORY}", stream=True)
    chunks = list(sdk.chat.completions.create(**body))
    parts = audios(chunks)
    assert "".join(transcripts(chunks)).strip() == STORY
    assert not any(choice.delta.content for chunk in chunks for choice in chunk.choices)
    sound = decoded(b64decode("".join(part.data or "" for part in parts), validate=True), "pcm")
    assert sound.seconds == pytest.approx(3 * 2 * 0.1, abs=0.02), "three sentences, each of two tenths"
    first = next(at for at, part in enumerate(parts) if part.data)
    assert any(part.transcript for part in parts[first:]), (
        "speech begins while the text is still being written"
    )
    assert [part.id for part in parts if part.id] == [parts[-2].id]
    assert parts[-1].expires_at > chunks[0].created
    finishes = [choice.finish_reason for chunk in chunks for choice in chunk.choices]
    assert finishes == [None] * (len(finishes) - 1) + ["stop"]
    assert chunks[0].choices[0].delta.role == "assistant"
    assert {chunk.model for chunk in chunks} == {"gpt-audio"}


@pytest.mark.parametrize("form", ["wav", "mp3", "flac", "opus", "aac", "pcm16"])
def test_audio_chat_whole(sdk: openai.OpenAI, form: str) -> None:
    raw = sdk.chat.completions.with_raw_response.create(**aloud("audio-chat", f"!tell {STORY}", form))
    message = raw.parse().choices[0].message
    assert message.content is None
    assert message.audio is not None
    assert message.audio.transcript.strip() == STORY
    sound = decoded(b64decode(message.audio.data), "pcm" if form == "pcm16" else form)  # type: ignore[arg-type]
    assert sound.seconds == pytest.approx(0.6, abs=0.15)
    assert raw.headers["x-motley-steps"] == "hear=ears/main, think=mind/main, speak=mouth/main"
    assert raw.headers["x-motley-engine"] == "chain"


def test_what_was_heard_is_what_is_thought_about(sdk: openai.OpenAI) -> None:
    """The fake hears `word0 word1 word2`, and counts the words it reads."""
    answer = sdk.chat.completions.create(model="audio-chat", messages=spoken_to("and two"))
    assert answer.choices[0].message.audio is None
    assert answer.choices[0].message.content == "w0 w1 w2 "
    assert answer.usage is not None
    assert answer.usage.prompt_tokens == len(["word0", "word1", "word2", "and", "two"])


def test_an_answer_is_remembered_by_its_id(sdk: openai.OpenAI) -> None:
    said = sdk.chat.completions.create(**aloud("audio-chat", f"!tell {STORY}")).choices[0].message.audio
    assert said is not None
    before: list[Any] = [*spoken_to(), {"role": "assistant", "audio": {"id": said.id}}]
    answer = sdk.chat.completions.create(model="audio-chat", messages=[*before, *spoken_to()])
    assert answer.choices[0].message.content == "w0 w1 w2 "


SOUNDLESS = {"type": "input_audio", "input_audio": {"data": "!!!", "format": "wav"}}
OTHER = {"type": "input_audio", "input_audio": {"data": SOUND, "format": "tape"}}
FORGOTTEN = [{"role": "assistant", "audio": {"id": "audio_never"}}, *spoken_to()]


@pytest.mark.parametrize(
    ("change", "param"),
    [
        ({"modalities": ["audio"]}, "modalities"),
        ({"modalities": ["text", "smell"]}, "modalities"),
        ({"modalities": ["text"]}, "audio"),
        ({"audio": None}, "audio"),
        ({"audio": {"voice": "fake", "format": "midi"}}, "audio.format"),
        ({"audio": {"format": "wav"}}, "audio.voice"),
        ({"audio": {"voice": "fake", "format": "wav", "speed": 2}}, "audio.speed"),
        ({"audio": {"voice": "nobody", "format": "wav"}}, "audio.voice"),
        ({"audio": {"voice": "nobody", "format": "wav"}, "stream": True}, "audio.voice"),
        ({"n": 2}, "n"),
        ({"messages": [{"role": "user", "content": [SOUNDLESS]}]}, "messages[0].content[0].input_audio.data"),
        ({"messages": [{"role": "user", "content": [OTHER]}]}, "messages[0].content[0].input_audio.format"),
        ({"messages": FORGOTTEN}, "messages[0].audio.id"),
    ],
)
def test_what_an_audio_chat_refuses(http: httpx2.Client, change: dict[str, Any], param: str) -> None:
    answer = http.post(CHAT, json={**aloud("audio-chat", "!tell Good day to you."), **change})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, param)


def test_a_step_that_fails_is_named(http: httpx2.Client) -> None:
    error = http.post(CHAT, json=aloud("audio-chat", "!bug")).json()["error"]
    assert error["code"] == "engine_failed"
    assert error["message"].startswith("step `think` (mind): ")
    broken = http.post(
        CHAT, json=aloud("audio-chat", f"!slow 0.05 !break 12 !tell {STORY}", stream=True)
    ).text
    assert '"data":"' in broken
    assert "step `think` (mind): " in broken
    assert "[DONE]" not in broken
    assert "secret" not in broken


def test_nothing_is_begun_where_a_step_cannot_be_taken(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=aloud("no-mind", "hello"))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "model_loading")
    assert answer.json()["error"]["message"].startswith("step `think`")
    assert "retry-after" in answer.headers


def test_a_step_has_its_fallbacks(http: httpx2.Client) -> None:
    answer = http.post(CHAT, json=aloud("saved-mind", "!tell Good day to you."))
    assert answer.status_code == 200
    assert "think=mind/main" in answer.headers["x-motley-steps"]


@pytest.mark.parametrize(
    ("model", "busy"), [("slow-hearing", ["slow-ears"]), ("slow-speaking", ["slow-mind", "slow-mouth"])]
)
@pytest.mark.parametrize("stream", [False, True])
def test_who_leaves_ends_every_step(door: Behind, model: str, busy: list[str], stream: bool) -> None:
    script = "!say 。word" if stream else ""
    with Caller(door, CHAT, json=aloud(model, script, stream=stream)):
        for one in busy if stream else busy[:1]:
            wait_until_busy(door, one)
    assert max(seconds_until_idle(door, one) for one in ("slow-ears", "slow-mind", "slow-mouth")) < SOON


def test_a_sequence_of_chats(http: httpx2.Client) -> None:
    """The last one's fields, and the usage of all."""
    first = http.post(CHAT, json=asked("mind", "one two")).json()["usage"]
    answer = http.post(CHAT, json=asked("twice", "one two"))
    assert answer.json()["choices"][0]["message"]["content"] == "w0 w1 w2 "
    usage = answer.json()["usage"]
    assert usage["prompt_tokens"] == first["prompt_tokens"] + len(["w0", "w1", "w2"])
    assert usage["completion_tokens"] == first["completion_tokens"] + 3
    assert usage["total_tokens"] == usage["prompt_tokens"] + usage["completion_tokens"]
    assert answer.headers["x-motley-steps"] == "1=mind/main, 2=mind/main"
    streamed = http.post(CHAT, json=asked("nested", "hello", stream=True))
    assert streamed.text.endswith("data: [DONE]\n\n")
    assert '"w2 "' in streamed.text


def test_what_was_heard_is_rewritten(http: httpx2.Client) -> None:
    sound = {"file": ("a.wav", wav(bytes(3200)), "audio/wav")}
    form = {"model": "notes", "response_format": "verbose_json"}
    told = http.post(HEAR, data=form, files=sound).json()
    assert told["text"] == "w0 w1 w2"
    assert [(one["start"], one["end"]) for one in told["segments"]] == [(0.0, told["duration"])]
    words = {**form, "timestamp_granularities[]": "word"}
    refused = http.post(HEAR, data=words, files=sound)
    assert (refused.status_code, refused.json()["error"]["param"]) == (400, "timestamp_granularities[]")


def test_what_is_spoken_was_written_first(http: httpx2.Client) -> None:
    body = {"model": "told", "input": "!words 5", "voice": "fake", "response_format": "wav"}
    with wave.open(io.BytesIO(http.post(SPEAK, json=body).content)) as sound:
        assert sound.getframerate() == 24_000
    error = http.post(SPEAK, json={**body, "voice": "nobody"}).json()["error"]
    assert error["param"] == "voice"
    assert error["message"].startswith("step `2` (mouth)")


DOCUMENTS = ["fox", "hen", "the fox and the hen", "mill", "a fox", "old hen"]


def test_the_nearest_are_reranked(http: httpx2.Client) -> None:
    body = {"model": "search", "query": "fox", "documents": DOCUMENTS, "return_documents": True}
    answer = http.post(RERANK, json=body).json()
    ranked = answer["results"]
    assert sorted(one["index"] for one in ranked) == list(range(len(DOCUMENTS)))
    assert all(one["document"]["text"] == DOCUMENTS[one["index"]] for one in ranked)
    scores = [one["relevance_score"] for one in ranked]
    assert scores == sorted(scores, reverse=True)
    # The fake's vector of a text is its own alone: nearest to `fox` is `fox`.
    assert (ranked[0]["index"], ranked[0]["relevance_score"]) == (0, 1.0)
    few = http.post(RERANK, json={**body, "documents": DOCUMENTS[:2]})
    assert few.headers["x-motley-steps"] == "rerank=judge/main", "nothing is embedded where all are reranked"
    embedded = sum(len(text.split()) for text in ["fox", *DOCUMENTS])
    assert answer["usage"]["total_tokens"] > embedded


def test_functions_change_requests_and_answers(http: httpx2.Client) -> None:
    whole = http.post(CHAT, json=asked("tidied", "quiet"))
    assert whole.json()["choices"][0]["message"]["content"] == "LOUD, signed "
    streamed = http.post(CHAT, json=asked("tidied", "quiet", stream=True)).text
    assert "LOUD, signed " in streamed
    body = {"query": "fox", "documents": DOCUMENTS}
    (one, two) = (http.post(RERANK, json={"model": name, **body}).json() for name in ("judge", "tidied-rank"))
    assert two["results"][0]["relevance_score"] == one["results"][0]["relevance_score"] / 2


@pytest.mark.parametrize(
    ("model", "status", "code", "said"),
    [
        ("refusing", 400, "invalid_request", "step `before`: no sums here"),
        ("failing", 502, "engine_failed", "step `after`: it failed"),
        ("stuck", 504, "upstream_timeout", "step `before`: it took longer than 0.3 s"),
        ("strange", 502, "engine_failed", "step `before`: it returned a dict, and not a ChatTask"),
        ("lost", 503, "model_down", "step `before`: its function is not there; the operator's log says more"),
    ],
)
def test_functions_are_bounded_and_named(
    http: httpx2.Client, model: str, status: int, code: str, said: str
) -> None:
    answer = http.post(CHAT, json=asked(model, "hello"))
    error = answer.json()["error"]
    assert (answer.status_code, error["code"], error["message"]) == (status, code, said)


@pytest.mark.parametrize(
    ("script", "who"),
    [
        ("!tell I think it is Talk.", "classify=mind/main, 5=mind/main"),
        ("!tell CODE", "classify=mind/main, 4=twice"),
        ("!tell codes " + "x" * 200, "2=audio-chat"),
    ],
)
def test_a_switch(http: httpx2.Client, script: str, who: str) -> None:
    """The classifier is asked where it matters, and answers what it is told to."""
    for stream in (False, True):
        answer = http.post(CHAT, json=asked("desk", script, stream=stream))
        assert answer.headers["x-motley-steps"] == who


def test_a_switch_by_a_field(door: Behind) -> None:
    with Caller(door, CHAT, json=asked("desk", "hello", response_format={"type": "json_object"})):
        wait_until_busy(door, "slow-mind")
    assert seconds_until_idle(door, "slow-mind") < SOON


def test_a_switch_to_one_that_is_not_there(http: httpx2.Client) -> None:
    error = http.post(CHAT, json=asked("desk", "are you DEAF")).json()["error"]
    assert error["message"].startswith("step `3` (deaf): ")


def test_how_chains_are_told_of(http: httpx2.Client, sdk: openai.OpenAI) -> None:
    told = {model.id: model.model_extra or {} for model in sdk.models.list()}
    assert told["audio-chat"]["steps"] == {"hear": "ears", "think": "mind", "speak": "mouth"}
    assert (told["audio-chat"]["engine"], told["audio-chat"]["state"]) == ("chain", "ready")
    assert told["no-mind"]["state"] == "loading"
    assert told["lost"]["state"] == "down"
    assert "steps" not in told["mind"]
    assert http.get("/audio-chat/ready").status_code == 200
    assert http.get("/no-mind/ready").status_code == 503
    fleet = http.get("/v1/fleet").json()["models"]
    assert fleet["desk"]["steps"]["classify"] == "mind"
    assert fleet["lost"]["message"] == "there is no file for the function nowhere:found"
    assert http.post("/v1/models/audio-chat/load").status_code == 200
    assert http.post("/v1/models/audio-chat/unload").status_code == 400
    voices = http.get("/v1/audio/voices", params={"model": "told"}).json()["voices"]
    assert [(voice["id"], voice["model"]) for voice in voices] == [("fake", "told")]


def test_steps_are_counted(http: httpx2.Client) -> None:
    http.post(CHAT, json=asked("refusing", "hello"))
    http.post(CHAT, json=asked("twice", "hello"))
    steps = partial(counted, http, "motley_step_seconds_count")
    assert steps(chain="refusing", code="invalid_request", model="", step="before")
    assert steps(chain="twice", code="ok", model="mind", step="1")


@pytest.mark.parametrize("name", ["steps", "before", "after"])
def test_no_request_names_a_function(http: httpx2.Client, name: str) -> None:
    """They are fields like any other, and chosen before them is the model."""
    body = asked("mind", "!tell quiet", **{name: "tidy:signed"})
    assert http.post(CHAT, json=body).json()["choices"][0]["message"]["content"] == "quiet "
    assert http.post(CHAT, json=asked("tidy:signed", "hello")).status_code == 404
    lost = http.post(CHAT, json=asked("lost", "hello", **{name: "tidy:loud"}))
    assert lost.json()["error"]["code"] == "model_down"
