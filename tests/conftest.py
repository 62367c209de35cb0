"""Options of the whole test run."""

from pathlib import Path

import pytest

from tests.record import RECORD, write


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--door", default="local", help="where the API suite knocks: see tests/api/doors.py")
    parser.addoption(
        "--uploads", default=20, type=int, help="how many large uploads tests/api/test_uploads.py sends"
    )
    parser.addoption("--fuzz", default=2000, type=int, help="how many requests tests/fuzz sends")
    parser.addoption("--fuzz-seed", default=0, type=int, help="… which of them: the same again, or others")
    parser.addoption("--golden", action="store_true", help="write tests/deploy/golden anew")
    parser.addoption("--record", type=Path, help="a file for who was answered: see tests/record.py")


def pytest_configure(config: pytest.Config) -> None:
    RECORD.on = config.getoption("--record") is not None
    if RECORD.on:
        config.pluginmanager.register(RECORD)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """What failed at first of those that were tried twice: nothing of it is kept back."""
    for report in terminalreporter.stats.get("rerun", []):
        terminalreporter.section(f"{report.nodeid} failed, and was tried again")
        terminalreporter.write_line(report.longreprtext)


def pytest_sessionfinish(session: pytest.Session) -> None:
    if RECORD.on:
        write(RECORD, session.config.getoption("--record"))
