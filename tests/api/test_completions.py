"""`/v1/completions`: texts continued, whole and streamed, by the fake and by the demo model."""

from typing import Any

import httpx2
import openai
import pytest

PATH = "/v1/completions"
DEMO = "motley-demo-chat"
STORY = "Once upon a time"


def greedy(**fields: Any) -> dict[str, Any]:
    return {"model": DEMO, "prompt": STORY, "temperature": 0, **fields}


def test_a_text_is_continued(sdk: openai.OpenAI) -> None:
    answer = sdk.completions.create(model="fake-chat", prompt="hello there !words 4")
    (choice,) = answer.choices
    assert (choice.text, choice.finish_reason, choice.index) == ("w0 w1 w2 w3 ", "stop", 0)
    assert answer.object == "text_completion"
    assert answer.model == "fake-chat"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 4


def test_a_stream_says_what_the_document_says(sdk: openai.OpenAI) -> None:
    whole = sdk.completions.create(**greedy(n=2))
    stream = sdk.completions.create(**greedy(n=2), stream=True, stream_options={"include_usage": True})
    texts, finishes, usage = ["", ""], [[], []], None
    for chunk in stream:
        usage = chunk.usage or usage
        for choice in chunk.choices:
            texts[choice.index] += choice.text
            finishes[choice.index] += [choice.finish_reason] if choice.finish_reason else []
    assert texts == [choice.text for choice in whole.choices]
    assert finishes == [[choice.finish_reason] for choice in whole.choices]
    assert usage == whole.usage


def test_the_events_on_the_wire(http: httpx2.Client) -> None:
    for model in ("fake-chat", DEMO):
        answer = http.post(PATH, json={"model": model, "prompt": "hi", "stream": True, "max_tokens": 3})
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.text.endswith("data: [DONE]\n\n")
        assert '"usage"' not in answer.text


def test_sixteen_tokens_where_none_are_asked_for(sdk: openai.OpenAI) -> None:
    # Without its end the model writes on for as long as it may.
    for asked, told in (({}, 16), ({"max_tokens": 40}, 40)):
        usage = sdk.completions.create(**greedy(logit_bias={"2": -100}, **asked)).usage
        assert usage is not None
        assert usage.completion_tokens == told


def test_several_prompts_in_their_order(sdk: openai.OpenAI) -> None:
    prompts = [STORY, "The capital of France"]
    alone = [sdk.completions.create(**greedy(prompt=prompt)).choices[0].text for prompt in prompts]
    together = sdk.completions.create(**greedy(prompt=prompts, n=2))
    assert [choice.index for choice in together.choices] == [0, 1, 2, 3]
    assert [choice.text for choice in together.choices] == [alone[0], alone[0], alone[1], alone[1]]
    assert sdk.completions.create(model="fake-chat", prompt=["!words 1", "b"]).choices[1].text == "w0 "


@pytest.mark.parametrize("model", ["fake-chat", DEMO])
def test_the_prompt_is_echoed(sdk: openai.OpenAI, model: str) -> None:
    asked: dict[str, Any] = {"model": model, "prompt": STORY, "temperature": 0, "max_tokens": 3}
    plain = sdk.completions.create(**asked).choices[0].text
    assert sdk.completions.create(**asked, echo=True).choices[0].text == STORY + plain
    streamed = sdk.completions.create(**asked, echo=True, stream=True)
    assert "".join(chunk.choices[0].text for chunk in streamed) == STORY + plain


def test_nothing_but_the_prompt(sdk: openai.OpenAI) -> None:
    answer = sdk.completions.create(**greedy(max_tokens=0, echo=True))
    assert (answer.choices[0].text, answer.choices[0].finish_reason) == (STORY, "length")
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 0


def test_a_stop_string(sdk: openai.OpenAI) -> None:
    whole = sdk.completions.create(**greedy()).choices[0].text
    stop = whole[2:5]
    choice = sdk.completions.create(**greedy(stop=stop)).choices[0]
    assert (choice.text, choice.finish_reason) == (whole[: whole.index(stop)], "stop")


@pytest.mark.parametrize("most", [0, 3])
def test_probabilities(sdk: openai.OpenAI, most: int) -> None:
    choice = sdk.completions.create(**greedy(logprobs=most, max_tokens=6)).choices[0]
    told = choice.logprobs
    assert told is not None
    assert told.tokens is not None
    assert "".join(told.tokens) == choice.text
    assert told.text_offset == [sum(map(len, told.tokens[:at])) for at in range(len(told.tokens))]
    assert told.token_logprobs is not None
    assert all(value <= 0 for value in told.token_logprobs)
    if most:
        assert told.top_logprobs is not None
        for token, value, top in zip(told.tokens, told.token_logprobs, told.top_logprobs, strict=True):
            # Greedy: none is likelier than the chosen one.
            assert max(top.values()) == top[token] == value
    else:
        assert told.top_logprobs is None


def test_a_template_written_by_hand_is_read_as_one(sdk: openai.OpenAI) -> None:
    """A prompt is all the caller's own: names of control tokens are those tokens."""
    prompt = "<|im_start|>user\nHello<|im_end|>\n<|im_start|>assistant\n"
    said = sdk.completions.create(**greedy(prompt=prompt, max_tokens=50)).choices[0]
    asked: Any = [{"role": "user", "content": "Hello"}]
    chat = sdk.chat.completions.create(model=DEMO, messages=asked, temperature=0, max_tokens=50)
    assert said.text == chat.choices[0].message.content
    assert said.finish_reason == "stop"


WRONG: list[tuple[dict[str, Any], str]] = [
    ({"prompt": None}, "prompt"),
    ({"prompt": ""}, "prompt"),
    ({"prompt": []}, "prompt"),
    ({"prompt": ["a", ""]}, "prompt"),
    ({"prompt": [1, 2]}, "prompt"),
    ({"prompt": [[1, 2]]}, "prompt"),
    ({"prompt": {"text": "a"}}, "prompt"),
    ({"prompt": "cut\0here"}, "prompt"),
    ({"suffix": "the end"}, "suffix"),
    ({"best_of": 3}, "best_of"),
    ({"logprobs": 6}, "logprobs"),
    ({"logprobs": True}, "logprobs"),
    ({"echo": True, "logprobs": 1}, "echo"),
    ({"echo": "yes"}, "echo"),
    ({"max_tokens": -1}, "max_tokens"),
    ({"n": 0}, "n"),
    ({"prompt": ["a"] * 9, "n": 2}, "n"),
    ({"prompt": ["a"] * 17}, "prompt"),
    ({"temperature": 3}, "temperature"),
    ({"stop": list("abcde")}, "stop"),
    ({"stream_options": {"include_usage": True}}, "stream_options"),
    ({"messages": []}, "messages"),
    ({"surprise": 1}, "surprise"),
]


@pytest.mark.parametrize(("fields", "param"), WRONG, ids=[f"{w}-{n}" for n, (_, w) in enumerate(WRONG)])
def test_what_is_wrong_is_named(http: httpx2.Client, fields: dict[str, Any], param: str) -> None:
    answer = http.post(PATH, json=greedy(**fields))
    assert answer.status_code == 400, answer.text
    assert answer.json()["error"]["param"] == param


def test_a_suffix_is_refused_by_the_fake_too(http: httpx2.Client) -> None:
    answer = http.post(PATH, json={"model": "fake-chat", "prompt": "a", "suffix": "b"})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "suffix")


@pytest.mark.parametrize("stream", [False, True])
def test_an_over_long_prompt(http: httpx2.Client, stream: bool) -> None:
    error = http.post(PATH, json=greedy(prompt="a fox and a hen " * 5000, stream=stream)).json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")


def test_a_model_that_does_not_chat(http: httpx2.Client) -> None:
    error = http.post(PATH, json={"model": "fake-embed", "prompt": "a"}).json()["error"]
    assert (error["code"], error["param"]) == ("task_unsupported", "model")


def test_an_alias_in_the_path(http: httpx2.Client) -> None:
    assert http.post(f"/llm{PATH}", json={"prompt": "!words 1"}).json()["choices"][0]["text"] == "w0 "
