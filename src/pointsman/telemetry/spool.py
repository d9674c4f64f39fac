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

import errno
import fcntl
import os
import struct
import zlib
from collections.abc import Callable, Iterator
from functools import partial
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
    """Appends records of one gateway worker. Not for use by several threads.

    Records are gathered by `add` and written together by `flush`: one system call for all calls that ended in the same
    turn of the event loop. What the disk refuses stays gathered, in order, and goes with the next flush.
    """

    def __init__(self, folder: Path, writer: str, *, segment_bytes: int = SEGMENT_BYTES) -> None:
        self._folder = folder
        self._writer = writer
        self._segment_bytes = segment_bytes
        self._number = 0
        self._fd = -1
        self._size = 0
        self._dirty = False
        self._gathered: list[bytes] = []
        self._left: list[int] = []

    @property
    def waiting(self) -> int:
        """Frames that are gathered and not written (two for each record)."""
        return len(self._gathered)

    def add(self, record: CallRecord) -> None:
        """Gather a finished call."""
        self._gather(b"C" + _ENCODE(record))

    def add_opened(self, record: CallRecord) -> None:
        """Gather the mark of a stream that is about to reach its caller."""
        self._gather(b"O" + _ENCODE(Opened(record)))

    def call(self, record: CallRecord) -> None:
        """Write a finished call. Raises SpoolError."""
        self.add(record)
        self.flush()

    def opened(self, record: CallRecord) -> None:
        """Write the mark of a stream. Raises SpoolError."""
        self.add_opened(record)
        self.flush()

    def flush(self) -> None:
        """Write what was gathered. Raises SpoolError; what was gathered is then still there."""
        if not self._gathered:
            return
        if self._fd < 0 or self._size >= self._segment_bytes:
            self._rotate()
        frames = b"".join(self._gathered)
        try:
            written = os.write(self._fd, frames)
            if written != len(frames):
                os.ftruncate(self._fd, self._size)
                raise OSError(errno.ENOSPC, "the disk is full")
        except OSError as error:
            raise SpoolError(error.errno, f"cannot write the call spool: {error.strerror}") from error
        self._gathered.clear()
        self._size += written
        self._dirty = True

    def sync_job(self) -> Callable[[], None] | None:
        """What forces the written records to the disk, to be run in a thread about once a second; None: nothing to do.

        The job has a descriptor of its own, so that the segment may be left behind meanwhile. It raises OSError.
        """
        if not self._dirty or self._fd < 0:
            return None
        self._dirty = False
        left, self._left = self._left, []
        return partial(_sync_and_close, [*left, os.dup(self._fd)], self._folder)

    def _gather(self, payload: bytes) -> None:
        self._gathered += (HEAD.pack(len(payload), zlib.crc32(payload)), payload)

    def close(self) -> None:
        """Finish the segment: its lock is released and the reader may remove it once it is stored."""
        for fd in (*self._left, self._fd):
            if fd >= 0:
                os.close(fd)
        self._left = []
        self._fd = -1

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
        if self._fd >= 0:
            # Finished for the reader; but its last records are still to be forced to the disk.
            fcntl.flock(self._fd, fcntl.LOCK_UN)
            self._left.append(self._fd)
        self._fd = fd
        self._size = 0


def _sync_and_close(fds: list[int], folder: Path) -> None:
    """Force segments and the names of new ones to the disk."""
    fds = [*fds, os.open(folder, os.O_RDONLY | os.O_DIRECTORY)]
    try:
        for fd in fds:
            os.fsync(fd)
    finally:
        for fd in fds:
            os.close(fd)


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
