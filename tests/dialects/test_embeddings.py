"""Embeddings: four forms of input, answers that pass untouched."""

from __future__ import annotations

import json
from typing import Any

import pytest

from pointsman.core.capability import Task
from pointsman.core.errors import GatewayError
from pointsman.core.policy import FailureKind
from pointsman.core.usage import Usage
from pointsman.dialects import openai_embeddings
from tests.dialects.recordings import recorded


def body(given: Any, **fields: Any) -> bytes:
    return json.dumps({"model": "m", "input": given, **fields}).encode()


@pytest.mark.parametrize(
    ("given", "tokens"),
    [
        ("a" * 600, 100),
        ("", 0),
        (["a" * 60, "b" * 600, "c"], 100),
        ([""], 0),
        ([1, 2, 3], 3),
        ([[1, 2, 3], [4], list(range(50))], 50),
        ([[]], 0),
        (["ж" * 600], 100),
        ("ж" * 600, 100),
    ],
)
@pytest.mark.parametrize("ascii_only", [True, False])
def test_every_form_of_input_is_read_and_the_longest_counts(given: Any, tokens: int, ascii_only: bool) -> None:
    """The window holds for each input by itself, and the estimate errs low."""
    sent = json.dumps({"model": "m", "input": given}, ensure_ascii=ascii_only).encode()
    need = openai_embeddings.read(sent).need
    assert (need.task, need.capabilities, need.max_output) == (Task.EMBEDDING, 0, 0)
    assert abs(need.input_tokens - tokens) <= 1


@pytest.mark.parametrize(
    ("sent", "param"),
    [
        (b'{"model":"m"}', "input"),
        (body(None), "input"),
        (body({}), "input"),
        (body(5), "input"),
        (body([]), "input"),
        (body([None]), "input"),
        (body([1.5]), "input"),
        (body([[["a"]]]), "input"),
        (body([["a"]]), "input"),
        (b'{"input":"x"}', "model"),
        (b'{"input":"x","model":7}', "model"),
        (b'{"model":"m","input":' + b"[" * 100_000, None),
        (b'{"model":"m","input":["\\q"]}', None),
        (b"", None),
    ],
)
def test_what_is_no_request_is_refused(sent: bytes, param: str | None) -> None:
    with pytest.raises(GatewayError) as caught:
        openai_embeddings.read(sent)
    assert caught.value.param == param
    assert caught.value.kind.status == 400


def test_absent_stays_absent() -> None:
    sent = body("x")
    assert openai_embeddings.rewrite(openai_embeddings.read(sent), "m", inject_usage=False) is sent


@pytest.mark.parametrize(
    ("answer", "usage"),
    [
        ({"data": [{"embedding": [0.1, -2e-05]}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}, Usage(4)),
        ({"data": [{"embedding": "AACAPwAAAEA="}], "usage": {"prompt_tokens": 4, "total_tokens": 4}}, Usage(4)),
        ({"data": [{"embedding": []}], "usage": {"total_tokens": 4}}, Usage(4)),
        ({"data": [{"embedding": []}], "usage": None}, None),
        ({"data": [{"embedding": []}]}, None),
        ({"data": [{"embedding": []}], "usage": {"prompt_tokens": -1}}, None),
    ],
)
def test_an_answer(answer: dict[str, Any], usage: Usage | None) -> None:
    read = openai_embeddings.answer(json.dumps({"model": "m-1", **answer}).encode())
    assert read.failure is None
    assert (read.reported_model, read.usage) == ("m-1", usage)


@pytest.mark.parametrize(
    ("sent", "kind"),
    [
        (b"", FailureKind.INVALID_OUTPUT),
        (b"[]", FailureKind.INVALID_OUTPUT),
        (b'{"data":5}', FailureKind.INVALID_OUTPUT),
        (b"{}", FailureKind.EMPTY),
        (b'{"data":[]}', FailureKind.EMPTY),
        (b'{"data":null,"model":null}', FailureKind.EMPTY),
        (b'{"error":{"message":"m","code":"503"}}', FailureKind.OVERLOADED),
    ],
)
def test_what_is_no_answer(sent: bytes, kind: FailureKind) -> None:
    failure = openai_embeddings.answer(sent).failure
    assert failure is not None
    assert failure.kind is kind


def test_every_recorded_answer_is_one_and_its_usage_is_known() -> None:
    for exchange in recorded("openai_embeddings"):
        read = openai_embeddings.answer(exchange.body)
        assert read.failure is None, exchange.id
        assert read.usage is not None
        assert read.usage.input_tokens == json.loads(exchange.body)["usage"]["total_tokens"]
        assert openai_embeddings.read(json.dumps(exchange.request).encode()).model == exchange.request["model"]


def test_embeddings_do_not_stream() -> None:
    with pytest.raises(GatewayError, match="cannot be streamed"):
        openai_embeddings.stream_reader(openai_embeddings.read(b'{"model":"m","input":"x"}'), hide_usage=False)
