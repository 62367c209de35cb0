"""A door without keys: for this machine, and for no stranger's page on it."""

import pytest
from starlette.datastructures import Headers

from app.guard.keyfile import KeysError
from app.guard.visitors import Visitors, must_be_guarded
from app.settings import Settings
from backends.contract.errors import Forbidden

FINE = [
    {"host": "127.0.0.1:8000"},
    {"host": "[::1]:8000"},
    {"host": "localhost:8000"},
    {"host": "motley.localhost"},
    {"host": "door"},
    {},
    {"host": "localhost:8000", "origin": "http://localhost:8000"},
    {"host": "localhost:8000", "origin": "https://chat.example.com"},
]
WRONG = [
    ({"host": "evil.example:8000"}, "host_not_allowed"),
    ({"host": "evil.example:8000", "origin": "http://evil.example:8000"}, "host_not_allowed"),
    ({"host": "127.0.0.1.evil.example"}, "host_not_allowed"),
    ({"host": "["}, "host_not_allowed"),
    ({"host": "localhost:8000", "origin": "https://evil.example"}, "origin_not_allowed"),
    ({"host": "localhost:8000", "origin": "http://localhost:3000"}, "origin_not_allowed"),
    ({"host": "localhost:8000", "origin": "null"}, "origin_not_allowed"),
]


@pytest.mark.parametrize("headers", FINE)
def test_programs_and_pages_of_ours(headers: dict[str, str]) -> None:
    Visitors(["https://chat.example.com"]).must_be_fine(Headers(headers))


@pytest.mark.parametrize(("headers", "code"), WRONG)
def test_cve_2025_62593_a_strangers_page_in_the_browser(headers: dict[str, str], code: str) -> None:
    """Ray's dashboard could be driven by any page, by posts or by rebinding a name to loopback. Defence:
    without keys the `Host` must be no name that a stranger can own, and the `Origin` ours."""
    with pytest.raises(Forbidden) as refused:
        Visitors(["https://chat.example.com"]).must_be_fine(Headers(headers))
    assert refused.value.code == code
    Visitors(all_in=True).must_be_fine(Headers(headers))


IN_CLUSTER = [
    "llm-predictor.ai-ml", "llm-predictor.ai-ml:8000", "llm-predictor.ai-ml.svc", "llm-predictor.team2",
    "llm-predictor.default.svc", "llm-predictor.default.svc.cluster.local",
    "llm-predictor.ai-ml.svc.cluster.local.",
]  # fmt: skip
OWNABLE = [
    "llm-predictor.ai", "llm-predictor.default", "llm-predictor.xn--p1ai", "llm-predictor.evil.example",
    "llm-predictor.svc.evil.example", "llm-predictor.ai-ml.svc.evil.example", "llm-predictor.ai-ml.evil.svc",
    "llm-predictor.", "llm-predictor.[",
]  # fmt: skip


def test_a_predictor_of_the_fleet_in_a_cluster() -> None:
    """No page of a stranger's has such a host: none of these can be bought."""
    for host in IN_CLUSTER:
        Visitors().must_be_fine(Headers({"host": host}), predictor=True)
        with pytest.raises(Forbidden):
            Visitors().must_be_fine(Headers({"host": host}))
        with pytest.raises(Forbidden):
            Visitors().must_be_fine(Headers({"host": host, "origin": "https://evil.example"}), predictor=True)
    for host in OWNABLE:
        with pytest.raises(Forbidden):
            Visitors().must_be_fine(Headers({"host": host}), predictor=True)


@pytest.mark.parametrize(
    "host", ["0.0.0.0", "::", "192.168.1.2", "gpu-box", "motley.example.com", "::ffff:1.2.3.4"]
)
def test_beyond_loopback_somebody_must_ask(host: str) -> None:
    with pytest.raises(KeysError, match="motley keys create"):
        must_be_guarded(host, Settings(_env_file=None))
    for fine in ({"api_keys": "sk-a"}, {"keys_file": "/etc/keys.json"}, {"open_to_all": True}):
        must_be_guarded(host, Settings(_env_file=None, **fine))


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "[::1]", "localhost"])
def test_loopback_is_open(host: str) -> None:
    must_be_guarded(host, Settings(_env_file=None))
