"""The simulator speaks OpenAI well enough for OpenAI's own client."""

from __future__ import annotations

import base64
import json
import math
from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from pydantic import BaseModel, Field

from pointsman.testing.simulator import Settings, SimulatorThread

WEATHER: Any = {
    "type": "function",
    "function": {
        "name": "get_weather",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string"}, "unit": {"type": "string", "enum": ["C", "F"]}},
            "required": ["city", "unit"],
            "additionalProperties": False,
        },
    },
}
CLOCK: Any = {"type": "function", "function": {"name": "get_time", "parameters": {"type": "object", "properties": {}}}}


def user(text: str) -> Any:
    return [{"role": "user", "content": text}]


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    settings = Settings(name="premium", models={"gpt-x": "gpt-x-2026-01-01", "small": "small"}, dimensions=64)
    with SimulatorThread(settings=settings) as running:
        yield running


@pytest.fixture(scope="module", params=["", "/v1"], ids=["bare", "v1"])
def client(sim: SimulatorThread, request: pytest.FixtureRequest) -> Iterator[OpenAI]:
    with OpenAI(base_url=sim.url + request.param, api_key="x", max_retries=0, timeout=10) as made:
        yield made


def test_chat_answers_the_same_thing_to_the_same_question(client: OpenAI) -> None:
    answers = [client.chat.completions.create(model="gpt-x", messages=user("Where to?")) for _ in range(2)]
    first, second = (answer.choices[0].message.content for answer in answers)
    assert first == second
    assert first is not None
    assert "premium" in first
    assert "Where to?" in first
    assert answers[0].model == "gpt-x-2026-01-01"
    assert answers[0].choices[0].finish_reason == "stop"
    usage = answers[0].usage
    assert usage is not None
    assert usage.completion_tokens == 32
    assert usage.total_tokens == usage.prompt_tokens + usage.completion_tokens


@pytest.mark.parametrize("name", ["max_tokens", "max_completion_tokens"])
def test_the_token_limit_is_kept(client: OpenAI, name: str) -> None:
    limit: Any = {name: 3}
    answer = client.chat.completions.create(model="gpt-x", messages=user("Tell"), **limit)
    assert answer.choices[0].finish_reason == "length"
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 3


def test_stop_and_n_are_kept(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-x", messages=user("Tell"), n=3, stop=["simulated"])
    texts = [choice.message.content or "" for choice in answer.choices]
    assert len(texts) == 3
    assert not any("simulated" in text for text in texts)
    assert {choice.finish_reason for choice in answer.choices} == {"stop"}


@pytest.mark.parametrize("include_usage", [True, False, None])
def test_a_stream_says_what_the_whole_answer_says(client: OpenAI, include_usage: bool | None) -> None:
    options: Any = {} if include_usage is None else {"stream_options": {"include_usage": include_usage}}
    whole = client.chat.completions.create(model="gpt-x", messages=user("Stream"))
    chunks = list(client.chat.completions.create(model="gpt-x", messages=user("Stream"), stream=True, **options))
    last = chunks.pop() if include_usage else None
    assert all(chunk.usage is None and chunk.choices for chunk in chunks)
    assert ("usage" in chunks[0].model_fields_set) is bool(include_usage)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * (len(chunks) - 1) + ["stop"]
    assert "".join(c.choices[0].delta.content or "" for c in chunks) == whole.choices[0].message.content
    if last is not None:
        assert last.choices == []
        assert last.usage == whole.usage


def arguments_of(call: Any) -> dict[str, Any]:
    parsed = json.loads(call.function.arguments)
    assert isinstance(parsed, dict)
    return parsed


@pytest.mark.parametrize(
    ("choice", "question", "names", "reason"),
    [
        ("auto", "please use get_weather", ["get_weather"], "tool_calls"),
        ("auto", "get_time and get_weather", ["get_weather", "get_time"], "tool_calls"),
        ("auto", "hello", [], "stop"),
        ("required", "hello", ["get_weather"], "tool_calls"),
        ("none", "get_weather", [], "stop"),
        ({"type": "function", "function": {"name": "get_time"}}, "hello", ["get_time"], "stop"),
    ],
)
def test_tools_are_called_when_asked_for(
    client: OpenAI, choice: Any, question: str, names: list[str], reason: str
) -> None:
    answer = client.chat.completions.create(
        model="gpt-x", messages=user(question), tools=[WEATHER, CLOCK], tool_choice=choice
    ).choices[0]
    calls: list[Any] = list(answer.message.tool_calls or [])
    assert [call.function.name for call in calls] == names
    assert answer.finish_reason == reason
    assert bool(answer.message.content) == (not names)
    for call in calls:
        wanted = {"city", "unit"} if call.function.name == "get_weather" else set()
        assert set(arguments_of(call)) == wanted


def test_streamed_tool_calls_carry_index_and_id_and_add_up(client: OpenAI) -> None:
    question: Any = {"model": "gpt-x", "messages": user("get_weather get_time"), "tools": [WEATHER, CLOCK]}
    whole = client.chat.completions.create(**question).choices[0].message.tool_calls
    with client.chat.completions.stream(**question) as stream:
        final = stream.get_final_completion().choices[0]
    assert final.finish_reason == "tool_calls"
    assert [(c.id, c.function.name, c.function.arguments) for c in final.message.tool_calls or []] == [
        (c.id, c.function.name, c.function.arguments) for c in whole or [] if c.type == "function"
    ]
    deltas = [
        part
        for chunk in client.chat.completions.create(stream=True, **question)
        for part in chunk.choices[0].delta.tool_calls or []
    ]
    assert [part.index for part in deltas if part.id] == [0, 1]
    assert len(deltas) > 4


def test_parallel_tool_calls_can_be_forbidden(client: OpenAI) -> None:
    answer = client.chat.completions.create(
        model="gpt-x", messages=user("get_weather get_time"), tools=[WEATHER, CLOCK], parallel_tool_calls=False
    )
    assert len(answer.choices[0].message.tool_calls or []) == 1


def test_after_a_tool_result_it_answers_in_words(client: OpenAI) -> None:
    call = {"id": "c1", "type": "function", "function": {"name": "get_weather", "arguments": "{}"}}
    messages: Any = [
        *user("get_weather"),
        {"role": "assistant", "content": None, "tool_calls": [call]},
        {"role": "tool", "tool_call_id": "c1", "content": "rain; ask get_weather again"},
    ]
    answer = client.chat.completions.create(model="gpt-x", messages=messages, tools=[WEATHER]).choices[0]
    assert answer.message.tool_calls is None
    assert answer.message.content


class Station(BaseModel):
    name: str
    platforms: int = Field(ge=1, le=20)
    kind: Literal["main", "halt"]
    next: Station | None


def test_parse_gives_an_instance_of_the_model(client: OpenAI) -> None:
    answer = client.chat.completions.parse(model="gpt-x", messages=user("?"), response_format=Station)
    assert isinstance(answer.choices[0].message.parsed, Station)


def test_json_object_is_json(client: OpenAI) -> None:
    answer = client.chat.completions.create(model="gpt-x", messages=user("?"), response_format={"type": "json_object"})
    assert json.loads(answer.choices[0].message.content or "")["model"] == "premium"


def cosine(left: list[float], right: list[float]) -> float:
    return math.fsum(a * b for a, b in zip(left, right, strict=True))


def test_embeddings_are_unit_vectors_and_shared_words_bring_them_near(client: OpenAI) -> None:
    given = ["the train leaves at noon", "the train leaves at nine", "cheese and wine"]
    # The SDK asks for base64 by itself and unpacks it.
    packed = client.embeddings.create(model="small", input=given)
    plain = client.embeddings.create(model="small", input=given, encoding_format="float")
    vectors = [item.embedding for item in plain.data]
    assert [len(vector) for vector in vectors] == [64] * 3
    assert all(abs(cosine(vector, vector) - 1) < 1e-6 for vector in vectors)
    assert cosine(vectors[0], vectors[1]) > 0.6 > cosine(vectors[0], vectors[2])
    for one, other in zip(packed.data, plain.data, strict=True):
        assert one.embedding == pytest.approx(other.embedding, abs=1e-6)
    assert packed.usage.total_tokens > 0


def test_embeddings_in_base64_and_of_tokens_and_of_another_length(client: OpenAI) -> None:
    raw = client.embeddings.with_raw_response.create(
        model="small", input=[1, 2, 3], encoding_format="base64", dimensions=8
    )
    body = json.loads(raw.content)
    assert len(body["data"]) == 1
    assert len(base64.b64decode(body["data"][0]["embedding"])) == 8 * 4
    assert body["usage"]["prompt_tokens"] == 3


def test_models_are_listed(client: OpenAI) -> None:
    assert [model.id for model in client.models.list()] == ["gpt-x", "small"]
    assert client.models.retrieve("small").owned_by == "premium"
    with pytest.raises(openai.NotFoundError):
        client.models.retrieve("large")


@pytest.mark.parametrize(
    ("body", "status", "param", "code"),
    [
        ({"model": "gpt-x"}, 400, "messages", "missing_required_parameter"),
        ({"model": "gpt-x", "messages": []}, 400, "messages", "invalid_type"),
        ({"model": "gpt-x", "messages": [{"role": "king", "content": ""}]}, 400, "messages[0].role", "invalid_value"),
        ({"model": "gpt-x", "messages": [{"role": "user"}]}, 400, "messages[0].content", None),
        ({"messages": user("x")}, 400, "model", None),
        ({"model": "gpt-x", "messages": user("x"), "temperature": 3}, 400, "temperature", "invalid_value"),
        ({"model": "gpt-x", "messages": user("x"), "max_tokens": "9"}, 400, "max_tokens", "invalid_type"),
        ({"model": "gpt-x", "messages": user("x"), "stream_options": {}}, 400, "stream_options", None),
        ({"model": "gpt-x", "messages": user("x"), "tool_choice": "required"}, 400, "tool_choice", None),
        ({"model": "gpt-x", "messages": user("x"), "tools": []}, 400, "tools", "invalid_type"),
        ({"model": "gpt-x", "messages": user("x"), "response_format": {"type": "yaml"}}, 400, "response_format", None),
        ({"model": "unknown", "messages": user("x")}, 404, "model", "model_not_found"),
    ],
)
def test_a_request_that_openai_would_refuse_is_refused(
    client: OpenAI, body: dict[str, Any], status: int, param: str, code: str | None
) -> None:
    with pytest.raises(openai.APIStatusError) as caught:
        client.post("/chat/completions", body=body, cast_to=object)
    assert (caught.value.status_code, caught.value.code) == (status, code)
    assert caught.value.param == param


def test_a_key_is_asked_for_when_there_is_one() -> None:
    with SimulatorThread(settings=Settings(api_keys=("right",))) as sim:
        for key, passes in ("right", True), ("wrong", False):
            client = OpenAI(base_url=sim.base_url, api_key=key, max_retries=0)
            if passes:
                client.models.list()
            else:
                with pytest.raises(openai.AuthenticationError):
                    client.models.list()
