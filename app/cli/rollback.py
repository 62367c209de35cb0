"""`motley rollback MODEL`: the traffic as it was before its last change."""

from app.cli.at import ADDRESS, Address, AsJson
from app.cli.changing import change
from app.cli.traffic import Model
from backends.fleet.traffic import rolled_back


def rollback(model: Model, address: Address = ADDRESS, as_json: AsJson = False) -> None:
    """Split a model's requests as before the last change.

    Done twice, it is as it was.
    """
    change(address, model, lambda public, now: rolled_back(public, model, now), as_json, "rollback")
