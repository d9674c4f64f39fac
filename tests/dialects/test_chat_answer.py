"""A complete answer: what it says of itself, and when it is none in spite of its status."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from pointsman.core.errors import GatewayError
from pointsman.core.policy import FailureKind
from pointsman.core.record import CallRecord
from pointsman.core.usage import Usage
from pointsman.dialects import openai_chat
from tests.dialects.recordings import recorded

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def completion(message: Any = None, finish: Any = "stop", **fields: Any) -> bytes:
    message = {"role": "assistant", "content": "hi"} if message is None else message
    return json.dumps({"model": "m-1", "choices": [{"message": message, "finish_reason": finish}], **fields}).encode()


@pytest.mark.parametrize(
    ("body", "finish"),
    [
        (completion(), "stop"),
        (completion(finish=None), ""),
        (completion({"content": ""}, "length"), "length"),
        (completion({"content": None}, "content_filter"), "content_filter"),
        (completion({"content": None, "tool_calls": [{"id": "a"}]}, "tool_calls"), "tool_calls"),
        (completion({"content": None, "tool_calls": [{"id": "a"}]}, "stop"), "stop"),
        (completion({"content": "", "function_call": {"name": "f"}}, "stop"), "stop"),
        (completion({"content": None, "refusal": "no"}, "stop"), "stop"),
        (completion({"content": None, "audio": {"id": "a"}}, "stop"), "stop"),
        (completion({"content": "", "images": [{"url": "x"}]}, "stop"), "stop"),
        (completion({"content": "0"}, "stop"), "stop"),
        (completion({"content": " "}, "stop"), "stop"),
        (completion(unknown={"a": 1}, error=None), "stop"),
        (completion(error={}), "stop"),
    ],
)
def test_an_answer(body: bytes, finish: str) -> None:
    answer = openai_chat.answer(body)
    assert answer.failure is None
    assert (answer.reported_model, answer.finish_reason) == ("m-1", finish)


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        (b"", FailureKind.INVALID_OUTPUT),
        (b"<html>", FailureKind.INVALID_OUTPUT),
        (b'{"choices":[', FailureKind.INVALID_OUTPUT),
        (b"[]", FailureKind.INVALID_OUTPUT),
        (b"null", FailureKind.INVALID_OUTPUT),
        (b"[" * 100_000, FailureKind.INVALID_OUTPUT),
        (b'{"a":' + b"[" * 100_000, FailureKind.INVALID_OUTPUT),
        (b'{"model":"m","choices":[{"message":{"content":"\xff"}}]', FailureKind.INVALID_OUTPUT),
        (completion(model=5), FailureKind.INVALID_OUTPUT),
        (b'{"model":"m","choices":"many"}', FailureKind.INVALID_OUTPUT),
        (b"{}", FailureKind.EMPTY),
        (b'{"model":"m","choices":[]}', FailureKind.EMPTY),
        (b'{"model":"m","choices":null}', FailureKind.EMPTY),
        (b'{"model":"m","choices":[{}]}', FailureKind.EMPTY),
        (b'{"model":"m","choices":[{"message":null,"finish_reason":"stop"}]}', FailureKind.EMPTY),
        (completion({"content": ""}), FailureKind.EMPTY),
        (completion({"content": None}), FailureKind.EMPTY),
        (completion({"content": []}), FailureKind.EMPTY),
        (completion({"content": "", "tool_calls": []}), FailureKind.EMPTY),
        (completion({"content": ""}, None), FailureKind.EMPTY),
        (completion({"content": "so far"}, "error"), FailureKind.SERVER_ERROR),
        (completion(error={"message": "boom"}), FailureKind.SERVER_ERROR),
        (b'{"error":"boom"}', FailureKind.SERVER_ERROR),
        (b'{"error":{"message":"slow down","code":429}}', FailureKind.RATE_LIMITED),
        (b'{"error":{"message":"busy","code":"503"}}', FailureKind.OVERLOADED),
        (b'{"error":{"message":"long","code":"context_length_exceeded"}}', FailureKind.CONTEXT_EXCEEDED),
        (
            b'{"error":{"message":"bad","type":"invalid_request_error","code":"unheard_of"}}',
            FailureKind.INVALID_REQUEST,
        ),
        (b'{"error":{"message":"busy","type":"overloaded_error"}}', FailureKind.OVERLOADED),
    ],
)
def test_what_is_no_answer_in_spite_of_status_200(body: bytes, kind: FailureKind) -> None:
    failure = openai_chat.answer(body).failure
    assert failure is not None
    assert failure.kind is kind
    assert failure.detail or failure.said
    assert not failure.client_error


USAGES: list[tuple[Any, Usage | None]] = [
    (None, None),
    ({}, None),
    (USAGE, Usage(3, 4)),
    ({"prompt_tokens": 3, "completion_tokens": 4}, Usage(3, 4)),
    ({"prompt_tokens": 3}, Usage(3, 0)),
    ({"prompt_tokens": 3, "completion_tokens": None, "total_tokens": 7}, Usage(3, 4)),
    ({"prompt_tokens": None, "completion_tokens": 4, "total_tokens": 7}, Usage(3, 4)),
    ({"total_tokens": 7}, Usage(7, 0)),
    ({"completion_tokens": 4}, None),
    ({"completion_tokens": 4, "total_tokens": 1}, None),
    ({"prompt_tokens": 0, "completion_tokens": 0, "total_tokens": 0}, Usage(0, 0)),
    ({**USAGE, "prompt_tokens_details": None, "completion_tokens_details": None}, Usage(3, 4)),
    ({**USAGE, "prompt_tokens_details": {}, "completion_tokens_details": {}}, Usage(3, 4)),
    ({**USAGE, "prompt_tokens_details": {"cached_tokens": 2, "audio_tokens": None}}, Usage(3, 4, 2)),
    ({**USAGE, "completion_tokens_details": {"reasoning_tokens": 1}}, Usage(3, 4, reasoning_tokens=1)),
    (
        {
            **USAGE,
            "prompt_tokens_details": {"cached_tokens": 1, "audio_tokens": 1, "cache_write_tokens": 1},
            "completion_tokens_details": {"reasoning_tokens": 2, "audio_tokens": 2, "accepted_prediction_tokens": 9},
        },
        Usage(3, 4, 1, 1, 2, 1, 2),
    ),
    # DeepSeek names its cache in words of its own.
    ({**USAGE, "prompt_cache_hit_tokens": 2, "prompt_cache_miss_tokens": 1}, Usage(3, 4, 2)),
    ({**USAGE, "prompt_cache_hit_tokens": 2, "prompt_tokens_details": {"cached_tokens": 2}}, Usage(3, 4, 2)),
    ({**USAGE, "prompt_cache_hit_tokens": 0, "prompt_tokens_details": {"cached_tokens": 0}}, Usage(3, 4)),
    # xAI and Google's OpenAI endpoint count reasoning in the total alone: it is output, and billed as such.
    (
        {
            "prompt_tokens": 32,
            "completion_tokens": 9,
            "total_tokens": 135,
            "completion_tokens_details": {"reasoning_tokens": 94},
        },
        Usage(32, 103, reasoning_tokens=94),
    ),
    ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 109}, Usage(35, 74)),
    # A total below its parts is somebody's mistake: the parts count.
    ({"prompt_tokens": 35, "completion_tokens": 12, "total_tokens": 12}, Usage(35, 12)),
    ({**USAGE, "cost": 0.1, "cost_details": {"upstream": None}, "is_byok": False}, Usage(3, 4)),
    # What is no count of tokens is no usage; the answer is still one.
    ("none", None),
    ([], None),
    ({"prompt_tokens": "3"}, None),
    ({"prompt_tokens": -3, "completion_tokens": 1}, None),
    ({"prompt_tokens": 10**30, "completion_tokens": 1}, None),
    ({"prompt_tokens": 1 << 62, "completion_tokens": 1}, None),
    ({"prompt_tokens": 1.5, "completion_tokens": 1}, None),
    ({**USAGE, "prompt_tokens_details": "none"}, None),
]


@pytest.mark.parametrize(("wire", "usage"), USAGES, ids=[json.dumps(row[0])[:60] for row in USAGES])
def test_usage_in_every_shape(wire: Any, usage: Usage | None) -> None:
    """Unknown is None and never zero, and a bad figure spoils neither the answer nor the record."""
    answer = openai_chat.answer(completion(usage=wire))
    assert answer.failure is None
    assert answer.usage == usage
    assert answer.reported_model == "m-1"
    msgspec.msgpack.encode(CallRecord("c", 1, 1, "", "", usage=answer.usage))


def test_usage_of_what_is_no_answer_is_kept_for_the_bill() -> None:
    answer = openai_chat.answer(completion({"content": ""}, usage=USAGE))
    assert (answer.failure is not None, answer.usage) == (True, Usage(3, 4))


def test_a_missing_model_is_reported_as_none() -> None:
    assert openai_chat.answer(b'{"choices":[{"message":{"content":"x"}}]}').reported_model == ""


def test_every_recorded_completion_is_an_answer() -> None:
    """Some providers really do answer with nothing: then, and only then, it is no answer."""
    for exchange in recorded("openai_chat"):
        body = json.loads(exchange.body)
        answer = openai_chat.answer(exchange.body)
        said = [c["message"] for c in body.get("choices") or []]
        silent = not any(m.get("content") or m.get("tool_calls") or m.get("refusal") or m.get("audio") for m in said)
        if answer.failure is not None:
            assert silent, (exchange.id, answer.failure)
            continue
        assert answer.reported_model == (body.get("model") or "")
        assert answer.finish_reason == (body["choices"][0].get("finish_reason") or "")
        if (wire := body.get("usage")) is not None:
            assert answer.usage is not None
            assert answer.usage.input_tokens == wire["prompt_tokens"]
            assert answer.usage.input_tokens + answer.usage.output_tokens == wire["total_tokens"]


def test_every_recorded_request_is_understood_and_rewritten() -> None:
    for exchange in [*recorded("openai_chat"), *recorded("openai_chat", streaming=True)]:
        if exchange.request is None:
            continue
        sent = json.dumps(exchange.request).encode()
        if "models" in exchange.request:  # lets OpenRouter choose another model than the one that was decided on
            with pytest.raises(GatewayError, match="another model"):
                openai_chat.read(sent)
            continue
        read = openai_chat.read(sent)
        assert read.model == exchange.request["model"]
        assert read.stream is bool(exchange.request.get("stream"))
        out = json.loads(openai_chat.rewrite(read, "another", inject_usage=False))
        assert out == {**exchange.request, "model": "another"}
