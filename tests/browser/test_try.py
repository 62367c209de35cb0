"""What one can try: each assertion reads the page, or the sound that it has."""

import re
import shutil
import subprocess
import sys
from base64 import b64encode
from pathlib import Path
from typing import Any

import pytest

from tests.api.doors import Behind
from tests.servers import until
from tests.sounds import decoded

from .conftest import ROOT, SENTENCE, Tab

# Seconds of an audio element's sound, once that is known.
PLAYS = """audio => new Promise(done => audio.readyState
    ? done(audio.duration) : audio.addEventListener("loadedmetadata", () => done(audio.duration)))"""


def test_chat_streams(tab: Tab, embedded: Behind) -> None:
    page = tab.open(embedded, "chat")
    page.get_by_label("Message", exact=True).fill("What is the capital of Japan?")
    page.get_by_label("Message", exact=True).press("Enter")
    answer = page.get_by_role("article", name="Model")
    answer.locator(".told").wait_for()
    assert "Tokyo" in answer.inner_text()
    assert re.search(r"first token after .+ · \d+ tokens · [\d.]+ tokens/s", answer.inner_text())
    page.get_by_label("Message", exact=True).fill("And of France?")
    page.get_by_role("button", name="Send").click()
    page.get_by_role("article", name="Model").nth(1).locator(".told").wait_for()
    assert page.get_by_role("article", name="You").count() == 2


def ask(page: Any, text: str) -> Any:
    """The last answer, once it has begun."""
    page.get_by_label("Message", exact=True).fill(text)
    page.get_by_role("button", name="Send").click()
    answer = page.get_by_role("article", name="Model").last
    answer.wait_for()
    return answer


def test_a_stream_is_stopped_down_to_the_engine(tab: Tab, scripted: Behind) -> None:
    page = tab.open(scripted, "chat")
    answer = ask(page, "!words 10000 !slow 0.05")
    assert scripted.busy("one") == 1
    page.get_by_role("button", name="Stop").click()
    answer.locator(".told").wait_for()
    assert "stopped" in answer.inner_text()
    until(lambda: scripted.busy("one") == 0, 10)
    assert page.get_by_role("alert").count() == 0
    page.get_by_role("button", name="Begin anew").click()
    assert page.get_by_role("article").count() == 0


def test_a_stream_that_breaks_says_so(tab: Tab, scripted: Behind) -> None:
    page = tab.open(scripted, "chat")
    answer = ask(page, "!words 5 !break 2 !slow 0.1")
    page.get_by_role("alert").wait_for()
    assert "w0 w1" in answer.inner_text()
    assert "secret" not in page.get_by_role("alert").inner_text()


MARKDOWN = (
    "!tell **bold** <img/src=x/onerror=alert(1)> `code` "
    "[here](https://example.com) [there](javascript:alert(1))"
)


def test_markdown_is_shown_and_html_is_text(tab: Tab, scripted: Behind) -> None:
    page = tab.open(scripted, "chat")
    answer = ask(page, MARKDOWN)
    answer.locator(".told").wait_for()
    assert answer.locator("strong").inner_text() == "bold"
    assert answer.locator("code").inner_text() == "code"
    assert answer.locator("a").evaluate_all("links => links.map(link => link.href)") == [
        "https://example.com/"
    ]
    assert answer.locator("img").count() == 0
    assert "<img/src=x/onerror=alert(1)>" in answer.inner_text()


def test_with_keys_alone(tab: Tab, embedded: Behind) -> None:
    """From the address to an answer without a mouse."""
    page = tab.open(embedded, "chat")
    page.get_by_role("heading", name="Chat").wait_for()
    page.keyboard.press("Tab")
    page.keyboard.press("Enter")  # the first thing is the way past the menu
    assert page.evaluate("document.activeElement.id") == "main"
    for _ in range(10):
        page.keyboard.press("Tab")
        if page.evaluate("document.activeElement.id") == "say":
            break
    page.keyboard.type("What is the capital of Japan?")
    page.keyboard.press("Enter")
    answer = page.get_by_role("article", name="Model")
    answer.locator(".told").wait_for()
    assert "Tokyo" in answer.inner_text()


SCREENS = ("chat", "speak", "transcribe", "embed", "rerank")
RUNS = {"curl": ["bash", "-e"], "Python": [sys.executable], "JS": ["node"]}


@pytest.mark.parametrize("language", RUNS)
def test_what_is_copied_runs(
    tab: Tab, embedded: Behind, recording: Path, tmp_path: Path, language: str
) -> None:
    """As it stands, in a shell or an interpreter, beside the recording."""
    modules = ROOT / "tests/clients/node/node_modules"
    if language == "JS" and not (modules / "openai").is_dir():
        pytest.skip("Node.js with openai-node is not installed (`make test` does)")
    shutil.copy(recording, tmp_path / "speech.wav")
    (tmp_path / "node_modules").symlink_to(modules)
    texts = []
    for screen in SCREENS:
        page = tab.open(embedded, screen)
        shown = page.get_by_role("region", name=screen.capitalize())
        shown.get_by_text("Copy as code").click()
        shown.get_by_role("button", name=language, exact=True).click()
        if screen == "speak":
            shown.locator("option", has_text="Alloy").first.wait_for(state="attached")
        texts.append(shown.locator(".code pre").inner_text())
    if language == "Python":  # to import an SDK five times is slow
        texts = ["\n".join(texts)]
    said = ""
    for number, text in enumerate(texts):
        file = tmp_path / f"{number}.mjs"
        file.write_text(text)
        done = subprocess.run(
            [*RUNS[language], file], cwd=tmp_path, capture_output=True, text=True, timeout=60, check=False
        )
        assert done.returncode == 0, done.stderr
        said += done.stdout
    assert "error" not in said.lower()
    for word in ("coffee", "embedding", "relevance_score"):
        assert word in said
    assert decoded((tmp_path / "speech.mp3").read_bytes(), "mp3").seconds > 1


def test_a_file_is_transcribed_and_its_words_light_up(tab: Tab, embedded: Behind, recording: Path) -> None:
    page = tab.open(embedded, "transcribe")
    page.locator(".drop input").set_input_files(recording)
    words = page.locator(".words button")
    words.first.wait_for()
    assert " ".join(words.all_inner_texts()) == SENTENCE.lower().rstrip(".")
    audio = page.locator("audio")
    assert audio.evaluate(PLAYS) > 2
    audio.evaluate("audio => audio.play()")
    lit = page.locator(".words button[aria-current]")
    lit.first.wait_for()
    seen = lit.inner_text()
    page.wait_for_function(
        "seen => ![seen, undefined].includes(document.querySelector('.words [aria-current]')?.innerText)",
        arg=seen,
    )
    words.last.click()
    page.wait_for_function("() => document.querySelector('.words [aria-current]')?.innerText === 'please'")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download SRT").click()
    text = Path(saved.value.path()).read_text()
    assert re.match(r"1\n00:00:00,\d{3} --> 00:00:0\d,\d{3}\n", text)
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download VTT").click()
    assert Path(saved.value.path()).read_text().startswith("WEBVTT\n\n00:00:00.")


# As a file manager does it.
DROP = """(target, text) => {
    const file = new File([Uint8Array.from(atob(text), letter => letter.charCodeAt(0))], "dropped.wav");
    const dataTransfer = new DataTransfer();
    dataTransfer.items.add(file);
    for (const type of ["dragover", "drop"]) {
        target.dispatchEvent(new DragEvent(type, {dataTransfer, bubbles: true, cancelable: true}));
    }
}"""


def test_a_file_is_dropped_and_heard_again_in_another_language(
    tab: Tab, embedded: Behind, recording: Path
) -> None:
    page = tab.open(embedded, "transcribe")
    page.get_by_role("option", name="pocketsphinx-en").wait_for(state="attached")
    page.locator(".drop").evaluate(DROP, b64encode(recording.read_bytes()).decode())
    words = page.locator(".words button")
    words.first.wait_for()
    assert words.last.inner_text() == "please"
    assert "dropped.wav" in page.locator(".drop").inner_text()
    page.get_by_label("Language").fill("fr")
    page.get_by_role("button", name="Hear it again").click()
    assert "only understands English" in page.get_by_role("alert").inner_text()


def test_speech_plays(tab: Tab, embedded: Behind) -> None:
    page = tab.open(embedded, "speak")
    page.get_by_label("Text").fill(SENTENCE)
    page.locator("option", has_text="nova").first.wait_for(state="attached")
    page.get_by_label("Voice").select_option("nova")
    page.get_by_role("button", name="Speak").click()
    audio = page.locator("audio")
    audio.wait_for()
    assert 1.5 < audio.evaluate(PLAYS) < 6
    page.wait_for_function("() => document.querySelector('audio').currentTime > 0.2")
    with page.expect_download() as saved:
        page.get_by_role("link", name="Download").click()
    sound = decoded(Path(saved.value.path()).read_bytes(), "mp3")
    assert sound.seconds > 1.5
    assert abs(sound.samples).max() > 1000


def test_lines_are_compared(tab: Tab, embedded: Behind) -> None:
    page = tab.open(embedded, "embed")
    page.get_by_label("Lines").fill("a cat\na kitten\nthe national bank")
    page.get_by_role("button", name="Compare").click()
    page.locator(".heat").wait_for()
    rows = [
        [float(cell) for cell in row.locator("td").all_inner_texts()]
        for row in page.locator(".heat tbody tr").all()
    ]
    assert [rows[0][0], rows[1][1], rows[2][2]] == [1, 1, 1]
    assert rows[0][1] == rows[1][0] > rows[0][2] + 0.2
    assert "384 dimensions" in page.locator(".told").inner_text()


def test_documents_are_ranked(tab: Tab, embedded: Behind) -> None:
    page = tab.open(embedded, "rerank")
    page.get_by_role("button", name="Rank").click()
    first = page.locator(".bars li").first
    first.wait_for()
    assert "Plants make sugar" in first.inner_text()
    widths = [bar.bounding_box()["width"] for bar in page.locator(".bars .fill").all()]
    assert widths == sorted(widths, reverse=True)
    scores = [float(score) for score in page.locator(".bars strong").all_inner_texts()]
    assert [width / widths[0] for width in widths] == pytest.approx(
        [score / scores[0] for score in scores], abs=0.01
    )


def test_a_spoken_question_is_answered(tab: Tab, embedded: Behind) -> None:
    page = tab.open(embedded, "talk")
    page.get_by_text("It hears with pocketsphinx-en").wait_for()
    button = page.locator(".record")
    button.hover()
    page.mouse.down()
    page.locator(".record.on").wait_for()
    page.wait_for_timeout(3_500)
    page.mouse.up()
    asked = page.get_by_role("article", name="You")
    asked.wait_for()
    # A microphone is heard in real time, and on a busy machine with gaps.
    said = set(SENTENCE.lower().rstrip(".").split())
    assert len(said & set(asked.inner_text().split())) >= 3, asked.inner_text()
    answer = page.get_by_role("article", name="Model")
    answer.locator("audio").wait_for()
    assert answer.locator("audio").evaluate(PLAYS) > 0.3
    assert len(answer.inner_text()) > 5
