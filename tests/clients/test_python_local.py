"""The unmodified OpenAI SDK for Python against a gateway with a real model on this machine."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import openai
import pytest
from openai import OpenAI
from openai.types.chat import ChatCompletionMessageParam
from pydantic import BaseModel

from pointsman.testing.local_model import MODEL
from tests.clients.harness import KEY, Gateway

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "What is the capital of France?"}]


class Answer(BaseModel):
    """What `.parse` is asked for."""

    city: Literal["Paris", "Lyon"]
    country: Literal["France"]


@pytest.fixture(scope="module")
def client(real: Gateway) -> Iterator[OpenAI]:
    with OpenAI(base_url=real.base_url, api_key=KEY, max_retries=0, timeout=60) as made:
        yield made


def test_chat_with_truth_headers(client: OpenAI) -> None:
    raw = client.chat.completions.with_raw_response.create(
        model="small-talk", messages=HELLO, max_tokens=24, temperature=0
    )
    answer = raw.parse()
    assert answer.choices[0].message.content
    assert raw.headers["x-pointsman-target"] == f"local:{MODEL}"
    assert raw.headers["x-pointsman-served-model"] == MODEL
    assert raw.headers["x-pointsman-cost-usd"] == "0"
    assert answer.usage is not None
    assert 0 < answer.usage.completion_tokens <= 24


def test_streaming_with_usage(client: OpenAI) -> None:
    options: Any = {"include_usage": True}
    chunks = list(
        client.chat.completions.create(
            model="small-talk", messages=HELLO, max_tokens=24, temperature=0, stream=True, stream_options=options
        )
    )
    assert "".join(c.choices[0].delta.content or "" for c in chunks if c.choices)
    assert [chunk for chunk in chunks if chunk.usage is not None] == [chunks[-1]]


def test_parse(client: OpenAI) -> None:
    answer = client.chat.completions.parse(
        model="small-talk", messages=HELLO, max_tokens=64, temperature=0, response_format=Answer
    )
    assert isinstance(answer.choices[0].message.parsed, Answer)


def test_embeddings(client: OpenAI) -> None:
    answer = client.embeddings.create(model="embedder", input=["a train", "a locomotive", "cheese"])
    assert len({len(item.embedding) for item in answer.data}) == 1
    assert answer.data[0].embedding != answer.data[2].embedding


def test_models(client: OpenAI) -> None:
    assert {"small-talk", "embedder", f"local:{MODEL}"} <= {model.id for model in client.models.list()}


def test_tools_are_refused_with_the_reason_since_this_model_cannot_be_made_to_call_them(client: OpenAI) -> None:
    with pytest.raises(openai.UnprocessableEntityError, match="lacks_capability"):
        client.chat.completions.create(
            model="small-talk", messages=HELLO, tools=[{"type": "function", "function": {"name": "look_up"}}]
        )
