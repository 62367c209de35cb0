"""The builders that Serve's declarative config names by import path."""

from typing import cast

from ray.serve import Application

from backends.serve.replica import Replica
from backends.serve.slot import SlotReplica


def model(args: dict[str, object]) -> Application:
    """`args` is `{"spec": Spec}`; options of the deployment come from the config beside it."""
    return cast(Application, Replica.bind(args["spec"]))  # type: ignore[attr-defined]


def slot(args: dict[str, object]) -> Application:
    """The same with a `SlotSpec`."""
    return cast(Application, SlotReplica.bind(args["spec"]))  # type: ignore[attr-defined]
