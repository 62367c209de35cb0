"""The console in a real Chromium, before doors in this process. Skipped where one of the two is missing."""

import wave
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest
import yaml

from backends.fleet.schema import Fleet
from tests.api.doors import Behind, on_one_node
from tests.api.keys import PEPPER, Keys

from .chromium import browsing
from .stage import Stage

ROOT = Path(__file__).parents[2]
SENTENCE = "I would like to order a cup of coffee please."


@pytest.fixture(scope="session")
def embedded() -> Iterator[Behind]:
    """All five verbs and audio chat, by the engines that ship with Motley. Asks for no key."""
    fleet = Fleet.model_validate(yaml.safe_load((ROOT / "deploy/fleets/embedded.yaml").read_text()))
    one = Behind(fleet)
    yield one
    one.close()


@pytest.fixture(scope="session")
def recording(embedded: Behind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A WAV file of `SENTENCE`, with a header that knows its length."""
    asked = {"model": "espeak-ng", "voice": "nova", "input": SENTENCE, "response_format": "pcm"}
    answer = httpx2.post(f"{embedded.base_url}/v1/audio/speech", json=asked, timeout=60).raise_for_status()
    file = tmp_path_factory.mktemp("sound") / "coffee.wav"
    with wave.open(str(file), "wb") as sound:
        sound.setparams((1, 2, 24_000, 0, "NONE", ""))
        # What is at its end is still heard when a recording of it is stopped.
        sound.writeframes(answer.content + bytes(24_000))
    return file


# Not for a whole session: async tests would find no loop.
@pytest.fixture(scope="module")
def chromium(recording: Path) -> Iterator[Any]:
    """Its microphone hears the recording, again and again."""
    with browsing(recording) as browser:
        yield browser


@pytest.fixture(scope="session")
def keys(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    made = Keys(tmp_path_factory.mktemp("keys") / "keys.json")
    made.add("root", ("operator", "*:*"))
    made.add("eye", ("observer", "*:*"))
    made.add("ann", ("chat:*", "speak:*"), {"requests/minute": 60})
    return made


@pytest.fixture(scope="session")
def stage(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Asks for keys, and keeps usage."""
    usage = tmp_path_factory.mktemp("usage") / "usage.db"
    one = Stage(keys_file=str(keys.file), keys_pepper=PEPPER, usage_url=f"sqlite:///{usage}")
    yield one
    one.close()


class Tab:
    """One page, and what went wrong in it. `said`: errors in Chromium's console, the policy's among them."""

    def __init__(self, page: Any) -> None:
        self.page = page
        self.said: list[str] = []
        self.asked: list[str] = []
        page.set_default_timeout(20_000)
        page.on("pageerror", lambda error: self.said.append(str(error)))
        page.on("console", self._note)
        page.on("request", lambda request: self.asked.append(request.url))

    def _note(self, message: Any) -> None:
        # An answer that is no 200 is noted by Chromium, too: that is the door's to say.
        if message.type in ("error", "warning") and "Failed to load resource" not in message.text:
            self.said.append(message.text)

    def open(self, door: Behind | Stage, screen: str, key: str = "") -> Any:
        self.page.goto(f"{door.base_url}/#/{screen}")
        if key:
            self.page.get_by_label("API key").fill(key)
            self.page.get_by_role("button", name="Come in").click()
        return self.page


@pytest.fixture
def tab(chromium: Any) -> Iterator[Tab]:
    context = chromium.new_context(
        viewport={"width": 1280, "height": 860}, permissions=["microphone"], reduced_motion="reduce"
    )
    one = Tab(context.new_page())
    yield one
    foreign = [url for url in one.asked if not url.startswith(("http://127.0.0.1:", "blob:", "data:"))]
    context.close()
    assert not one.said
    assert not foreign


@pytest.fixture(scope="session")
def scripted() -> Iterator[Behind]:
    """Fakes that do what a text tells them. Asks for no key."""
    models = {"one": {"task": "chat", "engine": "fake", "source": "builtin://fake"}}
    one = Behind(on_one_node(models))
    yield one
    one.close()
