"""The peer: wyoming-faster-whisper, with which Home Assistant hears, in an environment of its own."""

import json
import os
import socket
import subprocess
import tempfile
from pathlib import Path
from typing import Any, BinaryIO

from bench.audio.asked import BEAM, COMPUTE, LANGUAGE, RATE, THREADS
from bench.chat.sides import Child
from tests.running import ROOT, free_port

PYTHON = ROOT / ".venv-wyoming" / "bin" / "python"
PACKAGES = ("wyoming-faster-whisper", "wyoming", "faster-whisper", "ctranslate2", "av")
SOUND = {"rate": RATE, "width": 2, "channels": 1}
CHUNK = RATE * 2  # a second; Home Assistant sends smaller ones


class Wyoming(Child):
    """Answers once constructed; `flags` are those of its command line."""

    def __init__(self, model: Path) -> None:
        if not PYTHON.exists():
            raise RuntimeError("the peer is not installed: `make bench-audio` does that")
        self.port = free_port()
        self.flags = [*("--model", str(model)), *("--language", LANGUAGE), *("--beam-size", str(BEAM))]
        self.flags += [*("--compute-type", COMPUTE), *("--cpu-threads", str(THREADS))]
        at = ["--uri", f"tcp://127.0.0.1:{self.port}", "--data-dir", tempfile.mkdtemp()]
        env = {**os.environ, "PYTHONPATH": str(ROOT), "HF_HUB_OFFLINE": "1"}
        super().__init__([str(PYTHON), "-m", "bench.audio.launch", *at, *self.flags], self.port, "", env)

    def answers(self, url: str) -> bool:  # noqa: ARG002 - it speaks no HTTP
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=2):
                return True
        except OSError:
            return False

    def heard(self, samples: bytes) -> str:
        """`samples`: 16-bit little-endian mono at 16 kHz, which is what satellites send."""
        with (
            socket.create_connection(("127.0.0.1", self.port), timeout=600) as one,
            one.makefile("rwb") as wire,
        ):
            _say(wire, "transcribe", {"language": LANGUAGE})
            _say(wire, "audio-start", SOUND)
            for at in range(0, len(samples), CHUNK):
                _say(wire, "audio-chunk", SOUND, samples[at : at + CHUNK])
            _say(wire, "audio-stop", {})
            wire.flush()
            return _transcript(wire)


def versions() -> str:
    program = (
        "import importlib.metadata as m, sys;print(*(f'{n} {m.version(n)}' for n in sys.argv[1:]), sep='; ')"
    )
    told = subprocess.run([PYTHON, "-c", program, *PACKAGES], capture_output=True, text=True, check=True)
    return told.stdout.strip()


def _say(wire: BinaryIO, kind: str, data: dict[str, Any], payload: bytes = b"") -> None:
    event = {"type": kind, "data": data, "payload_length": len(payload)}
    wire.write(json.dumps(event).encode() + b"\n" + payload)


def _transcript(wire: BinaryIO) -> str:
    """The text of the first transcript; raises RuntimeError when it hangs up before."""
    while line := wire.readline():
        event = json.loads(line)
        data = event.get("data") or {}
        if length := event.get("data_length"):
            data |= json.loads(wire.read(length))
        wire.read(event.get("payload_length") or 0)
        if event["type"] == "transcript":
            return str(data["text"])
    raise RuntimeError("the peer hung up without a transcript")
