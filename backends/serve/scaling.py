"""When a variant has too many replicas, or too few: Serve's own policy, and when the last one goes.

Serve looks at requests now and then, so it takes a model for idle that answers a short one each second. A
replica knows: it tells for how long it has had nothing to do, and the last one goes by that alone.
"""

from typing import Any

from ray.serve.autoscaling_policy import replica_queue_length_autoscaling_policy
from ray.serve.config import AutoscalingContext

# What replicas tell, in seconds; infinite for one that an operator wants gone.
IDLE_S = "idle_s"
AT_ONCE = {"downscale_delay_s": 0.0, "downscale_to_zero_delay_s": 0.0}


def by_requests(context: AutoscalingContext) -> tuple[float, dict[str, Any]]:
    """Serve's hook, in its controller: replicas wanted, and what to remember (nothing of ours).

    `downscale_to_zero_delay_s` of the config is how long all replicas must have been idle. Nor must Serve
    have seen a request wait in its window: it would begin anew at once for what it still remembers.
    """
    wanted, memory = replica_queue_length_autoscaling_policy(context)
    running, config = context.current_num_replicas, context.config
    if not running or config is None or config.min_replicas:
        return wanted, memory
    idle = [told[-1].value for told in (context.raw_metrics or {}).get(IDLE_S, {}).values() if told]
    spared = len(idle) == running and min(idle) >= config.downscale_to_zero_delay_s
    if spared and not context.total_queued_requests:
        # For this decision alone: the context is made anew for each.
        context.config = config.model_copy(update=AT_ONCE)
        return 0, memory
    return max(1, wanted), memory
