"""Options of the whole test run."""

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--door", default="local", help="where the API suite knocks: see tests/api/doors.py")
    parser.addoption(
        "--uploads", default=20, type=int, help="how many large uploads tests/api/test_uploads.py sends"
    )
