"""Reading a spool segment that may still grow, may end in a torn write, and may be damaged in the middle.

`spool` says how frames look. Here nothing is decoded: what comes out are checked payloads and where each one ends.
"""

from __future__ import annotations

import enum
import re
import zlib
from pathlib import Path

import msgspec

from pointsman.telemetry.spool import HEAD, MAX_FRAME, SUFFIX

CALL, OPENED = b"C"[0], b"O"[0]
_NAME = re.compile(r"(?P<writer>.+)-(?P<number>\d+)" + re.escape(SUFFIX))


class SegmentName(msgspec.Struct, frozen=True, order=True):
    """A segment, ordered as its writer wrote it."""

    writer: str
    number: int
    file: str


class Rest(enum.Enum):
    """What lies behind the last whole frame."""

    NOTHING = "nothing"
    UNFINISHED = "unfinished"
    DAMAGED = "damaged"


class Split(msgspec.Struct):
    """The whole frames of a piece of a segment as (payload, end) with ends relative to the piece, and its rest."""

    frames: list[tuple[bytes, int]]
    rest: Rest

    @property
    def end(self) -> int:
        """Where the last whole frame ends."""
        return self.frames[-1][1] if self.frames else 0


def list_segments(folder: Path) -> list[SegmentName]:
    """The segments in `folder`, each writer's in order. Raises OSError."""
    names = (_NAME.fullmatch(path.name) for path in folder.iterdir())
    return sorted(SegmentName(m["writer"], int(m["number"]), m.string) for m in names if m is not None)


def read_piece(path: Path, start: int, size: int) -> tuple[bytes, int]:
    """Up to `size` bytes from offset `start`, and the file's length then. Raises OSError."""
    with path.open("rb", buffering=0) as file:
        file.seek(start)
        data = file.read(size)
        return data, max(file.seek(0, 2), start + len(data))


def split_frames(data: bytes, limit: int) -> Split:
    """The first `limit` whole frames of `data`."""
    frames: list[tuple[bytes, int]] = []
    position, total = 0, len(data)
    unpack, crc32, head = HEAD.unpack_from, zlib.crc32, HEAD.size
    while len(frames) < limit:
        begin = position + head
        if begin > total:
            return Split(frames, Rest.UNFINISHED if position < total else Rest.NOTHING)
        length, crc = unpack(data, position)
        if not 0 < length <= MAX_FRAME:
            return Split(frames, Rest.DAMAGED)
        end = begin + length
        if end > total:
            return Split(frames, Rest.UNFINISHED)
        payload = data[begin:end]
        if crc32(payload) != crc:
            return Split(frames, Rest.DAMAGED)
        frames.append((payload, end))
        position = end
    return Split(frames, Rest.NOTHING)


def next_frame(data: bytes) -> int | None:
    """Where the next whole frame begins behind a damaged one at the start of `data`; None when there is none."""
    head = HEAD.size
    for begin in range(head + 1, len(data)):
        if data[begin] in (CALL, OPENED):
            length, crc = HEAD.unpack_from(data, begin - head)
            end = begin + length
            if 0 < length <= MAX_FRAME and end <= len(data) and zlib.crc32(data[begin:end]) == crc:
                return begin - head
    return None
