"""Whisper and XTTS on one GPU of one node, half of it each, as in a home with one card.

The card is declared and not there. Whisper is `faster-whisper` over a tiny checkpoint: on a card of AMD's,
which CTranslate2 has no way to, it computes on the CPU and says so. For XTTS's interpreter, which would find
no card either, speaks the stand-in of its unit tests; `make test-xtts` asks the true one, on the CPU.
"""

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from app.formats.audio import encode_whole
from backends.engines.xtts import CONTEXT_BYTES
from tests.running import MOTLEY, ROOT, Running
from tests.sounds import decoded, tone
from tests.whisper.checkpoint import SURE, made
from tests.xtts.standing import STAND_IN, noted

NODE, HALF = "elminster", {"node": "elminster", "share": 0.5}
GIB = 2**30
HEARS, SPEAKS = "whisper-large-v3", "xtts-v2"
SECONDS = 5


def fleet(folder: Path, **more: Any) -> Path:
    """`more`: models beside the two."""
    notes = {"STAND_IN_NOTES": str(folder / "notes"), "STAND_IN_GPU": "1"}
    models = {
        HEARS: {
            "task": "transcribe",
            "aliases": ["whisper-1"],
            "engine": "faster-whisper",
            "source": f"file://{made()}",
            "options": {**SURE, "vad": False},
            "place": HALF,
        },
        SPEAKS: {
            "task": "speak",
            "aliases": ["tts-1"],
            "engine": "xtts",
            "source": f"file://{folder}",
            "options": {**STAND_IN, "env": {**STAND_IN["env"], **notes}, "voices": {"nova": "Ana Florence"}},
            "place": HALF,
        },
    }
    node = {"vendor": "amd", "card": "declared", "vram": "8Gi", "gpus": 1, "cpus": 2, "memory": "4Gi"}
    file = folder / f"{len(more)}-more.yaml"
    file.write_text(
        yaml.safe_dump({"version": 1, "nodes": {NODE: node}, "models": {**models, **more}}, sort_keys=False)
    )
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("shared")


@pytest.fixture(scope="module")
def shared(folder: Path) -> Iterator[Running]:
    running = Running(fleet(folder))
    yield running
    running.stop()


def hear(shared: Running) -> httpx2.Response:
    sound = ("tone.wav", encode_whole([tone(SECONDS)], "wav"), "audio/wav")
    asked = {"model": "whisper-1", "language": "de", "response_format": "verbose_json"}
    url = f"{shared.url}/v1/audio/transcriptions"
    return httpx2.post(url, data=asked, files={"file": sound}, timeout=60)


def speech(text: str, form: str = "pcm") -> dict[str, Any]:
    return {"model": "tts-1", "voice": "nova", "input": text, "response_format": form}


def test_each_has_half_of_the_same_gpu(shared: Running, folder: Path) -> None:
    fleet = shared.fleet()
    (hears,), (speaks,) = (fleet[model]["variants"].values() for model in (HEARS, SPEAKS))
    for variant in (hears, speaks):
        assert (variant["state"], variant["share"]) == ("ready", 0.5)
        assert [replica["node"] for replica in variant["replicas"]] == [NODE]
    assert hears["replicas"][0]["pid"] != speaks["replicas"][0]["pid"]
    # The share reached the child in memory, and Ray let it see the one GPU there is.
    (started,) = noted(folder, "start")
    assert (started["device"], started["gpus"]) == ("cuda", "0")
    assert started["fraction"] == pytest.approx(0.5 - CONTEXT_BYTES / (8 * GIB))
    told = httpx2.get(f"{shared.url}/v1/models/{HEARS}", timeout=60).text
    assert "no way to cards of amd" in told


def test_both_answer_at_once(shared: Running) -> None:
    """One is heard from the first word to the last while the other is still speaking."""
    with httpx2.stream(
        "POST", f"{shared.url}/v1/audio/speech", json=speech("!slow " + "a " * 120), timeout=60
    ) as answer:
        assert answer.status_code == 200
        pieces = answer.iter_raw()
        assert next(pieces)
        heard = hear(shared)
        assert shared.replica(SPEAKS)["busy"] == 1
        assert next(pieces)
    told = heard.raise_for_status().json()
    assert (told["language"], told["duration"]) == ("german", SECONDS)
    assert told["segments"]
    for response in (heard, answer):
        assert response.headers["x-motley-node"] == NODE


def test_what_is_spoken_there_is_decoded_elsewhere(shared: Running) -> None:
    answer = httpx2.post(f"{shared.url}/v1/audio/speech", json=speech("a " * 50, "opus"), timeout=60)
    sound = decoded(answer.raise_for_status().content, "opus")
    assert (sound.rate, sound.channels) == (24_000, 1)
    assert sound.seconds == pytest.approx(5, rel=0.02)


def test_a_third_half_is_refused(folder: Path) -> None:
    third = {"task": "embed", "engine": "fake", "source": "builtin://fake", "place": HALF}
    file = fleet(folder, third=third)
    done = subprocess.run(
        [MOTLEY, "check", file, "--json"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 1
    (problem,) = json.loads(done.stdout)["problems"]
    assert problem["place"] == "models.third.place.share"
    assert problem["message"] == (
        f"third, variant main: needs 0.5 of a GPU on {NODE}; {HEARS} 0.5 and {SPEAKS} 0.5 fill it"
    )
