"""What a visit used, and whose account it goes to."""

from app.catalogue import Bill, Target
from app.guard.scopes import ALL, Caller
from app.telemetry.visit import Visit
from app.usage.entries import Account, Used, account, used
from backends.contract.results import Usage

TARGET = Target("a--main", "a", "main", "fake", "chat", 1, bill=Bill(1.5))
ANN = Caller("key_1", "ann", ALL)


def test_by_whom_of_which_model_in_which_hour() -> None:
    visit = Visit("1", caller=ANN, target=TARGET)
    assert account(visit, 7200.0) == account(visit, 10_799.9) == Account("key_1", "a", "chat", "main", 7200)
    assert account(visit, 10_800.0) == Account("key_1", "a", "chat", "main", 10_800)
    assert account(Visit("2", caller=ANN), 0) is None


def test_whole_and_failed() -> None:
    whole = Visit("1", target=TARGET, usage=Usage(10, 5), tokens=5, heard_s=2.5, characters=3)
    assert used(whole, 4000) == Used(1, 0, 10, 5, 2.5, 3, 1.5)
    failed = Visit("2", target=TARGET, code="engine_failed")
    assert used(failed, 400) == Used(1, 1, gpu_seconds=1.5)
    broken = Visit("3", target=TARGET, cut="engine_failed", usage=Usage(10, 5))
    assert used(broken, 400).errors == 1


def test_whoever_leaves_is_charged_for_what_there_was_and_failed_nothing() -> None:
    left = used(Visit("2", target=TARGET, tokens=5, cut="client"), 400)
    assert (left.prompt_tokens, left.completion_tokens, left.errors) == (100, 5, 0)
    early = used(Visit("3", target=TARGET, code="client_closed_request"), 400)
    assert (early.prompt_tokens, early.completion_tokens, early.errors) == (100, 0, 0)
