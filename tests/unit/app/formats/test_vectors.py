import base64
import struct

import orjson
import pytest

from app.formats.vectors import render
from backends.contract.results import Vectors

ROWS = ((0.1, -0.5, 3.25), (1e-7, 0.0, -1.0))
VECTORS = Vectors(struct.pack("<6f", *ROWS[0], *ROWS[1]), 2, 3, 5)


def test_numbers_have_the_digits_of_float32() -> None:
    text = orjson.dumps(render(VECTORS, "m", as_base64=False), option=orjson.OPT_SERIALIZE_NUMPY)
    assert b"[0.1,-0.5,3.25]" in text
    assert orjson.loads(text)["data"][1]["embedding"] == pytest.approx(ROWS[1])


def test_base64_is_the_rows_own_bytes() -> None:
    body = render(VECTORS, "m", as_base64=True)
    assert base64.b64decode(body["data"][1]["embedding"]) == struct.pack("<3f", *ROWS[1])
    assert [item["index"] for item in body["data"]] == [0, 1]
    assert (body["model"], body["usage"]) == ("m", {"prompt_tokens": 5, "total_tokens": 5})
