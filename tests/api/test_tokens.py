"""`/tokenize` and `/detokenize`: what the demo model makes of a text, and back."""

from typing import Any

import httpx2
import pytest

DEMO = "motley-demo-chat"
HELLO = [{"role": "user", "content": "Hello, grüß dich!"}]
WEATHER = {
    "type": "function",
    "function": {"name": "get_weather", "parameters": {"type": "object", "properties": {}}},
}


def tokenized(http: httpx2.Client, **fields: Any) -> Any:
    answer = http.post("/tokenize", json={"model": DEMO, **fields})
    assert answer.status_code == 200, answer.text
    return answer.json()


def text_of(http: httpx2.Client, tokens: list[int]) -> str:
    answer = http.post("/detokenize", json={"model": DEMO, "tokens": tokens})
    assert answer.status_code == 200, answer.text
    return str(answer.json()["prompt"])


def test_a_text_there_and_back(http: httpx2.Client) -> None:
    text = "Hello, grüß dich! 🦊 <|im_end|>\n"
    told = tokenized(http, prompt=text, return_token_strs=True)
    assert told["count"] == len(told["tokens"]) == len(told["token_strs"])
    assert told["token_strs"][0] == "Hello"
    assert told["max_model_len"] > 0
    assert text_of(http, told["tokens"]) == text
    assert tokenized(http, prompt="Hello")["token_strs"] is None
    assert tokenized(http, prompt="")["tokens"] == []
    assert text_of(http, []) == ""


@pytest.mark.parametrize("tools", [None, [WEATHER]])
def test_a_conversation_is_counted_as_it_will_be_read(http: httpx2.Client, tools: Any) -> None:
    told = tokenized(http, messages=HELLO, tools=tools)
    body = {"model": DEMO, "messages": HELLO, "tools": tools, "max_tokens": 1}
    answer = http.post("/v1/chat/completions", json=body).json()
    assert told["count"] == answer["usage"]["prompt_tokens"]
    assert ("get_weather" in text_of(http, told["tokens"])) == bool(tools)


def test_where_the_answer_begins(http: httpx2.Client) -> None:
    opened, closed = (
        text_of(http, tokenized(http, messages=HELLO, add_generation_prompt=opens)["tokens"])
        for opens in (True, False)
    )
    assert opened == closed + "<|im_start|>assistant\n"


def test_names_of_control_tokens_in_messages_are_text(http: httpx2.Client) -> None:
    said = [{"role": "user", "content": "<|im_end|>"}]
    ends = [
        tokenized(http, messages=messages)["tokens"].count(tokenized(http, prompt="<|im_end|>")["tokens"][0])
        for messages in (said, HELLO)
    ]
    assert ends[0] == ends[1]


WRONG: list[tuple[str, dict[str, Any], str]] = [
    ("/tokenize", {}, "prompt"),
    ("/tokenize", {"prompt": ["a"]}, "prompt"),
    ("/tokenize", {"prompt": "a", "messages": HELLO}, "messages"),
    ("/tokenize", {"prompt": "a", "add_generation_prompt": True}, "add_generation_prompt"),
    ("/tokenize", {"prompt": "a", "stream": True}, "stream"),
    ("/tokenize", {"prompt": "a\0b"}, "prompt"),
    ("/tokenize", {"prompt": "a", "return_token_strs": "yes"}, "return_token_strs"),
    ("/tokenize", {"messages": [{"role": "user"}]}, "messages[0].content"),
    ("/tokenize", {"messages": HELLO, "continue_final_message": True}, "continue_final_message"),
    ("/tokenize", {"messages": HELLO, "chat_template": "{{ 1 }}"}, "chat_template"),
    ("/tokenize", {"messages": HELLO, "chat_template_kwargs": {"a": 1}}, "chat_template_kwargs"),
    ("/tokenize", {"messages": HELLO, "tools": [WEATHER, WEATHER]}, "tools[1].function.name"),
    ("/detokenize", {}, "tokens"),
    ("/detokenize", {"tokens": "a"}, "tokens"),
    ("/detokenize", {"tokens": [1, 10**9]}, "tokens[1]"),
    ("/detokenize", {"tokens": [-1]}, "tokens[0]"),
    ("/detokenize", {"tokens": [1], "skip_special_tokens": True}, "skip_special_tokens"),
]


@pytest.mark.parametrize(
    ("path", "fields", "param"), WRONG, ids=[f"{w}-{n}" for n, (_, _, w) in enumerate(WRONG)]
)
def test_what_is_wrong_is_named(http: httpx2.Client, path: str, fields: dict[str, Any], param: str) -> None:
    answer = http.post(path, json={"model": DEMO, **fields})
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


@pytest.mark.parametrize(
    ("path", "fields"), [("/tokenize", {"prompt": "a"}), ("/detokenize", {"tokens": [1]})]
)
def test_an_engine_without_tokens_says_so(http: httpx2.Client, path: str, fields: Any) -> None:
    # By the alias in the path, too, as for every endpoint.
    for where, model in ((path, {"model": "fake-chat"}), (f"/llm{path}", {})):
        error = http.post(where, json={**model, **fields}).json()["error"]
        assert (error["code"], error["param"]) == ("task_unsupported", "model")
    assert http.post(f"/{DEMO}{path}", json=fields).status_code == 200
    assert http.post(path, json=fields, headers={"authorization": ""}).status_code == 401
