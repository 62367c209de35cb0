"""What one says besides words, what a model asks for, and what comes back."""

import base64
import struct
import zlib
from pathlib import Path
from typing import Any

import pytest

from tests.api.doors import Behind

from .conftest import Tab
from .test_try import ask

SIDE = 16  # pixels


@pytest.fixture
def picture(tmp_path: Path) -> Path:
    """A red square."""

    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    head = chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 2, 0, 0, 0))
    rows = zlib.compress((b"\0" + b"\xff\0\0" * SIDE) * SIDE)
    file = tmp_path / "red.png"
    file.write_bytes(b"\x89PNG\r\n\x1a\n" + head + chunk(b"IDAT", rows) + chunk(b"IEND", b""))
    return file


def posted(page: Any) -> list[Any]:
    """The bodies that the page will have sent."""
    found: list[Any] = []
    page.on("request", lambda one: one.method == "POST" and found.append(one.post_data_json))
    return found


def test_a_picture_reaches_the_engine(tab: Tab, scripted: Behind, picture: Path) -> None:
    page = tab.open(scripted, "chat")
    sent = posted(page)
    page.get_by_label("Add an image").set_input_files(picture)
    page.get_by_role("button", name="remove image 1").wait_for()
    answer = ask(page, "!seen")
    answer.locator(".told").wait_for()
    assert answer.locator(".markdown").inner_text().split() == ["text", "image/png"]
    shown = page.get_by_role("article", name="You").get_by_role("img", name="image 1")
    assert shown.evaluate("image => image.naturalWidth") == SIDE
    assert page.get_by_role("button", name="remove image 1").count() == 0
    text, image = sent[-1]["messages"][-1]["content"]
    assert text["text"] == "!seen"
    assert base64.b64decode(image["image_url"]["url"].removeprefix("data:image/png;base64,")) == (
        picture.read_bytes()
    )


def test_what_is_refused_goes_back_to_where_it_was_written(tab: Tab, embedded: Behind, picture: Path) -> None:
    page = tab.open(embedded, "chat")
    page.get_by_label("Add an image").set_input_files(picture)
    page.get_by_role("button", name="remove image 1").wait_for()
    message = page.get_by_label("Message", exact=True)
    message.fill("What is this?")
    message.press("Enter")
    assert "text parts only" in page.get_by_role("alert").inner_text()
    assert page.get_by_role("article").count() == 0
    assert message.input_value() == "What is this?"
    page.get_by_role("button", name="remove image 1").click()
    answer = ask(page, "What is the capital of Japan?")
    answer.locator(".told").wait_for()
    assert "Tokyo" in answer.inner_text()
    assert page.get_by_role("alert").count() == 0


def test_a_tool_is_called_and_its_result_goes_back(tab: Tab, embedded: Behind) -> None:
    page = tab.open(embedded, "chat")
    sent = posted(page)
    page.get_by_text("Tools", exact=True).click()
    page.get_by_role("button", name="An example").click()
    page.get_by_label("Temperature").fill("0")
    ask(page, "What is the weather in Paris?")
    result = page.get_by_label("What get_weather returns")
    result.wait_for()
    assert page.get_by_label("calls get_weather").inner_text() == 'get_weather({"city": "Paris"})'
    result.fill('{"celsius": 18}')
    page.get_by_role("button", name="Send the results").click()
    answer = page.get_by_role("article", name="Model").nth(1)
    answer.locator(".told").wait_for()
    assert answer.locator(".markdown").inner_text()
    assert page.get_by_role("article", name="Tool").inner_text() == '{"celsius": 18}'
    question, call, told = sent[-1]["messages"]
    (called,) = call["tool_calls"]
    assert (question["role"], call["role"], told["role"]) == ("user", "assistant", "tool")
    assert told["tool_call_id"] == called["id"]
    assert told["content"] == '{"celsius": 18}'
    # And one may write again.
    page.get_by_label("Message", exact=True).wait_for()


def test_tools_that_are_no_json_are_not_sent(tab: Tab, scripted: Behind) -> None:
    page = tab.open(scripted, "chat")
    sent = posted(page)
    page.get_by_text("Tools", exact=True).click()
    page.get_by_label("As in the API, JSON").fill("[{")
    page.get_by_label("Message", exact=True).fill("hello")
    page.get_by_role("button", name="Send").click()
    assert "not valid JSON" in page.get_by_role("alert").inner_text()
    assert page.get_by_label("Message", exact=True).input_value() == "hello"
    assert not sent
