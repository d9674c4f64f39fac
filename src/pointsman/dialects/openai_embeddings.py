"""OpenAI embeddings."""

from __future__ import annotations

import msgspec

from pointsman.core.capability import Task
from pointsman.core.errors import GatewayError
from pointsman.core.need import Need
from pointsman.core.policy import FailureKind
from pointsman.dialects.contract import Answer, Failure, Incoming, StreamReader
from pointsman.dialects.openai_errors import error_body, read_failure
from pointsman.dialects.openai_read import (
    ABSENT,
    CHARACTERS_PER_TOKEN,
    decode_request,
    refuse_other_models,
    says_something,
    text_size,
)
from pointsman.dialects.openai_usage import UsageWire, without_usage
from pointsman.dialects.rewrite import ESCAPE, replace_model

name = "openai_embeddings"
upstream_path = "/embeddings"


class _Embeddings(msgspec.Struct):
    model: str | None = None
    data: list[msgspec.Raw] | None = None
    usage: UsageWire | None = None
    error: msgspec.Raw = ABSENT


_ANSWER = msgspec.json.Decoder(_Embeddings)


class _Head(msgspec.Struct):
    model: str
    input: msgspec.Raw


_HEAD = msgspec.json.Decoder(_Head)
_STRING, _ARRAY = b'"['


def read(body: bytes) -> Incoming:
    """Understand an embeddings request. Raises GatewayError."""
    head = decode_request(_HEAD, body)
    refuse_other_models(body)
    first = memoryview(head.input)[0]
    if first not in (_STRING, _ARRAY):
        raise GatewayError("invalid_request", "The field `input` must be a string or an array.", param="input")
    longest = _longest_input(head.input) if first == _ARRAY else text_size(head.input, body) // CHARACTERS_PER_TOKEN
    return Incoming(head.model, body, Need(Task.EMBEDDING, 0, longest), escaped=ESCAPE in body)


def _longest_input(raw: msgspec.Raw) -> int:
    """Estimated tokens of the longest single input: the window holds for each input by itself."""
    try:
        values = msgspec.json.decode(raw, type=list[str | int | list[int]])
    except msgspec.ValidationError as error:
        raise GatewayError("invalid_request", f"`input` cannot be read: {error}.", param="input") from error
    if not values:
        raise GatewayError("invalid_request", "The field `input` is empty.", param="input")
    if isinstance(values[0], int):
        return len(values)
    longest = 0
    for value in values:
        if isinstance(value, str):
            longest = max(longest, len(value) // CHARACTERS_PER_TOKEN)
        elif isinstance(value, list):
            longest = max(longest, len(value))
    return longest


def rewrite(request: Incoming, model: str, *, inject_usage: bool) -> bytes:
    """The same bytes with the model replaced."""
    return replace_model(request, model)


def answer(body: bytes) -> Answer:
    """Read an embeddings answer. An error or no data is a failure."""
    try:
        said = _read_answer(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Answer(failure=Failure(FailureKind.INVALID_OUTPUT, f"the answer is not a list of embeddings: {error}"))
    if says_something(said.error):
        return Answer(said.model or "", failure=read_failure(200, body, None))
    usage = said.usage.usage() if said.usage is not None else None
    if not said.data:
        return Answer(said.model or "", usage, failure=Failure(FailureKind.EMPTY, "the answer has no embeddings"))
    return Answer(said.model or "", usage)


def _read_answer(body: bytes) -> _Embeddings:
    try:
        return _ANSWER.decode(body)
    except msgspec.ValidationError:
        # A usage that makes no sense spoils the bill and not the answer.
        return _ANSWER.decode(without_usage(body))


def failure(status: int, body: bytes, retry_after: float | None) -> Failure:
    """Read an upstream error."""
    return read_failure(status, body, retry_after)


def stream_reader(request: Incoming, *, hide_usage: bool) -> StreamReader:
    """Embeddings do not stream. Raises GatewayError."""
    raise GatewayError("invalid_request", "Embeddings cannot be streamed.", param="stream")


def error(error: GatewayError, call_id: str) -> bytes:
    """An error body."""
    return error_body(error, call_id)


def stream_error(error: GatewayError, call_id: str) -> bytes:
    """Embeddings do not stream; the shape is that of chat."""
    return b"data: " + error_body(error, call_id) + b"\n\n"
