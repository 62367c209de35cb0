"""Settings come from the environment, and `.env.example` tells the truth about them."""

from pathlib import Path

import pytest
from pydantic import ValidationError

from app.settings import Settings

EXAMPLE = Path(__file__).parents[3] / ".env.example"


def test_the_example_names_every_setting_with_its_default() -> None:
    lines = [line for line in EXAMPLE.read_text().splitlines() if line and not line.startswith("#")]
    written = dict(line.split("=", 1) for line in lines)
    assert set(written) == {f"MOTLEY_{name.upper()}" for name in Settings.model_fields}
    assert Settings(_env_file=EXAMPLE) == Settings(_env_file=None)


def test_every_variable_of_the_example_has_a_comment() -> None:
    blocks = EXAMPLE.read_text().strip().split("\n\n")[1:]
    assert all(block.startswith("# ") and block.splitlines()[-1].startswith("MOTLEY_") for block in blocks)


def test_the_environment_wins(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MOTLEY_API_KEYS", " one, two,,")
    monkeypatch.setenv("MOTLEY_MAX_BODY_MB", "0.5")
    settings = Settings(_env_file=None)
    assert settings.keys == ("one", "two")
    assert settings.max_body_mb == 0.5


def test_keys_do_not_show() -> None:
    settings = Settings(_env_file=None, api_keys="sk-secret")
    assert "sk-secret" not in f"{settings} {settings!r} {settings.model_dump()}"


@pytest.mark.parametrize(
    "wrong", [{"max_body_mb": 0}, {"keepalive_s": -1}, {"log_level": "loud"}, {"voices": "here"}]
)
def test_wrong_values_are_refused(wrong: dict[str, object]) -> None:
    with pytest.raises(ValidationError):
        Settings(_env_file=None, **wrong)  # type: ignore[arg-type]
