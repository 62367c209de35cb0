"""What is declared to Serve: read from what its API shows, changed, and ready to be declared anew. Pure."""

from collections.abc import Mapping
from typing import Any

from backends.fleet import DOOR
from backends.fleet.traffic import Public, TrafficRefused

Config = dict[str, Any]


def config_of(details: Mapping[str, Any]) -> Config:
    """`ServeInstanceDetails` → the body of the `PUT` that stands behind it."""
    applications = [
        found["deployed_app_config"]
        for found in details["applications"].values()
        if found.get("deployed_app_config") and found["status"] != "DELETING"
    ]
    kept = {key: details[key] for key in ("proxy_location", "http_options") if details.get(key)}
    return {**kept, "applications": applications}


def applications(config: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """By name."""
    return {application["name"]: application for application in config["applications"]}


def public_of(config: Mapping[str, Any]) -> Public | None:
    """What the doors were told; None where there is no door."""
    door = applications(config).get(DOOR)
    return None if door is None else Public.model_validate(door["deployments"][0]["user_config"])


def with_public(config: Config, public: Public) -> Config:
    """The same, but for what the doors are told."""

    def told(application: dict[str, Any]) -> dict[str, Any]:
        if application["name"] != DOOR:
            return application
        (deployment,) = application["deployments"]
        deployment = {**deployment, "user_config": public.model_dump(mode="json")}
        return {**application, "deployments": [deployment]}

    return {**config, "applications": [told(application) for application in config["applications"]]}


def must_be_told(config: Mapping[str, Any]) -> Public:
    """Raises TrafficRefused where no Motley runs."""
    public = public_of(config)
    if public is None:
        raise TrafficRefused("no door of Motley's runs on that cluster")
    return public
