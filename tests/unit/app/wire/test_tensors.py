"""Requests of tensors: what is written is read again, and what does not fit together is refused."""

from contextlib import suppress
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as some

from app.formats.tensors import Output, render
from app.wire.tensors import Asked, read
from backends.contract.errors import InvalidRequest

TENSORS = some.lists(
    some.tuples(some.lists(some.text(), min_size=1, max_size=5), some.booleans()), max_size=4, min_size=1
)


def packed(elements: list[str]) -> bytes:
    return b"".join(len(raw).to_bytes(4, "little") + raw for raw in map(str.encode, elements))


def written(tensors: list[tuple[list[str], bool]], **more: Any) -> tuple[bytes, str | None]:
    """(elements, whether as binary data) of each → the body, and its header."""
    inputs, behind = [], b""
    for number, (elements, binary) in enumerate(tensors):
        one: dict[str, Any] = {"name": f"t{number}", "shape": [len(elements)], "datatype": "BYTES"}
        if binary:
            behind += packed(elements)
            one["parameters"] = {"binary_data_size": len(packed(elements))}
        else:
            one["data"] = elements
        inputs.append(one)
    head = orjson.dumps({"inputs": inputs, **more})
    return head + behind, str(len(head)) if behind else None


def text(data: list[Any], shape: list[int], **more: Any) -> Asked:
    one = {"name": "text", "shape": shape, "datatype": "BYTES", "data": data, **more}
    return read(orjson.dumps({"inputs": [one]}), None)


@given(TENSORS)
@settings(deadline=None, max_examples=50)
def test_what_is_written_is_read(tensors: list[tuple[list[str], bool]]) -> None:
    asked = read(*written(tensors, id="7"))
    assert asked.request.id == "7"
    assert [([raw.decode() for raw in one.elements], one.binary) for one in asked.tensors.values()] == tensors


@given(some.binary(max_size=200), some.integers(0, 200), some.integers(0, 3), TENSORS)
@settings(deadline=None, max_examples=100)
def test_what_is_broken_is_refused(
    noise: bytes, at: int, more: int, tensors: list[tuple[list[str], bool]]
) -> None:
    """Whatever comes, and wherever: our own error, or a request."""
    body, header = written(tensors)
    for broken in (noise, body[:at], body[:at] + noise + body[at + more :], body + noise):
        for length in (header, None, str(at), str(len(broken))):
            with suppress(InvalidRequest):
                read(broken, length)


def test_rows_may_be_nested() -> None:
    assert text([["a", "b"], ["c", "d"]], [2, 2]).tensors == text(["a", "b", "c", "d"], [2, 2]).tensors


@pytest.mark.parametrize(
    ("data", "shape", "more", "param"),
    [
        (["a"], [2], {}, "inputs[0].data"),
        (["a", "b"], [1], {}, "inputs[0].data"),
        ([1], [1], {}, "inputs[0].data[0]"),
        ([["a"], [None]], [2], {}, "inputs[0].data[1][0]"),
        (["a"], [], {}, "inputs[0].shape"),
        (["a"], [0], {}, "inputs[0].shape"),
        (["a"], [-1, -1], {}, "inputs[0].shape[0]"),
        (["a"], [10**12, 10**12], {}, "inputs[0].shape"),
        (["a"], [1], {"datatype": "FP32"}, "inputs[0].datatype"),
        (["a"], [1], {"name": ""}, "inputs[0].name"),
        (["a"], [1], {"rows": 1}, "inputs[0].rows"),
        (["a"], [1], {"parameters": {"binary_data_size": 5}}, "inputs[0]"),
        (None, [1], {}, "inputs[0]"),
        (None, [1], {"parameters": {"binary_data_size": True}}, "inputs[0].parameters.binary_data_size"),
        (None, [1], {"parameters": {"binary_data_size": 5}}, "inputs[0].parameters.binary_data_size"),
        (
            None,
            [1],
            {"parameters": {"shared_memory_region": "r"}},
            "inputs[0].parameters.shared_memory_region",
        ),
    ],
)
def test_an_input_that_does_not_agree(data: Any, shape: list[int], more: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refused:
        text(data, shape, **more)
    assert refused.value.param == param


def test_twice_the_same_name() -> None:
    body = orjson.loads(written([(["a"], False)])[0])
    with pytest.raises(InvalidRequest, match="twice"):
        read(orjson.dumps({"inputs": body["inputs"] * 2}), None)


@pytest.mark.parametrize("body", [b"", b"[]", b"{}", b"1", b'{"inputs": []}', b"[" * 100 + b"]" * 100])
def test_no_request_at_all(body: bytes) -> None:
    for header in (None, str(len(body))):
        with pytest.raises(InvalidRequest):
            read(body, header)


def test_which_outputs_come_as_binary_data() -> None:
    def binary(**more: Any) -> frozenset[str] | None:
        return read(*written([(["a"], False)], **more)).binary

    every = {"parameters": {"binary_data_output": True}}
    assert binary() == frozenset()
    assert binary(**every) is None
    assert binary(outputs=[{"name": "a"}]) == frozenset()
    assert binary(outputs=[{"name": "a"}, {"name": "b", "parameters": {"binary_data": False}}], **every) == {
        "a"
    }
    assert binary(outputs=[{"name": "b", "parameters": {"binary_data": True}}]) == {"b"}
    with pytest.raises(InvalidRequest) as refused:
        binary(parameters={"binary_data_output": "yes"})
    assert refused.value.param == "parameters.binary_data_output"


def test_an_answer_is_the_same_either_way() -> None:
    outputs = [
        Output.texts("said", "ä", ""),
        Output.numbers("seconds", 1.5),
        Output("sound", "BYTES", (1,), [b"\xff"], True),
    ]
    plain, none = render({"id": "7"}, outputs, ())
    assert none is None
    assert orjson.loads(plain) == {
        "id": "7",
        "outputs": [
            {"name": "said", "datatype": "BYTES", "shape": [2], "data": ["ä", ""]},
            {"name": "seconds", "datatype": "FP32", "shape": [1], "data": [1.5]},
            {"name": "sound", "datatype": "BYTES", "shape": [1], "data": ["/w=="]},
        ],
    }
    body, length = render({}, outputs, {"said", "sound"})
    told = orjson.loads(body[:length])["outputs"]
    assert [one.get("parameters") for one in told] == [
        {"binary_data_size": 10},
        None,
        {"binary_data_size": 5},
    ]
    assert body[length:] == b"\2\0\0\0\xc3\xa4\0\0\0\0" + b"\1\0\0\0\xff"
