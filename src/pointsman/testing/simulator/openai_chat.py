"""OpenAI's chat completions on the wire: one JSON object, or chunks as server-sent events."""

from typing import Any

import msgspec

from pointsman.testing.simulator import sse
from pointsman.testing.simulator.answer import Answer
from pointsman.testing.simulator.completion import Choice, Completion, ToolCall
from pointsman.testing.simulator.errors import JSON_TYPE

STREAM_TYPE = ("content-type", "text/event-stream; charset=utf-8")
_ARGUMENT_PIECE = 6


def usage_of(completion: Completion) -> dict[str, Any]:
    """The usage object with its details."""
    written = completion.completion_tokens
    return {
        "prompt_tokens": completion.prompt_tokens,
        "completion_tokens": written,
        "total_tokens": completion.prompt_tokens + written,
        "prompt_tokens_details": {"cached_tokens": 0, "audio_tokens": 0},
        "completion_tokens_details": {
            "reasoning_tokens": 0,
            "audio_tokens": 0,
            "accepted_prediction_tokens": 0,
            "rejected_prediction_tokens": 0,
        },
    }


def unary(completion: Completion, *, call_id: str, model: str, created: int) -> Answer:
    """The whole answer as one object."""
    body = {
        "id": call_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": [_whole_choice(index, choice) for index, choice in enumerate(completion.choices)],
        "usage": usage_of(completion),
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }
    return Answer(200, [JSON_TYPE], msgspec.json.encode(body), tokens=completion.completion_tokens)


def _whole_choice(index: int, choice: Choice) -> dict[str, Any]:
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(choice.pieces) if choice.pieces or not choice.tool_calls else None,
        "refusal": None,
        "annotations": [],
    }
    if choice.tool_calls:
        message["tool_calls"] = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in choice.tool_calls
        ]
    return {"index": index, "message": message, "logprobs": None, "finish_reason": choice.finish_reason}


def streamed(completion: Completion, *, call_id: str, model: str, created: int, include_usage: bool) -> Answer:
    """The answer as chunks: role first, then deltas, a finish reason, usage if asked for, `[DONE]`."""
    frame: dict[str, Any] = {
        "id": call_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        "service_tier": "default",
        "system_fingerprint": "fp_simulated",
    }
    usage = {"usage": None} if include_usage else {}
    events = []
    for index, choice in enumerate(completion.choices):
        for delta, reason in _deltas(choice):
            part = {"index": index, "delta": delta, "logprobs": None, "finish_reason": reason}
            events.append(sse.event({**frame, "choices": [part], **usage}))
    if include_usage:
        events.append(sse.event({**frame, "choices": [], "usage": usage_of(completion)}))
    events.append(sse.DONE)
    return Answer(200, [STREAM_TYPE], events=events, tokens=completion.completion_tokens)


def _deltas(choice: Choice) -> list[tuple[dict[str, Any], str | None]]:
    content = None if choice.tool_calls else ""
    deltas: list[tuple[dict[str, Any], str | None]] = [
        ({"role": "assistant", "content": content, "refusal": None}, None)
    ]
    deltas += [({"content": piece}, None) for piece in choice.pieces]
    for place, call in enumerate(choice.tool_calls):
        deltas += [({"tool_calls": [part]}, None) for part in _call_parts(place, call)]
    return [*deltas, ({}, choice.finish_reason)]


def _call_parts(place: int, call: ToolCall) -> list[dict[str, Any]]:
    """Id and name come once, with empty arguments; then the arguments in pieces under the same index."""
    first = {
        "index": place,
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": ""},
    }
    text = call.arguments
    pieces = [text[start : start + _ARGUMENT_PIECE] for start in range(0, len(text), _ARGUMENT_PIECE)]
    return [first, *({"index": place, "function": {"arguments": piece}} for piece in pieces)]
