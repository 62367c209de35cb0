"""Pictures of every screen in both lights, for the docs: `python -m tests.browser.pictures [SCREEN …]`."""

import base64
import io
import sys
import threading
import time
import wave
from contextlib import ExitStack, suppress
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir
from typing import Any

import httpx2
import yaml

from backends.contract.state import VariantState
from backends.fleet.schema import Fleet
from tests.api.doors import Behind
from tests.api.keys import PEPPER, Keys

from .chromium import browsing
from .conftest import ROOT
from .stage import Stage

SPEECH = Path(gettempdir()) / "motley-question.wav"
TARGET = ROOT / "docs" / "console"
SIZE = {"width": 1120, "height": 720}


def chat(page: Any) -> None:
    page.get_by_label("Message", exact=True).fill("What is the capital of Japan?")
    page.get_by_role("button", name="Send").click()
    page.locator(".told").first.wait_for()
    page.get_by_text("Copy as code").first.click()


def speak(page: Any) -> None:
    page.get_by_role("button", name="Speak").click()
    page.locator("audio").first.wait_for()
    page.get_by_text("Copy as code").first.click()


def embed(page: Any) -> None:
    page.get_by_role("button", name="Compare").click()
    page.locator(".heat").wait_for()


def rerank(page: Any) -> None:
    page.get_by_role("button", name="Rank").click()
    page.locator(".bars").wait_for()


def transcribe(page: Any) -> None:
    page.locator(".drop input").set_input_files(SPEECH)
    page.locator(".words button").nth(4).click()
    page.locator(".words [aria-current]").wait_for()
    page.locator("audio").evaluate("audio => audio.pause()")


def talk(page: Any) -> None:
    page.locator(".record").hover()
    page.mouse.down()
    page.wait_for_timeout(4_000)
    page.mouse.up()
    page.locator(".turn audio").wait_for()
    page.mouse.move(0, 0)


def fleet(page: Any) -> None:
    page.locator(".share").first.wait_for()
    page.get_by_text("p50, p95 and requests").wait_for()
    page.locator(".variants td", has_text=" s").first.wait_for()


def table(page: Any) -> None:
    page.locator("tbody").wait_for()


TRY = {"chat": chat, "talk": talk, "speak": speak, "transcribe": transcribe, "embed": embed, "rerank": rerank}
CARE = {"fleet": fleet, "usage": table, "keys": table}


def main(wanted: list[str]) -> None:
    TARGET.mkdir(exist_ok=True)
    with TemporaryDirectory() as place, ExitStack() as stack:
        embedded = Behind(
            Fleet.model_validate(yaml.safe_load((ROOT / "deploy/fleets/embedded.yaml").read_text()))
        )
        stack.callback(embedded.close)
        keys = Keys(Path(place) / "keys.json")
        keys.add("operations", ("operator", "*:*"))
        keys.add("dashboard", ("observer",))
        keys.add("ann", ("chat:*", "embed:*"), {"requests/minute": 60, "gpu_seconds/day": 3600})
        keys.add("kitchen", ("transcribe:whisper", "speak:tts"), weight=2, priority="high")
        stage = Stage(keys_file=str(keys.file), keys_pepper=PEPPER, usage_url=f"sqlite:///{place}/usage.db")
        stack.callback(stage.close)
        used(stage, keys.texts["operations"])
        stage.upstream.said = {"tts--main": VariantState("loading", "weights", 0.42, 3.0)}
        SPEECH.write_bytes(spoken(embedded))
        browser = stack.enter_context(browsing(SPEECH))
        for file in TARGET.glob("*.webp"):
            if not wanted or file.stem.rpartition("-")[0] in wanted:
                file.unlink()
        for light in ("light", "dark"):
            for screen, show in {**TRY, **CARE}.items():
                if wanted and screen not in wanted:
                    continue
                door = stage if screen in CARE else embedded
                page = browser.new_page(
                    viewport=SIZE, color_scheme=light, reduced_motion="reduce", permissions=["microphone"]
                )
                page.goto(f"{door.base_url}/#/{screen}")
                if screen in CARE:
                    page.get_by_label("API key").fill(keys.texts["operations"])
                    page.get_by_role("button", name="Come in").click()
                page.locator("h1").wait_for()
                show(page)
                (TARGET / f"{screen}-{light}.webp").write_bytes(picture(page, screen == "fleet"))
                page.close()


def picture(page: Any, whole: bool) -> bytes:
    """As WebP, which Playwright's own call does not make: a third of a PNG. `whole`: all of the page."""
    asked = {"format": "webp", "quality": 80, "captureBeyondViewport": whole}
    if whole:
        height = page.evaluate("() => document.documentElement.scrollHeight")
        asked["clip"] = {"x": 0, "y": 0, **SIZE, "height": height, "scale": 1}
    made = page.context.new_cdp_session(page).send("Page.captureScreenshot", asked)
    return base64.b64decode(made["data"])


def spoken(door: Behind) -> bytes:
    asked = {
        "model": "espeak-ng",
        "voice": "nova",
        "input": "What is the capital of Japan?",
        "response_format": "pcm",
    }
    answer = httpx2.post(f"{door.base_url}/v1/audio/speech", json=asked, timeout=60).raise_for_status()
    file = io.BytesIO()
    with wave.open(file, "wb") as sound:
        sound.setparams((1, 2, 24_000, 0, "NONE", ""))
        sound.writeframes(answer.content + bytes(24_000))
    return file.getvalue()


def used(stage: Stage, key: str) -> None:
    """Some requests that one sees in usage; and some that go on, for the figures, as long as this runs."""
    headers = {"authorization": f"Bearer {key}"}

    def ask(words: int, model: str = "llm") -> None:
        body = {"model": model, "messages": [{"role": "user", "content": f"!words {words} !slow 0.05"}]}
        httpx2.post(f"{stage.base_url}/v1/chat/completions", json=body, headers=headers, timeout=60)

    def go_on() -> None:
        with suppress(httpx2.HTTPError):  # until the door is closed
            while True:
                ask(30)

    for _ in range(12):
        ask(10)
    vectors = {"model": "vectors", "input": ["a", "b"]}
    httpx2.post(f"{stage.base_url}/v1/embeddings", json=vectors, headers=headers, timeout=30)
    for _ in range(3):
        threading.Thread(target=go_on, daemon=True).start()
    time.sleep(6)  # usage is written behind


if __name__ == "__main__":
    main(sys.argv[1:])
