"""Everything that is asked: the libraries in this process, Motley on Ray, and the peer."""

import asyncio
import importlib.metadata
import io
import json
import sys
import tempfile
import wave
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import yaml
from faster_whisper import BatchedInferencePipeline, WhisperModel

from app.formats.audio import encode_whole
from app.upstream.local import LocalUpstream
from backends.audio import windows
from backends.contract.results import Pcm
from backends.contract.tasks import SpeakTask, TranscribeTask
from backends.fleet.schema import Fleet, app_name
from bench.audio import peer
from bench.audio.asked import BEAM, COMPUTE, LANGUAGE, ONCE, RATE, THREADS
from bench.door import Loop
from tests.running import Running
from tests.whisper.checkpoint import made

LINE = "I would like to order a cup of coffee please. Our company will release the new product next week. "
HEARING: dict[str, Any] = {
    **{"threads": THREADS, "beam_size": BEAM, "compute_type": COMPUTE, "batch": ONCE["batch_size"]},
    "max_new_tokens": ONCE["max_new_tokens"],
    **dict.fromkeys(("log_prob_threshold", "compression_ratio_threshold", "no_speech_threshold")),
}


@dataclass(frozen=True)
class Sound:
    """The same as samples (16-bit, mono, 16 kHz), which the peer takes, and as the WAV that the others do."""

    samples: bytes
    wav: bytes


def cut(speech: list[Pcm], seconds: int) -> Sound:
    whole = encode_whole(speech, "wav")
    samples = b"".join(windows(whole, RATE))[: 2 * RATE * seconds]
    file = io.BytesIO()
    with wave.open(file, "wb") as wav:
        wav.setparams((1, 2, RATE, 0, "NONE", ""))
        wav.writeframes(samples)
    return Sound(samples, file.getvalue())


def fleet(whisper: Path) -> dict[str, Any]:
    place = {"node": "here"}
    scale = {"max_ongoing": 8, "max_queued": 32}
    return {
        "version": 1,
        "nodes": {"here": {"vendor": "cpu", "cpus": 2, "memory": "4Gi"}},
        "models": {
            "whisper": {
                **{"task": "transcribe", "engine": "faster-whisper", "source": f"file://{whisper}"},
                **{"options": HEARING, "place": place, "scale": scale},
            },
            "espeak-ng": {
                **{"task": "speak", "engine": "espeak-ng", "source": "builtin://espeak-ng"},
                "place": place,
            },
        },
    }


class Sides:
    """Up and loaded."""

    def __init__(self) -> None:
        whisper = made()
        document = fleet(whisper)
        self.loop, self.upstream = Loop(), LocalUpstream.from_fleet(Fleet.model_validate(document))
        self.loop.run(self._load())
        model = WhisperModel(str(whisper), device="cpu", compute_type=COMPUTE, cpu_threads=THREADS)
        self.library = BatchedInferencePipeline(model)
        self.peer = peer.Wyoming(whisper)
        file = Path(tempfile.mkdtemp()) / "fleet.yaml"
        file.write_text(yaml.safe_dump(document))
        try:
            self.ray = Running(file)
        except BaseException:
            self.peer.stop()
            raise
        self.http = httpx2.Client(base_url=self.ray.url, timeout=600)

    async def _load(self) -> None:
        await asyncio.gather(*(host.load() for host in self.upstream.hosts.values()))

    def close(self) -> None:
        self.peer.stop()
        self.loop.run(self.upstream.close())
        self.http.close()
        self.ray.stop()

    def by_library(self, sound: Sound) -> str:
        segments, _ = self.library.transcribe(
            io.BytesIO(sound.wav), language=LANGUAGE, beam_size=BEAM, **ONCE
        )
        return " ".join(segment.text for segment in segments)

    def by_engine(self, sound: Sound) -> str:
        said: list[str] = []

        async def hear() -> None:
            host = self.upstream.hosts[app_name("whisper", "main")]
            async for batch in host.stream(TranscribeTask("bench", sound.wav, languages=(LANGUAGE,))):
                said.extend(segment.text for heard in batch for segment in heard.segments)

        self.loop.run(hear())
        return " ".join(said)

    def by_ray(self, sound: Sound) -> str:
        asked = {"model": "whisper", "language": LANGUAGE}
        files = {"file": ("bench.wav", sound.wav, "audio/wav")}
        answer = self.http.post("/v1/audio/transcriptions", data=asked, files=files)
        return str(answer.raise_for_status().json()["text"])

    def by_peer(self, sound: Sound) -> str:
        return self.peer.heard(sound.samples)

    def spoken(self, text: str) -> list[Pcm]:
        pieces: list[Pcm] = []

        async def speak() -> None:
            host = self.upstream.hosts[app_name("espeak-ng", "main")]
            async for batch in host.stream(SpeakTask("bench", text, "nova")):
                pieces.extend(batch)

        self.loop.run(speak())
        return pieces

    def first_sound(self) -> None:
        async def first() -> None:
            stream = self.upstream.hosts[app_name("espeak-ng", "main")].stream(
                SpeakTask("bench", LINE * 4, "nova")
            )
            try:
                await anext(stream)
            finally:
                await stream.aclose()

        self.loop.run(first())

    def first_bytes(self, form: str) -> None:
        asked = {"model": "espeak-ng", "voice": "nova", "input": LINE * 4, "response_format": form}
        with self.http.stream("POST", "/v1/audio/speech", json=asked) as answer:
            answer.raise_for_status()
            next(answer.iter_bytes())

    def versions(self) -> str:
        names = ("ray", "fastapi", "faster-whisper", "ctranslate2", "av")
        ours = "; ".join(f"{name} {importlib.metadata.version(name)}" for name in names)
        return "\n".join(
            (
                f"python {sys.version.split()[0]}; {ours}; options {json.dumps(HEARING)}",
                f"peer: {peer.versions()}; {' '.join(self.peer.flags)}; defaults: {ONCE}",
            )
        )


def at_once(side: Callable[[Sound], str], sounds: list[Sound]) -> None:
    with ThreadPoolExecutor(len(sounds)) as callers:
        list(callers.map(side, sounds))
