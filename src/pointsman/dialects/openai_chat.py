"""OpenAI chat completions: request, answer, stream."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core import capability as cap
from pointsman.core.capability import Task
from pointsman.core.errors import GatewayError
from pointsman.core.need import Need
from pointsman.core.policy import FailureKind
from pointsman.core.usage import Usage
from pointsman.dialects.contract import Answer, Failure, Incoming
from pointsman.dialects.openai_chat_stream import ChatStreamReader
from pointsman.dialects.openai_errors import error_body, read_failure
from pointsman.dialects.openai_read import (
    ABSENT,
    BACKSLASH,
    CHARACTERS_PER_TOKEN,
    decode_request,
    refuse_other_models,
    says_something,
    text_size,
)
from pointsman.dialects.openai_usage import UsageWire, without_usage
from pointsman.dialects.rewrite import ESCAPE, insert_first, replace_model, replace_values

name = "openai_chat"
upstream_path = "/chat/completions"

MOST_TOKENS = 1 << 40
"""A larger `max_tokens` is the same as this one, so that every figure on record fits its column."""


class _StreamOptions(msgspec.Struct):
    include_usage: bool | None = None


class _ResponseFormat(msgspec.Struct):
    type: str | None = None


class _Head(msgspec.Struct):
    """The fields that decide; all others pass unseen."""

    model: str
    messages: msgspec.Raw
    stream: bool | None = None
    stream_options: _StreamOptions | msgspec.UnsetType | None = msgspec.UNSET
    tools: list[msgspec.Raw] | None = None
    functions: list[msgspec.Raw] | None = None
    response_format: _ResponseFormat | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    n: int | None = None
    modalities: list[str] | None = None
    reasoning_effort: str | None = None


class _Message(msgspec.Struct):
    content: str | list[dict[str, msgspec.Raw]] | None = None


class _ChoiceMessage(msgspec.Struct):
    content: msgspec.Raw = ABSENT
    tool_calls: msgspec.Raw = ABSENT
    function_call: msgspec.Raw = ABSENT
    refusal: msgspec.Raw = ABSENT
    audio: msgspec.Raw = ABSENT
    images: msgspec.Raw = ABSENT


class _Choice(msgspec.Struct):
    finish_reason: str | None = None
    message: _ChoiceMessage | None = None


class _Completion(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: UsageWire | None = None
    error: msgspec.Raw = ABSENT


_HEAD = msgspec.json.Decoder(_Head)
_MESSAGES = msgspec.json.Decoder(list[_Message])
_COMPLETION = msgspec.json.Decoder(_Completion)
_PART_CAPABILITY = {
    "image_url": cap.IMAGE_INPUT,
    "input_audio": cap.AUDIO_INPUT,
    "file": cap.PDF_INPUT,
}
_ARRAY = ord("[")
_PART_MARK = b'"type"'
"""Every content part says its type; a body without the word, and without escapes that could hide it, has none."""


def read(body: bytes) -> Incoming:
    """Understand a chat request. Raises GatewayError."""
    head = decode_request(_HEAD, body)
    refuse_other_models(body)
    if memoryview(head.messages)[0] != _ARRAY:
        raise GatewayError("invalid_request", "The field `messages` must be an array.", param="messages")
    needs = 0
    if head.stream:
        needs |= cap.STREAMING
    if head.tools or head.functions:
        needs |= cap.TOOLS
    if head.response_format is not None and head.response_format.type == "json_schema":
        needs |= cap.JSON_SCHEMA
    if head.reasoning_effort is not None and head.reasoning_effort not in ("none", "minimal"):
        needs |= cap.REASONING
    if head.modalities and "audio" in head.modalities:
        needs |= cap.AUDIO_OUTPUT
    text = text_size(head.messages, body)
    escaped = BACKSLASH in body and ESCAPE in body
    if escaped or _PART_MARK in body:
        media, media_bytes = _media(head.messages)
        needs |= media
        text -= media_bytes
    options = head.stream_options
    has_options = options is not msgspec.UNSET
    return Incoming(
        model=head.model,
        body=body,
        need=Need(Task.CHAT, needs, max(text, 0) // CHARACTERS_PER_TOKEN, _max_output(head)),
        stream=bool(head.stream),
        wants_usage=isinstance(options, _StreamOptions) and bool(options.include_usage),
        has_stream_options=has_options,
        escaped=escaped,
        choices=head.n or 1,
    )


def _max_output(head: _Head) -> int:
    asked = head.max_completion_tokens or head.max_tokens
    return 0 if asked is None else min(max(asked, 0), MOST_TOKENS)


def _media(messages: msgspec.Raw) -> tuple[int, int]:
    """Capabilities that the content parts need, and the bytes that are media and not text."""
    try:
        parsed = _MESSAGES.decode(messages)
    except msgspec.ValidationError as error:
        raise GatewayError("invalid_request", f"`messages` cannot be read: {error}.", param="messages") from error
    needs = size = 0
    for message in parsed:
        if isinstance(message.content, list):
            for part in message.content:
                kind = msgspec.json.decode(part["type"]) if "type" in part else None
                needed = _PART_CAPABILITY.get(kind, 0) if isinstance(kind, str) else 0
                if needed:
                    needs |= needed
                    size += sum(len(value) for value in part.values())
    return needs, size


def rewrite(request: Incoming, model: str, *, inject_usage: bool) -> bytes:
    """The same bytes with the model replaced; in a stream, usage asked for where `inject_usage` says so."""
    if not (inject_usage and request.stream and not request.wants_usage):
        return replace_model(request, model)
    if request.has_stream_options:
        fields = msgspec.json.decode(request.body, type=dict[str, msgspec.Raw])
        options: Any = msgspec.json.decode(fields["stream_options"]) or {}
        options["include_usage"] = True
        return replace_values(
            request.body,
            {
                "model": msgspec.Raw(msgspec.json.encode(model)),
                "stream_options": msgspec.Raw(msgspec.json.encode(options)),
            },
        )
    return insert_first(replace_model(request, model), b'"stream_options":{"include_usage":true}')


def answer(body: bytes) -> Answer:
    """Read a completion. An error, no choices, or nothing said and nothing called is a failure, not an answer."""
    try:
        said = _read_completion(body)
    except (msgspec.MsgspecError, RecursionError) as error:
        return Answer(failure=Failure(FailureKind.INVALID_OUTPUT, f"the answer is not a chat completion: {error}"))
    model = said.model or ""
    if says_something(said.error):
        return Answer(model, failure=read_failure(200, body, None))
    usage: Usage | None = said.usage.usage() if said.usage is not None else None
    choices = said.choices
    if not choices:
        return Answer(model, usage, failure=Failure(FailureKind.EMPTY, "the answer has no choices"))
    finish = choices[0].finish_reason or ""
    if finish == "error":
        return Answer(model, usage, finish, Failure(FailureKind.SERVER_ERROR, "the model broke off with an error"))
    if finish in ("", "stop") and not any(_says_something(choice.message) for choice in choices):
        return Answer(model, usage, finish, Failure(FailureKind.EMPTY, "the answer is empty"))
    return Answer(model, usage, finish)


def _read_completion(body: bytes) -> _Completion:
    try:
        return _COMPLETION.decode(body)
    except msgspec.ValidationError:
        # A usage that makes no sense spoils the bill and not the answer.
        return _COMPLETION.decode(without_usage(body))


def _says_something(message: _ChoiceMessage | None) -> bool:
    if message is None:
        return False
    return any(
        says_something(part)
        for part in (
            message.content,
            message.tool_calls,
            message.function_call,
            message.refusal,
            message.audio,
            message.images,
        )
    )


def failure(status: int, body: bytes, retry_after: float | None) -> Failure:
    """Read an upstream error."""
    return read_failure(status, body, retry_after)


def stream_reader(request: Incoming, *, hide_usage: bool) -> ChatStreamReader:
    """A reader for one stream of chat completion chunks."""
    return ChatStreamReader(hide_usage=hide_usage, several=request.choices > 1)


def error(error: GatewayError, call_id: str) -> bytes:
    """An error body."""
    return error_body(error, call_id)


def stream_error(error: GatewayError, call_id: str) -> bytes:
    """An error event inside a stream, as OpenAI's SDKs expect it."""
    return b"data: " + error_body(error, call_id) + b"\n\n"
