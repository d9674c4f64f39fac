"""Faults in what is said: refusals, wrong bodies, streams with something amiss."""

import email.utils
import time
from collections.abc import Callable
from typing import Any, Literal

import msgspec

from pointsman.testing.simulator import sse
from pointsman.testing.simulator.answer import Answer, Call, Delivery, Stop
from pointsman.testing.simulator.errors import JSON_TYPE, error_answer, error_body
from pointsman.testing.simulator.fault import Fault

HTML = b"<html><head><title>%d</title></head><body><center><h1>%d</h1></center></body></html>\n"


class RateLimited(Fault, tag="rate_limited", frozen=True, kw_only=True):
    """429. `retry_after` seconds (none when negative), written as seconds or as an HTTP date."""

    retry_after: float = 1.0
    form: Literal["seconds", "date"] = "seconds"

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Replace the answer by the refusal."""
        refusal = error_answer(429, "simulated: too many requests", code="rate_limit_exceeded")
        if self.retry_after >= 0:
            date = email.utils.formatdate(time.time() + self.retry_after, usegmt=True)
            refusal.headers.append(("retry-after", date if self.form == "date" else f"{self.retry_after:g}"))
        return refusal


class ServerError(Fault, tag="server_error", frozen=True, kw_only=True):
    """A 5xx with an OpenAI error as its body, an HTML page as proxies send, or nothing."""

    status: int = 500
    body: Literal["json", "html", "empty"] = "json"

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Replace the answer by the error."""
        if self.body == "html":
            return Answer(self.status, [("content-type", "text/html")], HTML % (self.status, self.status))
        if self.body == "empty":
            return Answer(self.status, [])
        return error_answer(self.status, "simulated: the server had an error")


class Denied(Fault, tag="denied", frozen=True, kw_only=True):
    """401 or 403."""

    status: int = 401

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Replace the answer by the refusal."""
        code = "invalid_api_key" if self.status == 401 else "permission_denied"
        return error_answer(self.status, "simulated: this key may not do that", code=code)


class ErrorBody(Fault, tag="error_body", frozen=True, kw_only=True):
    """Status 200 with an error as the body; `code` is the status the body claims."""

    code: int = 500

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Replace the answer by a cheerful 200 that is none."""
        return Answer(200, [JSON_TYPE], error_body(self.code, "simulated: an error under status 200"))


class StreamError(Fault, tag="stream_error", frozen=True, kw_only=True):
    """A stream that says an error after `events` good events; `done` adds `[DONE]` behind it. Unary: as error_body."""

    events: int = 3
    done: bool = False
    named: bool = False

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Cut the stream and put the error behind it."""
        body = error_body(500, "simulated: the stream broke off")
        if answer.events is None:
            return Answer(200, [JSON_TYPE], body)
        frame = (b"event: error\n" if self.named else b"") + b"data: " + body + b"\n\n"
        kept = answer.events[: place_to_break(answer.events, self.events)]
        answer.events = [*kept, frame, sse.DONE] if self.done else [*kept, frame]
        return answer


class MalformedJson(Fault, tag="malformed_json", frozen=True, kw_only=True):
    """JSON that does not parse: the whole unary body, or the stream's event number `events` (from 0)."""

    events: int = 2

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Break the JSON; lengths and frames stay right."""
        if answer.events is None:
            answer.body = answer.body[: len(answer.body) // 2]
        else:
            place = place_to_break(answer.events, self.events)
            whole = answer.events[place].rstrip()
            answer.events[place] = whole[: max(len(whole) // 2, len(b"data: {"))] + b"\n\n"
        return answer


class Truncated(Fault, tag="truncated", frozen=True, kw_only=True):
    """Ends early and cleanly: a stream after `events` events with no finish and no `[DONE]`; unary: half the body."""

    events: int = 3

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Halve a unary body (its content-length agrees)."""
        if answer.events is None:
            answer.body = answer.body[: len(answer.body) // 2]
        return answer

    def change_delivery(self, delivery: Delivery) -> None:
        """End a stream early."""
        delivery.stop_at(Stop("mid_body", "end", self.events))


class OtherModel(Fault, tag="other_model", frozen=True, kw_only=True):
    """The answer names another model than the one asked for."""

    model: str = "some-other-model"

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Rename the model in the body or in every event."""
        return edited(answer, lambda body: {**body, "model": self.model} if "model" in body else body)


class NoUsage(Fault, tag="no_usage", frozen=True, kw_only=True):
    """The answer does not report usage."""

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Drop usage; a stream's usage chunk goes with it."""
        if answer.events is not None:
            answer.events = [frame for frame in answer.events if not _is_usage_chunk(frame)]
        return edited(answer, lambda body: {key: value for key, value in body.items() if key != "usage"})


class Empty(Fault, tag="empty", frozen=True, kw_only=True):
    """An answer with nothing in it: empty content, no choices at all, or an empty body."""

    what: Literal["content", "choices", "body"] = "content"

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Take the content out."""
        if self.what == "body":
            answer.body = b""
            answer.events = None if answer.events is None else []
            return answer
        if answer.events is not None and self.what == "content":
            answer.events = [frame for frame in answer.events if not _carries_content(frame)]
            return answer
        return edited(answer, self._emptied)

    def _emptied(self, body: dict[str, Any]) -> dict[str, Any]:
        if "data" in body:
            return {**body, "data": []}
        if self.what == "choices":
            return {**body, "choices": []}
        choices = [
            {**choice, "message": {**choice.get("message", {}), "content": "", "tool_calls": None}}
            for choice in body.get("choices", [])
        ]
        return {**body, "choices": choices}


class Preamble(Fault, tag="preamble", frozen=True, kw_only=True):
    """Keep-alives before the first data: SSE comments (or blank lines) in a stream, white space before a JSON body."""

    kind: Literal["comments", "whitespace"] = "comments"
    count: int = 3

    def change_answer(self, answer: Answer, call: Call) -> Answer:
        """Put them in front."""
        if answer.events is None:
            answer.body = b"\n" * self.count + answer.body
        else:
            frame = b": keep-alive\n\n" if self.kind == "comments" else b"\n"
            answer.events = [frame] * self.count + answer.events
        return answer


def place_to_break(events: list[bytes], wanted: int) -> int:
    """`wanted`, or the place of the first closing event when the stream is shorter than that."""
    closing = next((place for place, frame in enumerate(events) if sse.is_closing(frame)), len(events) - 1)
    return max(0, min(wanted, closing))


def edited(answer: Answer, edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Answer:
    """Apply `edit` to the JSON body, or to the JSON of every event; anything that is not a JSON object stays."""
    if answer.events is None:
        try:
            body = msgspec.json.decode(answer.body)
        except msgspec.DecodeError:
            return answer
        answer.body = msgspec.json.encode(edit(body)) if isinstance(body, dict) else answer.body
        return answer
    payloads = [sse.payload_of(frame) for frame in answer.events]
    answer.events = [
        sse.event(edit(payload)) if isinstance(payload, dict) else frame
        for payload, frame in zip(payloads, answer.events, strict=True)
    ]
    return answer


def _is_usage_chunk(frame: bytes) -> bool:
    payload = sse.payload_of(frame)
    return isinstance(payload, dict) and payload.get("choices") == [] and bool(payload.get("usage"))


def _carries_content(frame: bytes) -> bool:
    payload = sse.payload_of(frame)
    choices = payload.get("choices") if isinstance(payload, dict) else None
    deltas = [choice.get("delta") or {} for choice in choices or () if isinstance(choice, dict)]
    return any(delta.get("content") or delta.get("tool_calls") for delta in deltas)
