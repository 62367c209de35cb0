"""A recording in a file: read like any other, by several at once, and never sent by accident."""

import pickle
import tempfile
from collections.abc import Iterator

import pytest

from backends.contract.audio import Spooled, opened
from backends.contract.tasks import TranscribeTask

DATA = bytes(range(256)) * 8_000


@pytest.fixture
def spooled() -> Iterator[Spooled]:
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.seek(0)
        yield Spooled(file, len(DATA))


@pytest.mark.parametrize("held", [True, False])
def test_both_kinds_are_read_alike(spooled: Spooled, held: bool) -> None:
    with opened(DATA if held else spooled) as file:
        assert file.read(3) == DATA[:3]
        assert file.seek(-2, 2) == len(DATA) - 2
        assert file.read() == DATA[-2:]
        assert file.read() == b""
        assert file.seek(1) == 1
        assert file.seek(2, 1) == 3
        assert file.read(2) == DATA[3:5]
        with pytest.raises(ValueError, match=r"."):
            file.seek(-1)


def test_each_reader_has_a_place_of_its_own(spooled: Spooled) -> None:
    """Whoever is asked after another reads all of it, and so does who is asked meanwhile."""
    with opened(spooled) as one, opened(spooled) as another:
        for at in range(0, len(DATA), 100_000):
            assert one.read(100_000) == another.read(100_000) == DATA[at : at + 100_000]


def test_what_was_opened_is_read_to_its_end(spooled: Spooled) -> None:
    with opened(spooled) as file:
        spooled.close()
        assert file.read() == DATA
    with pytest.raises(ValueError, match="closed"):
        opened(spooled)


def test_only_its_size_crosses(spooled: Spooled) -> None:
    task = TranscribeTask("r", spooled)
    sent = pickle.dumps(task)
    assert len(sent) < 1_000
    assert task.heft() < 1_000
    there = pickle.loads(sent).spooled
    assert len(there) == len(DATA)
    with pytest.raises(ValueError, match="another process"):
        opened(there)
    with tempfile.TemporaryFile() as file:
        file.write(DATA)
        file.flush()
        there.bring(file)
        with opened(there) as brought:
            assert brought.read() == DATA


def test_held_it_crosses_whole(spooled: Spooled) -> None:
    held = TranscribeTask("r", spooled, languages=("de",)).held()
    assert held == TranscribeTask("r", DATA, languages=("de",))
    assert held.spooled is None
    assert held.heft() == len(DATA)
