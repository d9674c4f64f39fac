"""A stream of chat completion chunks, followed while it passes.

Once the first content token has been seen, bytes that hold nothing but content pass without being parsed: a few
substring searches tell. They cannot be fooled by text, because a quote inside a JSON string is always escaped, so
`"usage"` with both its quotes only ever occurs as a key or as a whole string value.
"""

from __future__ import annotations

import msgspec

from pointsman.core.policy import FailureKind
from pointsman.core.usage import Usage
from pointsman.dialects.contract import Failure
from pointsman.dialects.openai_errors import read_failure
from pointsman.dialects.openai_read import ABSENT, says_something
from pointsman.dialects.openai_usage import UsageWire, without_usage
from pointsman.dialects.sse import EventSplitter, EventTooLongError, event_data

_NULL_USAGE = b',"usage":null'


class _Choice(msgspec.Struct):
    delta: dict[str, msgspec.Raw] | None = None
    index: int = 0
    finish_reason: str | None = None
    text: str | None = None


class _Chunk(msgspec.Struct):
    model: str | None = None
    choices: list[_Choice] | None = None
    usage: UsageWire | None = None
    error: msgspec.Raw = ABSENT


_CHUNK = msgspec.json.Decoder(_Chunk)


class ChatStreamReader:
    """Implements `dialects.contract.StreamReader`."""

    __slots__ = (
        "_hide_usage",
        "_several",
        "_splitter",
        "_unfinished",
        "complete",
        "done",
        "failure",
        "finish_reason",
        "reported_model",
        "started",
        "usage",
    )

    def __init__(self, *, hide_usage: bool, several: bool = False) -> None:
        self._hide_usage = hide_usage
        self._several = several
        self._unfinished: set[int] = set()
        self._splitter = EventSplitter()
        self.started = False
        self.complete = False
        self.done = False
        self.failure: Failure | None = None
        self.reported_model = ""
        self.usage: Usage | None = None
        self.finish_reason = ""

    def feed(self, data: bytes) -> bytes:
        """See the contract."""
        passing = self.started and self.reported_model and not self.complete and not self._several
        if passing and not self._splitter.pieces and data.endswith(b"}\n\n") and _whole_objects(data):
            if self._hide_usage:
                data = data.replace(_NULL_USAGE, b"")
                plain = b'"usage"' not in data
            else:
                plain = data.count(b'"usage"') == data.count(b'"usage":null')
            if (
                plain
                and data.count(b'"finish_reason"') == data.count(b'"finish_reason":null')
                and b"[DONE]" not in data
                and b'"error"' not in data
            ):
                return data
        try:
            events = self._splitter.split(data)
        except EventTooLongError as error:
            self.failure = Failure(FailureKind.INVALID_OUTPUT, str(error))
            return b""
        return b"".join([self._event(event) for event in events])

    def rest(self) -> bytes:
        """See the contract."""
        left = self._splitter.tail
        self._splitter.pieces.clear()
        return self._event(left) if event_data(left).strip() == b"[DONE]" else b""

    def end(self) -> Failure | None:
        """See the contract."""
        if self.failure is not None:
            return self.failure
        if not self.complete:
            return Failure(FailureKind.TRUNCATED, "the stream ended without a finish reason or [DONE]")
        if not self.started:
            return Failure(FailureKind.EMPTY, "the stream ended without any content")
        return None

    def _event(self, event: bytes) -> bytes:
        """Take note of one event and give back what the client should see of it: nothing from a failure on."""
        if self.failure is not None:
            return b""
        data = event_data(event)
        if not data:
            return event
        if data.strip() == b"[DONE]":
            self.complete = self.done = True
            return event
        try:
            chunk = _read_chunk(data)
        except (msgspec.MsgspecError, RecursionError) as error:
            if self.started and data.startswith(b"{") and data.endswith(b"}"):
                # Odd text (half of a surrogate pair, say) would have passed unread had it come in one piece.
                return event
            self.failure = Failure(FailureKind.INVALID_OUTPUT, f"an event of the stream is not a chunk: {error}")
            return b""
        if says_something(chunk.error):
            self.failure = read_failure(200, data, None)
            return b""
        if chunk.model and not self.reported_model:
            self.reported_model = chunk.model
        return self._chunk(chunk, event)

    def _chunk(self, chunk: _Chunk, event: bytes) -> bytes:
        for choice in chunk.choices or ():
            if choice.finish_reason:
                self.finish_reason = choice.finish_reason
                self._unfinished.discard(choice.index)
                self.complete = not self._unfinished
                if choice.finish_reason == "error":
                    self.failure = Failure(FailureKind.SERVER_ERROR, "the model broke off with an error")
                    return b""
                self.started = self.started or choice.finish_reason != "stop"
            elif (self._several or self.complete) and not self.done and _has_content(choice.delta):
                # One of several choices may have finished; this one goes on.
                self._unfinished.add(choice.index)
                self.complete = False
            if not self.started and (choice.text or _has_content(choice.delta)):
                self.started = True
        if chunk.usage is not None:
            self.usage = chunk.usage.usage() or self.usage
            if self._hide_usage and not chunk.choices:
                return b""
        if self._hide_usage:
            return event.replace(_NULL_USAGE, b"")
        return event


def _whole_objects(data: bytes) -> bool:
    """Whether every event ends as an object does: half an event in the middle must not pass for one."""
    return data.find(b"\n") == len(data) - 2 or data.count(b"\n\n") == data.count(b"}\n\n")


def _read_chunk(data: bytes) -> _Chunk:
    try:
        return _CHUNK.decode(data)
    except msgspec.ValidationError:
        # A usage that makes no sense spoils the bill and not the answer.
        return _CHUNK.decode(without_usage(data))


def _has_content(delta: dict[str, msgspec.Raw] | None) -> bool:
    """Whether a delta says anything beyond its role."""
    if delta is None:
        return False
    return any(key != "role" and says_something(value) for key, value in delta.items())
