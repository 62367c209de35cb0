"""The engines that ship with Motley, through the same door: real answers, and work that ends."""

import io
import json
import math
import time
import wave
from base64 import b64decode, b64encode
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import openai
import pytest

from .doors import Door, by_sdk
from .wire import SOON, Caller, seconds_until_idle, wait_until_busy

CHAT, HEAR, SPEAK = "/v1/chat/completions", "/v1/audio/transcriptions", "/v1/audio/speech"
STORY: list[Any] = [{"role": "user", "content": "Tell me a story about a fox."}]
# Of what the recogniser understands when `nova` says it.
SENTENCE = "I would like to order a cup of coffee, please."
RERANK_SETS = Path(__file__).parents[1] / "data" / "rerank_sets.json"
KEY_WORDS = {"order", "cup", "coffee", "please"}


def wav(samples: bytes, rate: int = 16_000) -> bytes:
    written = io.BytesIO()
    with wave.open(written, "wb") as file:
        file.setparams((1, 2, rate, 0, "NONE", ""))
        file.writeframes(samples)
    return written.getvalue()


def test_chat_answers_and_streams(sdk: openai.OpenAI) -> None:
    asked: dict[str, Any] = {
        "model": "motley-demo-chat", "messages": STORY, "max_tokens": 24, "temperature": 0, "seed": 7
    }  # fmt: skip
    whole = sdk.chat.completions.create(**asked)
    text = whole.choices[0].message.content
    assert text
    assert whole.usage is not None
    assert 0 < whole.usage.completion_tokens <= 24
    pieces = [
        chunk.choices[0].delta.content or "" for chunk in sdk.chat.completions.create(**asked, stream=True)
    ]
    assert "".join(pieces) == text
    assert sum(map(bool, pieces)) > 3


def test_a_sentence_spoken_is_heard(sdk: openai.OpenAI) -> None:
    spoken = sdk.audio.speech.create(model="espeak-ng", voice="nova", input=SENTENCE, response_format="wav")
    heard = sdk.audio.transcriptions.create(model="pocketsphinx-en", file=("said.wav", spoken.content))
    assert len(KEY_WORDS & set(heard.text.lower().split())) >= 3, heard.text


QUESTION, CAPITAL = "What is the capital of Japan?", {"capital", "japan", "tokyo"}


@pytest.fixture(scope="module")
def question(door: Door) -> str:
    """The question aloud, as base64 of a WAV."""
    with by_sdk(door) as sdk:
        spoken = sdk.audio.speech.create(
            model="espeak-ng", voice="nova", input=QUESTION, response_format="wav"
        )
    return b64encode(spoken.content).decode()


def aloud(question: str, form: str) -> dict[str, Any]:
    part = {"type": "input_audio", "input_audio": {"data": question, "format": "wav"}}
    return {
        "model": "audio-chat", "messages": [{"role": "user", "content": [part]}], "temperature": 0,
        "modalities": ["text", "audio"], "audio": {"voice": "nova", "format": form},
    }  # fmt: skip


def understood(sdk: openai.OpenAI, sound: bytes) -> set[str]:
    heard = sdk.audio.transcriptions.create(model="pocketsphinx-en", file=("said.wav", sound))
    return CAPITAL & set(heard.text.lower().split())


def test_a_question_aloud_is_answered_aloud(sdk: openai.OpenAI, question: str) -> None:
    answer = sdk.chat.completions.create(**aloud(question, "wav"))
    said = answer.choices[0].message.audio
    assert said is not None
    assert "Tokyo" in said.transcript
    assert len(understood(sdk, b64decode(said.data))) >= 2
    assert answer.usage is not None
    assert answer.usage.completion_tokens > 3
    messages: list[Any] = [
        *aloud(question, "wav")["messages"],
        {"role": "assistant", "audio": {"id": said.id}},
        {"role": "user", "content": "Thank you very much."},
    ]
    assert sdk.chat.completions.create(model="audio-chat", messages=messages).choices[0].message.content


def test_a_question_aloud_is_answered_as_it_is_written(sdk: openai.OpenAI, question: str) -> None:
    told = {"stream": True, "stream_options": {"include_usage": True}}
    chunks = list(sdk.chat.completions.create(**aloud(question, "pcm16"), **told))
    audios = [choice.delta.audio for chunk in chunks for choice in chunk.choices if choice.delta.audio]  # type: ignore[attr-defined]
    assert "Tokyo" in "".join(part.transcript or "" for part in audios)
    sound = b64decode("".join(part.data or "" for part in audios), validate=True)
    assert len(understood(sdk, wav(sound, 24_000))) >= 2
    assert sum(bool(part.data) for part in audios) > 1, "it leaves as it is spoken"
    usage = chunks[-1].usage
    assert usage is not None
    assert usage.completion_tokens > 3
    assert all(chunk.usage is None for chunk in chunks[:-1])


def test_like_is_nearer_than_unlike(sdk: openai.OpenAI) -> None:
    texts = ["A man eats a sandwich.", "Someone is having lunch.", "The stock market fell on Monday."]
    data = sdk.embeddings.create(model="all-minilm-l6-v2", input=texts).data
    first, like, unlike = (item.embedding for item in data)
    assert len(first) == 384
    assert math.isclose(dot(first, first), 1, abs_tol=1e-4)
    assert dot(first, like) > dot(first, unlike) + 0.1


def dot(a: list[float], b: list[float]) -> float:
    return sum(x * y for x, y in zip(a, b, strict=True))


def test_the_right_document_comes_first(http: httpx2.Client) -> None:
    documents = ["Bread is baked from flour.", "Paris is the capital of France.", "France has many cheeses."]
    body = {"model": "minilm-reranker", "query": "What is France's capital city?", "documents": documents}
    results = http.post("/v1/rerank", json=body).json()["results"]
    assert results[0]["index"] == 1
    assert all(0 <= result["relevance_score"] <= 1 for result in results)


@pytest.mark.parametrize("case", json.loads(RERANK_SETS.read_text()), ids=lambda case: case["query"])
def test_lexical_traps_do_not_win(http: httpx2.Client, case: dict[str, Any]) -> None:
    body = {"model": "minilm-reranker", "query": case["query"], "documents": case["documents"]}
    assert http.post("/v1/rerank", json=body).json()["results"][0]["index"] == case["right"]


def test_twenty_megabytes_of_sound_are_heard_to_the_end(http: httpx2.Client) -> None:
    """Silence is quick to decode, and as long as speech on its way."""
    files = {"file": ("long.wav", wav(bytes(20_000_000)), "audio/wav")}
    form = {"model": "pocketsphinx-en", "response_format": "verbose_json"}
    heard = http.post(HEAR, data=form, files=files).json()
    assert heard["duration"] == pytest.approx(20_000_000 / 32_000, abs=0.1)
    assert heard["text"] == ""


def test_what_they_say_of_themselves(sdk: openai.OpenAI, http: httpx2.Client) -> None:
    facts = {model.id: model.model_extra or {} for model in sdk.models.list()}
    assert facts["all-minilm-l6-v2"]["dimensions"] == 384
    assert facts["minilm-reranker"]["scoring"] == "bi-encoder"
    assert facts["motley-demo-chat"]["context_length"] > 100
    assert "voices" not in facts["espeak-ng"]
    voices = http.get("/v1/audio/voices", params={"model": "espeak-ng"}).json()["voices"]
    assert "nova" in {voice["id"] for voice in voices}


def test_a_text_named_mp3(http: httpx2.Client) -> None:
    files = {"file": ("song.mp3", b"This is no song. " * 400, "audio/mpeg")}
    answer = http.post(HEAR, data={"model": "pocketsphinx-en"}, files=files)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "file")
    assert answer.json()["error"]["code"] == "unsupported_media"


def test_an_unknown_voice(http: httpx2.Client) -> None:
    answer = http.post(SPEAK, json={"model": "espeak-ng", "input": "hi", "voice": "nobody"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "voice")


@pytest.mark.parametrize("stream", [False, True])
def test_an_over_long_prompt(http: httpx2.Client, stream: bool) -> None:
    messages = [{"role": "user", "content": "a fox and a hen " * 5000}]
    body = {"model": "motley-demo-chat", "messages": messages, "stream": stream}
    error = http.post(CHAT, json=body).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "messages")


LONG_TEXT = "It was a long way to the sea, and nobody had thought of bread. " * 64
LONG_SOUND = wav(bytes(2 * 16_000 * 900))
PARAGRAPHS = [LONG_TEXT[:600]] * 2048


def slow_work(model: str) -> tuple[str, dict[str, Any]]:
    """A request that keeps an engine busy for many seconds."""
    match model:
        case "espeak-ng":
            return SPEAK, {"json": {"model": model, "voice": "nova", "input": LONG_TEXT, "speed": 0.25}}
        case "pocketsphinx-en":
            return HEAR, {"data": {"model": model}, "files": {"file": ("a.wav", LONG_SOUND)}}
        case "all-minilm-l6-v2":
            return "/v1/embeddings", {"json": {"model": model, "input": PARAGRAPHS}}
        case _:
            return "/v1/rerank", {"json": {"model": model, "query": "sea", "documents": PARAGRAPHS}}


@pytest.mark.parametrize("model", ["espeak-ng", "pocketsphinx-en", "all-minilm-l6-v2", "minilm-reranker"])
def test_who_leaves_ends_the_work(door: Door, model: str) -> None:
    path, body = slow_work(model)
    with Caller(door, path, **body):
        wait_until_busy(door, model)
    assert seconds_until_idle(door, model) < SOON


def test_who_leaves_while_it_speaks_ends_the_work(door: Door) -> None:
    path, body = slow_work("espeak-ng")
    with Caller(door, path, **body) as caller:
        caller.until(b"\r\n\r\n")
        wait_until_busy(door, "espeak-ng")
    assert seconds_until_idle(door, "espeak-ng") < SOON


@pytest.mark.parametrize("stream", [False, True])
def test_many_who_leave_a_chat_end_its_work(door: Door, http: httpx2.Client, stream: bool) -> None:
    """One answer of the demo model is over before anybody can leave; forty at once are not."""
    model = "motley-demo-chat"
    bodies = [{"model": model, "messages": STORY, "seed": seed, "stream": stream} for seed in range(40)]
    with ThreadPoolExecutor(len(bodies)) as pool:
        began = time.monotonic()
        assert {answer.status_code for answer in pool.map(lambda b: http.post(CHAT, json=b), bodies)} == {200}
        whole = time.monotonic() - began
    with ExitStack() as callers:
        for body in bodies:
            callers.enter_context(Caller(door, CHAT, json=body))
        wait_until_busy(door, model)
    assert seconds_until_idle(door, model) < max(0.5, whole / 2)
