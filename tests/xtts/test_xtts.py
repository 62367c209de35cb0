"""The engine `xtts` with the real model code: tiny, random, on the CPU. It speaks noise."""

import json
import os
import signal
import subprocess
import textwrap
import time
from base64 import b64decode
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import openai
import pytest

from app.formats.audio import FORMATS, Format, encode_whole
from backends.abroad import __file__ as launcher
from tests.sounds import decoded, tone

from .conftest import PYTHON, Behind

SPEAK, VOICES = "/v1/audio/speech", "/v1/audio/voices"


def speak(http: httpx2.Client, text: str = "Hello there.", voice: str = "alloy", **body: Any) -> bytes:
    whole = {"model": "xtts", "input": text, "voice": voice, "response_format": "pcm", **body}
    answer = http.post(SPEAK, json=whole)
    assert answer.status_code == 200, answer.text
    return answer.content


def refusal(http: httpx2.Client, **body: Any) -> tuple[int, str]:
    answer = http.post(SPEAK, json={"model": "xtts", "input": "Hello there.", "voice": "alloy", **body})
    return answer.status_code, answer.json()["error"]["param"]


def idle(behind: Behind, within: float = 20) -> bool:
    deadline = time.monotonic() + within
    while behind.engine.busy and time.monotonic() < deadline:
        time.sleep(0.02)
    return not behind.engine.busy


def test_the_sdk_gets_sound_and_events(behind: Behind) -> None:
    asked: dict[str, Any] = {"model": "tts-1", "voice": "alloy", "input": "Hello there."}
    url = f"{behind.base_url}/v1"
    with openai.OpenAI(base_url=url, api_key="none", max_retries=0, timeout=120) as sdk:
        sound = sdk.audio.speech.create(**asked, response_format="wav").content
        told = sdk.audio.speech.create(**asked, response_format="pcm", stream_format="sse").text
    assert decoded(sound, "wav").rate == 24_000
    assert told.rstrip().rpartition("data: ")[2].startswith('{"type":"speech.audio.done"')


@pytest.mark.parametrize("voice", ["alloy", "Ana Florence", "craig gutsy"])
def test_it_speaks(http: httpx2.Client, voice: str) -> None:
    samples = np.frombuffer(speak(http, voice=voice), "<i2")
    assert 0.5 < len(samples) / 24_000 < 5
    assert np.abs(samples).max() > 10


@pytest.mark.parametrize("form", FORMATS)
def test_every_format(http: httpx2.Client, form: Format) -> None:
    """Decoded, it is as long as the engine's samples were, which are counted in twentieths of a second, and
    the silence that mp3 and aac add. To the per cent, with more to say, it is in `tests/contract`."""
    body = {"model": "tts-1", "input": "One sentence. Another one.", "voice": "alloy"}
    answer = http.post(SPEAK, json={**body, "response_format": form, "stream_format": "sse"})
    told = [json.loads(line[6:]) for line in answer.text.split("\n\n") if line.startswith("data: ")]
    sound = decoded(b"".join(b64decode(event.get("audio", "")) for event in told), form)
    seconds = told[-1]["usage"]["output_tokens"] / 20
    assert seconds > 1.5
    assert (sound.rate, sound.channels) == (24_000, 1)
    assert sound.seconds == pytest.approx(seconds, abs=0.15)


def test_sound_comes_while_it_computes(behind: Behind, http: httpx2.Client) -> None:
    body = {"model": "xtts", "input": "One. " * 4, "voice": "alloy", "response_format": "pcm"}
    with http.stream("POST", SPEAK, json=body) as answer:
        pieces = answer.iter_raw()
        assert next(pieces)
        assert behind.engine.busy == 1
        assert len(list(pieces)) >= 4


def test_leaving_ends_the_work(behind: Behind, http: httpx2.Client) -> None:
    body = {"model": "xtts", "input": "One. " * 200, "voice": "alloy", "response_format": "pcm"}
    with http.stream("POST", SPEAK, json=body) as answer:
        next(answer.iter_raw())
    assert idle(behind)
    assert speak(http)


def test_another_pace(http: httpx2.Client) -> None:
    slow, quick = len(speak(http, speed=0.5)), len(speak(http, speed=4))
    assert slow > 3 * quick


def test_a_voice_made_from_a_recording(behind: Behind, http: httpx2.Client) -> None:
    sample = encode_whole([tone(4, hertz=200), tone(4, hertz=300)], "flac")
    form = {"name": "Ann", "consent": "I agree", "language": "de"}
    voice = http.post(VOICES, data=form, files={"audio_sample": ("ann.flac", sample)}).json()["id"]
    before = behind.engine.pids
    assert speak(http, voice=voice)
    # What was learnt survives the child, and the recording is not sent again.
    os.kill(before[0], signal.SIGKILL)
    deadline = time.monotonic() + 120
    while behind.engine.pids == before and time.monotonic() < deadline:
        time.sleep(0.05)
    assert speak(http, "Guten Tag. Wie geht es?", voice=voice)
    listed = http.get(VOICES, params={"model": "tts-1"}).json()["voices"]
    assert [one["id"] for one in listed] == [voice, "alloy", "Ana Florence", "Craig Gutsy"]
    assert {one["model"] for one in listed} == {"xtts"}
    assert http.delete(f"{VOICES}/{voice}").json()["deleted"]
    assert refusal(http, voice=voice) == (400, "voice")


def test_a_text_of_many_tokens_is_cut(http: httpx2.Client) -> None:
    """Numbers are spelt out: 100 characters that are more tokens than the model takes."""
    assert speak(http, " ".join(["987654321987"] * 8) + ".")


def test_refusals(http: httpx2.Client) -> None:
    assert refusal(http, voice="nobody") == (400, "voice")
    assert refusal(http, instructions="Whisper.") == (400, "instructions")
    assert refusal(http, input=" … ") == (400, "input")


def test_two_at_once(http: httpx2.Client, behind: Behind) -> None:
    body = {"model": "xtts", "input": "One. Two. Three.", "voice": "alloy", "response_format": "pcm"}
    with http.stream("POST", SPEAK, json=body) as one, http.stream("POST", SPEAK, json=body) as other:
        assert behind.engine.busy <= 1
        assert one.read()
        assert other.read()


def test_a_gpu_that_is_not_there_is_said(checkpoint: Path) -> None:
    said = _child(f"""
        from backends.contract.errors import EngineFailed
        from backends.engines.xtts_child import start
        try:
            start({{"path": {str(checkpoint)!r}, "device": "cuda", "fraction": 0.5, "chunk_tokens": 20}})
        except EngineFailed as error:
            print(error.message)
    """)
    assert "no GPU" in said.stdout, said.stderr


def test_a_gpu_that_fails_for_good_ends_the_process() -> None:
    """A CPU build stands for it: it computes nothing on `cuda`, as a poisoned context does."""
    program = """
        from types import SimpleNamespace
        import torch
        from backends.engines.xtts_child import Speaker

        class Broken:
            speaker_manager = None
            tokenizer = SimpleNamespace(encode=lambda text, lang: [1])
            args = SimpleNamespace(gpt_max_text_tokens=402)
            def inference_stream(self, *_, **__):
                raise RuntimeError("whatever it says")
                yield

        settings = dict.fromkeys(("temperature", "length_penalty", "repetition_penalty", "top_k", "top_p"), 1)
        class Config(dict):
            model_args = SimpleNamespace(gpt_n_model_channels=64, d_vector_dim=512)
        speaker = Speaker(Broken(), Config(settings), DEVICE, 20)
        fields = {"text": "Hello.", "language": "en", "speaker": None}
        try:
            list(speaker.speak(fields, bytes(4 * (64 + 512))))
        except RuntimeError as error:
            print("went on:", error)
    """
    poisoned = _child(program.replace("DEVICE", repr("cuda")))
    assert (poisoned.returncode, poisoned.stdout) == (70, ""), poisoned.stderr
    bug = _child(program.replace("DEVICE", repr("cpu")))
    assert bug.stdout == "went on: whatever it says\n"


def _child(program: str) -> subprocess.CompletedProcess[str]:
    """Run in XTTS's interpreter, with the package as the launcher gives it."""
    head = textwrap.dedent(f"""
        import importlib.util, sys
        spec = importlib.util.spec_from_file_location(
            "backends", {str(Path(launcher).with_name("__init__.py"))!r},
            submodule_search_locations=[{str(Path(launcher).parent)!r}],
        )
        sys.modules["backends"] = importlib.util.module_from_spec(spec)
    """)
    return subprocess.run(
        [PYTHON, "-I", "-c", head + textwrap.dedent(program)], capture_output=True, text=True, check=False
    )
