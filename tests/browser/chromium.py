"""The Chromium of this machine."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

# Chromium asks for hosts of its own at every start, unless told not to.
FLAGS = (
    "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync", "--autoplay-policy=no-user-gesture-required",
    "--use-fake-ui-for-media-stream", "--use-fake-device-for-media-stream",
)  # fmt: skip


@contextmanager
def browsing(hears: Path | None = None) -> Iterator[Any]:
    """Playwright's browser; its microphone hears a file again and again. Skips the test where Chromium or
    Playwright is missing. While it lasts, Playwright's loop has this thread, and async tests find none."""
    driver = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    program = shutil.which("chromium")
    if program is None:
        pytest.skip("Chromium is not installed (Debian's package is chromium)")
    flags = [*FLAGS, *([f"--use-file-for-fake-audio-capture={hears}"] if hears else [])]
    with driver.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=flags, chromium_sandbox=False)
        yield browser
        browser.close()
