import io
import os
from pathlib import Path

import pytest
from rich.console import Console

from app.cli.up import Board, _keep_usage
from backends.contract.state import VariantState
from tests.unit.app.conftest import fleet


@pytest.mark.parametrize("told", ["", "none", "postgresql://db/usage"])
def test_usage_is_kept_in_a_file_unless_told_otherwise(
    told: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # no .env there
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    monkeypatch.setenv("MOTLEY_USAGE_URL", told)
    _keep_usage()
    assert os.environ["MOTLEY_USAGE_URL"] == (told or f"sqlite:///{tmp_path}/motley/usage.db")


@pytest.mark.parametrize("terminal", [True, False])
def test_how_far_a_model_is_loaded(terminal: bool) -> None:
    """A bar on a terminal, a line for each change elsewhere."""
    told = io.StringIO()
    console = Console(file=told, force_terminal=terminal, width=80, highlight=False)
    with (board := Board(fleet(llama={}), console)):
        board.show({})
        board.show({"llama--main": VariantState("loading", "fetching, 1 GB of 2 GB", 0.5)})
        board.show({"llama--main": VariantState("loading", "warming")})
        board.show({"llama--main": VariantState("ready")})
    assert board.settled
    shown = told.getvalue()
    if terminal:
        assert ("━" in shown, "fetching, 1 GB of 2 GB" in shown, "warming" in shown) == (True, True, True)
    else:
        words = [line.split()[:2] for line in shown.splitlines()]
        assert words == [["llama", "waiting"], ["llama", "loading"], ["llama", "ready"]]
