"""Streams that were opened and have no record yet.

The gateway writes an `opened` frame before the first byte of a stream reaches its caller. A writer that dies leaves
such frames without a record; they become records of interrupted calls. Nothing of this is kept in the store: a
segment stays on disk until every stream it opened is settled, so that a restart can read them again.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import msgspec

from pointsman.core.record import CallRecord, Opened, Outcome
from pointsman.telemetry.segment import SegmentName

_opened = msgspec.msgpack.Decoder(Opened)
_encode = msgspec.msgpack.Encoder().encode


class _Id(msgspec.Struct, array_like=True):
    call_id: str


class _OpenedId(msgspec.Struct, array_like=True):
    call: _Id


_opened_id = msgspec.msgpack.Decoder(_OpenedId).decode
_call_id = msgspec.msgpack.Decoder(_Id).decode


def opened_id(packed: bytes) -> str:
    """The call id of an `opened` frame's MessagePack. Raises msgspec.DecodeError."""
    return _opened_id(packed).call.call_id


def call_id(packed: bytes) -> str:
    """The call id of a record's MessagePack. Raises msgspec.DecodeError."""
    return _call_id(packed).call_id


def interrupted(packed: bytes) -> tuple[CallRecord, bytes]:
    """The record, and its MessagePack, of a stream whose writer died. Raises msgspec.DecodeError."""
    record = _opened.decode(packed).call
    record.outcome = Outcome.INTERRUPTED
    record.error = record.error or "stream_interrupted"
    if record.cost_nano is None:
        record.cost_reason = record.cost_reason or "interrupted"
    return record, _encode(record)


class OpenStreams:
    """Opened streams by call id: the segment that opened each, and its MessagePack."""

    def __init__(self) -> None:
        self._streams: dict[str, tuple[SegmentName, bytes]] = {}

    def __len__(self) -> int:
        return len(self._streams)

    def open(self, segment: SegmentName, call: str, packed: bytes) -> None:
        """Note an opened stream."""
        self._streams[call] = (segment, packed)

    def settle(self, calls: Iterable[str]) -> None:
        """Forget streams whose records are stored."""
        if self._streams:
            for call in calls:
                self._streams.pop(call, None)

    def ids(self) -> list[str]:
        """The call ids of every open stream."""
        return list(self._streams)

    def segments(self) -> set[str]:
        """The files of segments that must stay, because a stream they opened is not settled."""
        return {segment.file for segment, _ in self._streams.values()}

    def without_writer(self, living: Collection[str]) -> dict[str, bytes]:
        """Streams of writers other than the living ones: their MessagePack by call id."""
        return {call: packed for call, (segment, packed) in self._streams.items() if segment.writer not in living}
