"""The builders that Serve's declarative config names by import path."""

from typing import cast

from ray.serve import Application

from backends.serve.replica import Replica


def model(args: dict[str, object]) -> Application:
    """`args` is `{"spec": Spec}`; options of the deployment come from the config beside it."""
    return cast(Application, Replica.bind(args["spec"]))  # type: ignore[attr-defined]
