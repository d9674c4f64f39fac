"""The spool: call records on disk between the gateway that writes them and the control process that stores them.

One file per writer and segment, appended to with a single `write` per record, so that a killed process loses nothing
it has written. A frame is

    length  uint32 little-endian, bytes of the payload
    crc32   uint32 little-endian, of the payload
    payload one kind byte (`C` call record, `O` opened stream) and the MessagePack of the record

The writer holds an exclusive `flock` on the segment it appends to; a segment without a lock is finished, by rotation
or by death. What lies behind the last whole frame of a finished segment is a torn write and belongs to no answer: the
record of an answer is written before its last byte is sent.
"""

from __future__ import annotations

import fcntl
import os
import struct
import zlib
from collections.abc import Iterator
from pathlib import Path

import msgspec

from pointsman.core.record import CallRecord, Opened

SUFFIX = ".spool"
SEGMENT_BYTES = 8 << 20
MAX_FRAME = 4 << 20

HEAD = struct.Struct("<II")
_ENCODE = msgspec.msgpack.Encoder().encode
_CALL = msgspec.msgpack.Decoder(CallRecord)
_OPENED = msgspec.msgpack.Decoder(Opened)


class SpoolError(OSError):
    """A record could not be written (disk full, folder gone). Nothing of it is left in the segment."""


class SpoolWriter:
    """Appends records of one gateway worker. Not for use by several threads."""

    def __init__(self, folder: Path, writer: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._writer = writer
        self._segment_bytes = segment_bytes
        self._number = 0
        self._fd = -1
        self._size = 0
        self._dirty = False

    def call(self, record: CallRecord) -> None:
        """Append a finished call. Raises SpoolError."""
        self._append(b"C" + _ENCODE(record))

    def opened(self, record: CallRecord) -> None:
        """Append the mark of a stream that is about to reach its caller. Raises SpoolError."""
        self._append(b"O" + _ENCODE(Opened(record)))

    def sync(self) -> None:
        """Force what was written to the disk. Called about once a second from a thread. Raises OSError."""
        if self._dirty and self._fd >= 0:
            self._dirty = False
            os.fdatasync(self._fd)

    def close(self) -> None:
        """Finish the segment: its lock is released and the reader may remove it once it is stored."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _append(self, payload: bytes) -> None:
        if self._fd < 0 or self._size >= self._segment_bytes:
            self._rotate()
        frame = HEAD.pack(len(payload), zlib.crc32(payload)) + payload
        try:
            written = os.write(self._fd, frame)
        except OSError as error:
            raise SpoolError(error.errno, f"cannot write the call spool: {error.strerror}") from error
        if written != len(frame):
            os.ftruncate(self._fd, self._size)
            raise SpoolError(28, "cannot write the call spool: the disk is full")
        self._size += written
        self._dirty = True

    def _rotate(self) -> None:
        self._number += 1
        while (path := self._folder / f"{self._writer}-{self._number:06d}{SUFFIX}").exists():
            self._number += 1
        # Locked before it gets its name: a reader must never take a segment that is just being made for a finished
        # one. Named before the old one is let go: a writer without any locked segment is taken for dead.
        unnamed = path.with_suffix(".new")
        fd = -1
        try:
            fd = os.open(unnamed, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            unnamed.rename(path)
        except OSError as error:
            if fd >= 0:
                os.close(fd)
                unnamed.unlink(missing_ok=True)
            raise SpoolError(error.errno, f"cannot open the call spool {path}: {error.strerror}") from error
        self.close()
        self._fd = fd
        self._size = 0


class Frame(msgspec.Struct, frozen=True):
    """One record read back. `end` is the offset behind its frame."""

    record: CallRecord
    opened: bool
    end: int


def read_frames(data: bytes, start: int = 0) -> Iterator[Frame]:
    """The whole frames of a segment's bytes from offset `start`; stops silently at a torn or unfinished one."""
    position = start
    total = len(data)
    while position + HEAD.size <= total:
        length, crc = HEAD.unpack_from(data, position)
        begin = position + HEAD.size
        position = begin + length
        if not 0 < length <= MAX_FRAME or position > total:
            return
        payload = data[begin:position]
        if zlib.crc32(payload) != crc:
            return
        if payload[:1] == b"C":
            yield Frame(_CALL.decode(payload[1:]), False, position)
        elif payload[:1] == b"O":
            yield Frame(_OPENED.decode(payload[1:]).call, True, position)


def is_finished(path: Path) -> bool:
    """Whether no living writer holds the segment. Raises FileNotFoundError."""
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    finally:
        os.close(fd)
    return True
