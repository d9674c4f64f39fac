"""What one pass of ingest takes from the spool and stores in one transaction."""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import msgspec

from pointsman.core.record import CallRecord
from pointsman.store.calls import attempt_rows, call_row
from pointsman.telemetry.segment import CALL, OPENED, SegmentName
from pointsman.telemetry.streams import opened_id

_decode = msgspec.msgpack.Decoder(CallRecord).decode


class Batch(msgspec.Struct):
    """Rows, positions and open streams. Nothing of it counts before it is committed.

    `aside` are bytes that are no records, as (file name, bytes), to be kept in the folder of bad frames.
    """

    call_rows: list[tuple[Any, ...]] = msgspec.field(default_factory=list)
    attempt_rows: list[tuple[Any, ...]] = msgspec.field(default_factory=list)
    calls: list[str] = msgspec.field(default_factory=list)
    opened: list[tuple[SegmentName, str, bytes]] = msgspec.field(default_factory=list)
    positions: dict[str, int] = msgspec.field(default_factory=dict)
    aside: list[tuple[str, bytes]] = msgspec.field(default_factory=list)
    frames: int = 0
    size: int = 0
    more: bool = False

    def take(self, segment: SegmentName, start: int, frames: Iterable[tuple[bytes, int]]) -> None:
        """Take whole frames of `segment`, whose ends count from offset `start`."""
        position = start
        for payload, end in frames:
            self.frames += 1
            packed = payload[1:]
            try:
                if payload[0] == CALL:
                    record = _decode(packed)
                    self.call_rows.append(call_row(record, packed))
                    self.attempt_rows += attempt_rows(record)
                    self.calls.append(record.call_id)
                elif payload[0] == OPENED:
                    self.opened.append((segment, opened_id(packed), packed))
                else:
                    self.set_aside(segment, position, payload)
            except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
                self.set_aside(segment, position, payload)
            position = start + end
        self.size += position - start
        self.positions[segment.file] = position

    def skip(self, segment: SegmentName, start: int, data: bytes) -> None:
        """Pass over damaged bytes at offset `start`, keeping them aside."""
        self.set_aside(segment, start, data)
        self.size += len(data)
        self.positions[segment.file] = start + len(data)

    def set_aside(self, segment: SegmentName, position: int, data: bytes) -> None:
        """Keep bytes that are no record. The name is the same however often they are met."""
        self.aside.append((f"{segment.file}@{position}", data))

    def rejected(self) -> Batch:
        """The same piece of spool with its rows set aside instead: the store will never take them."""
        kept = [(f"call-{zlib.crc32(row[-1]):08x}", row[-1]) for row in self.call_rows]
        return Batch(positions=self.positions, aside=self.aside + kept, frames=self.frames, more=True)


def keep_aside(folder: Path, aside: Iterable[tuple[str, bytes]]) -> None:
    """Write bytes that are no records to `folder`, for a person to look at. Raises OSError."""
    for name, data in aside:
        folder.mkdir(mode=0o700, exist_ok=True)
        (folder / name).write_bytes(data)
