"""What scales, and what would have no effect."""

from collections.abc import Callable

import pytest

from backends.fleet.problems import Problem

Found = Callable[[str], list[Problem]]


def model(scale: str) -> str:
    return (
        f"m: {{task: chat, engine: fake, source: 'builtin://x', place: {{node: laptop}}, scale: {{{scale}}}}}"
    )


@pytest.mark.parametrize(
    "scale",
    [
        "replicas: [0, 1], idle_s: 60",
        "replicas: [0, 3], idle_s: 60, window_s: 20, up_delay_s: 0, down_delay_s: 5",
        "replicas: [1, 3], window_s: 20, up_delay_s: 0.5, down_delay_s: 5",
        "replicas: [1, 1], idle_s: 300, window_s: 10",
    ],
)
def test_what_scales(scale: str, found_in_models: Found) -> None:
    assert found_in_models(model(scale)) == []


@pytest.mark.parametrize(
    ("scale", "said"),
    [
        ("idle_s: 60", "idle_s needs replicas that begin at 0"),
        ("replicas: [1, 3], idle_s: 60", "idle_s needs replicas that begin at 0"),
        ("window_s: 20", "window_s needs replicas that may become more than 1"),
        ("replicas: [0, 1], up_delay_s: 5", "up_delay_s needs replicas that may become more than 1"),
        ("replicas: [2, 2], down_delay_s: 5", "down_delay_s needs replicas that may become more than 2"),
        ("replicas: [0, 0]", "most ≥ 1"),
        ("replicas: [1, 3], window_s: 1", "must be at least 2"),
        ("replicas: [0, 1], idle_s: 0", "must be more than 0"),
    ],
)
def test_what_would_be_ignored_is_refused(scale: str, said: str, found_in_models: Found) -> None:
    [problem] = found_in_models(model(scale))
    assert said in problem.message
