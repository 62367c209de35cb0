"""What a person sees who starts Motley: the embedded fleet, five verbs, nothing downloaded."""

import re
import socket
import subprocess
from base64 import b64decode, b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import openai
import pytest

from tests.running import MOTLEY, ROOT, Running
from tests.servers import until

VERBS = ("chat", "transcribe", "speak", "embed", "rerank")
# Key words that survive the voice, the encoding and the recogniser; others come and go.
SAFE = {
    "I would like to order a cup of coffee please.": {"order", "cup", "coffee", "please"},
    "Our company will release the new product next week.": {"company", "release", "product", "week"},
}


@pytest.fixture(scope="module", autouse=True)
def slow(motley: Running) -> Iterator[socket.socket]:
    """Says half a head at the beginning, and no more."""
    with socket.create_connection(("127.0.0.1", motley.port), timeout=60) as one:
        one.sendall(b"GET /health HTTP/1.1\r\nhost: local")
        yield one


def test_a_line_per_model_and_where_the_seconds_went(motley: Running) -> None:
    printed = motley.printed()
    for model, told in motley.fleet().items():
        for state in ("waiting", "loading", "ready") if told["variants"] else ():
            assert re.search(rf"^{re.escape(model)}\s+{state}\s+\d+\.\d s$", printed, re.MULTILINE)
    assert re.search(r"up after \d+\.\d s: Ray \d+\.\d s, Ray Serve \d+\.\d s, models", printed)
    assert f"{motley.url}/v1" in printed
    print(re.search(r"up after.*", printed).group())  # type: ignore[union-attr]


def test_the_printed_curls_work_as_they_stand(motley: Running, tmp_path: Path) -> None:
    commands = re.findall(r"^curl (?:.*\\\n)?.*$", motley.printed(), re.MULTILINE)
    assert len(commands) == len(VERBS)
    for command in commands:
        done = subprocess.run(
            ["bash", "-c", command.replace("curl ", "curl --fail-with-body -sS ", 1)],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
    assert (tmp_path / "speech.wav").read_bytes()[:4] == b"RIFF"


def test_motley_try(motley: Running, tmp_path: Path) -> None:
    done = subprocess.run(
        [MOTLEY, "try", "--url", motley.url],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr
    for verb in VERBS:
        assert re.search(rf"│ {verb} ", done.stdout)
    assert "laptop" in done.stdout
    assert (tmp_path / "motley-try.wav").stat().st_size > 50_000


def test_motley_status(motley: Running) -> None:
    done = subprocess.run(
        [MOTLEY, "status", "--url", motley.url], capture_output=True, text=True, timeout=60, check=True
    )
    for model, told in motley.fleet().items():
        if told["steps"]:
            assert re.search(rf"│ {re.escape(model)} +│ \w+ +│ – +│ chain +│ ready │ – ", done.stdout)
            assert re.search(rf"^{re.escape(model)} is made of hear: ", done.stdout, re.MULTILINE)
            continue
        assert re.search(rf"│ {re.escape(model)} +│ \w+ +│ main +│ [\w-]+ +│ ready │ laptop │", done.stdout)


def test_a_question_aloud_is_answered_aloud(motley: Running) -> None:
    """Three models behind one request, each in a process of its own."""
    with openai.OpenAI(base_url=f"{motley.url}/v1", api_key="none", max_retries=0) as sdk:
        asked = sdk.audio.speech.create(
            model="tts", voice="nova", input="What is the capital of Japan?", response_format="wav"
        )
        part = {"data": b64encode(asked.content).decode(), "format": "wav"}
        raw = sdk.chat.completions.with_raw_response.create(
            model="audio-chat",
            messages=[{"role": "user", "content": [{"type": "input_audio", "input_audio": part}]}],  # type: ignore[list-item, misc, typeddict-item]
            modalities=["text", "audio"],
            audio={"voice": "nova", "format": "mp3"},
            temperature=0,
        )
        said = raw.parse().choices[0].message.audio
        assert said is not None
        assert "Tokyo" in said.transcript
        heard = sdk.audio.transcriptions.create(model="whisper", file=("said.mp3", b64decode(said.data)))
    assert {"capital", "tokyo"} & set(heard.text.lower().split()), heard.text
    assert raw.headers["x-motley-steps"].startswith("hear=pocketsphinx-en/main, think=motley-demo-chat/main")


def test_it_stays_within_two_and_a_half_gigabytes(motley: Running) -> None:
    shares = [one.memory_full_info().pss for one in motley.family()]
    print(f"\n{sum(shares) / 2**20:.0f} MiB over {len(shares)} processes")
    assert sum(shares) < 2.5 * 2**30


# All of them one door, with one guard: what callers reach, the door's process behind it, and Serve's own
# proxy, through which HAProxy goes to that process where it knows of no other way.
DOORS = ("haproxy", "ray::ServeReplica:door:Door", "ray::ProxyActor")
ASKED = '{"model": "llm", "messages": [{"role": "user", "content": "Hello!"}], "max_tokens": 1}'
CHAT = "POST /v1/chat/completions HTTP/1.1\r\ncontent-type: application/json"
MODELS = "GET /v1/models HTTP/1.1"


def test_all_sockets_are_on_loopback_and_only_the_doors_answer(motley: Running) -> None:
    """Of the whole process tree."""
    found = motley.listening()
    for (address, port), name in sorted(found.items()):
        print(f"{address}:{port:<6} {name[:100]}")
    assert {address for address, _ in found} == {"127.0.0.1"}
    ports = {port: name for (_, port), name in found.items()}
    until(lambda: infers(motley.port))  # HAProxy may take a busy door for one that is gone, for a moment
    with ThreadPoolExecutor(len(ports)) as pool:  # those that speak otherwise keep us waiting
        answering = {port for port, it_does in zip(ports, pool.map(infers, ports), strict=True) if it_does}
    assert [ports[port] for port in answering if not any(door in ports[port] for door in DOORS)] == []


def infers(port: int) -> bool:
    """Whether it answers a question, or says who would."""
    asked = f"{CHAT}\r\ncontent-length: {len(ASKED)}\r\nhost: localhost\r\nconnection: close\r\n\r\n{ASKED}"
    listed = f"{MODELS}\r\nhost: localhost\r\nconnection: close\r\n\r\n"
    models = told(port, listed)
    if not models.startswith(b"HTTP/"):
        return False
    # Ray's agent names them, too, among its metrics.
    known = b"motley-demo-chat" in models and b"application/json" in models
    return known or b"choices" in told(port, asked)


def told(port: int, text: str) -> bytes:
    answer = b""
    # What speaks another protocol says nothing, or goes away.
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=20) as one:
        one.sendall(text.encode())
        while piece := one.recv(65536):
            answer += piece
    return answer


SPEAK = """
import sys, openai
sdk = openai.OpenAI(base_url=sys.argv[1], api_key="none")
spoken = sdk.audio.speech.create(model="tts", voice="nova", input=sys.argv[2], response_format=sys.argv[3])
open(sys.argv[4], "wb").write(spoken.content)
"""
HEAR = """
import sys, openai
sdk = openai.OpenAI(base_url=sys.argv[1], api_key="none")
print(sdk.audio.transcriptions.create(model="whisper", file=open(sys.argv[2], "rb")).text)
"""


@pytest.mark.parametrize("sound", ["wav", "mp3"])
@pytest.mark.parametrize("sentence", SAFE)
def test_round_trip(motley: Running, python: str, tmp_path: Path, sentence: str, sound: str) -> None:
    """Spoken and written to disk by one process, sent and heard by another."""
    file = tmp_path / f"spoken.{sound}"
    heard: list[str] = []
    for _ in range(3):
        _run(python, SPEAK, f"{motley.url}/v1", sentence, sound, str(file))
        heard.append(_run(python, HEAR, f"{motley.url}/v1", str(file)))
        if len(SAFE[sentence] & set(heard[-1].lower().split())) >= 3:
            return
    pytest.fail(f"{sentence!r} came back as {heard}")


def _run(python: str, program: str, *arguments: str) -> str:
    done = subprocess.run(
        [python, "-c", program, *arguments],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_chat_answers_and_streams(sdk: openai.OpenAI) -> None:
    asked: list[openai.types.chat.ChatCompletionMessageParam] = [
        {"role": "user", "content": "What is the capital of Japan?"}
    ]
    whole = sdk.chat.completions.create(model="motley-demo-chat", messages=asked, temperature=0)
    stream = sdk.chat.completions.create(model="llm", messages=asked, temperature=0, stream=True)
    pieces = [chunk.choices[0].delta.content or "" for chunk in stream]
    assert "Tokyo" in (whole.choices[0].message.content or "")
    assert "".join(pieces) == whole.choices[0].message.content
    assert len(pieces) > 3


def test_a_head_that_comes_slowly_is_ended(slow: socket.socket) -> None:
    """Its fifteen seconds have passed while the other tests ran."""
    told = b""
    while piece := slow.recv(4096):
        told += piece
    assert told.startswith(b"HTTP/1.1 408 ")
