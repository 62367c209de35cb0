"""Serve's policy and ours, in the wrapping that Serve puts around every policy."""

import time
from typing import Any

import pytest

# In Ray's own models.
pytestmark = pytest.mark.filterwarnings("ignore:Using extra keyword arguments on `Field`")

NEVER = float("inf")


def decide(
    *idle: float | None, requests: float = 0, queued: float = 0, target: int | None = None, **config: Any
) -> int:
    """The replicas that Serve would want. `idle`: what each running replica told last, None for one that
    has told nothing yet."""
    from ray.serve._private.autoscaling_state import _apply_autoscaling_config
    from ray.serve._private.common import DeploymentID, ReplicaID, TimeStampedValue
    from ray.serve.config import AutoscalingConfig, AutoscalingContext

    from backends.serve.scaling import IDLE_S, by_requests

    who = DeploymentID("Replica", "m--main")
    given = {"min_replicas": 0, "max_replicas": 3, "target_ongoing_requests": 2}
    given |= {"upscale_delay_s": 0, "downscale_to_zero_delay_s": 30}
    running = [ReplicaID(str(number), who) for number in range(len(idle))]
    told = {
        one: [TimeStampedValue(1, 0.0), TimeStampedValue(2, seconds)]
        for one, seconds in zip(running, idle, strict=True)
        if seconds is not None
    }
    context = AutoscalingContext(
        deployment_id=who, deployment_name="Replica", app_name="m--main",
        current_num_replicas=len(running), running_replicas=running,
        target_num_replicas=len(running) if target is None else target,
        total_num_requests=requests + queued, total_queued_requests=queued, aggregated_metrics={},
        raw_metrics={IDLE_S: told} if told else {}, capacity_adjusted_min_replicas=0,
        capacity_adjusted_max_replicas=3, policy_state={}, last_scale_up_time=None, last_scale_down_time=None,
        current_time=time.time(), config=AutoscalingConfig(**{**given, **config}),
    )  # fmt: skip
    wanted, _ = _apply_autoscaling_config(by_requests)(context)
    return int(wanted)


def test_the_first_request_brings_one() -> None:
    assert decide(requests=1) == 1
    assert decide(requests=50) == 1


def test_a_load_goes_on_without_requests() -> None:
    assert decide(target=1) == 1


def test_the_last_one_goes_by_its_own_word() -> None:
    assert decide(31.0, downscale_to_zero_delay_s=30) == 0
    assert decide(29.0, downscale_to_zero_delay_s=30) == 1
    assert decide(None, downscale_to_zero_delay_s=30) == 1


def test_one_that_is_released_goes_at_once() -> None:
    assert decide(NEVER, downscale_to_zero_delay_s=3600) == 0


def test_not_while_serve_remembers_a_request() -> None:
    """One that waited: it would begin anew for it. What a replica is asked beside its work is no matter."""
    assert decide(NEVER, queued=0.1) == 1
    assert decide(NEVER, requests=0.1) == 0


def test_not_while_any_of_several_works() -> None:
    assert decide(NEVER, 0.0, NEVER, downscale_delay_s=600) == 3
    assert decide(NEVER, NEVER, None, downscale_delay_s=600) == 3
    # Serve goes through one: it never stops the last ones of several together.
    assert decide(NEVER, NEVER, NEVER, downscale_delay_s=600) == 1


def test_up_and_down_are_serves() -> None:
    assert decide(0.0, requests=6) == 3
    assert decide(0.0, requests=6, upscale_delay_s=60) == 1
    assert decide(0.0, 0.0, 0.0, requests=1, downscale_delay_s=0) == 1


@pytest.mark.parametrize("idle", [NEVER, 1e6])
def test_who_is_kept_stays(idle: float) -> None:
    assert decide(idle, min_replicas=1, downscale_to_zero_delay_s=1, downscale_delay_s=600) == 1
