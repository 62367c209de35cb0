"""Every failure has its envelope."""

import pytest

from app.errors import envelope, param_of, response
from backends.contract import errors
from backends.contract.errors import GatewayError, InvalidRequest, NotReady, Overloaded, Unauthenticated

from .conftest import Enter, fleet


def kinds(base: type[GatewayError] = GatewayError) -> list[type[GatewayError]]:
    return [base, *(kind for below in base.__subclasses__() for kind in kinds(below))]


@pytest.mark.parametrize("kind", kinds())
def test_each_class_is_one_status_type_and_code(kind: type[GatewayError]) -> None:
    answer = response(kind("what happened", param="it"))
    assert answer.status_code == kind.status
    assert envelope(kind("what happened", param="it")) == {
        "error": {"message": "what happened", "type": kind.type, "param": "it", "code": kind.code}
    }
    assert kind.__name__ in (errors.__doc__ or "")


def test_headers() -> None:
    assert response(Overloaded("full", retry_after=0.2)).headers["retry-after"] == "1"
    assert response(NotReady("loading", retry_after=2.1)).headers["retry-after"] == "3"
    assert response(Unauthenticated("who?")).headers["www-authenticate"] == "Bearer"
    assert "retry-after" not in response(InvalidRequest("no")).headers


def test_params_are_written_as_openai_writes_them() -> None:
    assert param_of(("messages", 0, "content", 1, "type")) == "messages[0].content[1].type"
    assert param_of(("stream",)) == "stream"
    assert param_of(()) is None


async def test_the_unexpected_is_a_bare_500(enter: Enter, caplog: pytest.LogCaptureFixture) -> None:
    client = await enter(fleet(m={}))

    @client.app.get("/v1/broken")  # type: ignore[attr-defined]
    async def broken() -> None:
        raise LookupError("a secret on /some/path")

    answer = await client.get("/v1/broken", headers={"x-request-id": "mine"})
    assert answer.status_code == 500
    assert answer.json()["error"]["code"] == "internal_error"
    assert "secret" not in answer.text
    assert answer.headers["x-request-id"] == "mine"
    assert "a secret on /some/path" in caplog.text
