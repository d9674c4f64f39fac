"""Ingest: call records from the spool into the store, each exactly once, whenever either side dies.

One pass reads what every segment has beyond its stored position, writes rows and positions in one transaction, and
only then deletes what is finished and stored. Until the commit nothing in memory changes, so a pass that fails is
simply made again.
"""

from __future__ import annotations

import logging
import threading
import time
import zlib
from pathlib import Path

import msgspec

from pointsman.store.calls import CallWriter, attempt_rows, call_row, stored_ids
from pointsman.store.progress import Progress
from pointsman.store.store import Store, StoreError, StoreRejected
from pointsman.telemetry.batch import Batch, keep_aside
from pointsman.telemetry.segment import (
    CALL,
    OPENED,
    Rest,
    SegmentName,
    list_segments,
    next_frame,
    read_piece,
    split_frames,
)
from pointsman.telemetry.spool import HEAD, MAX_FRAME, is_finished
from pointsman.telemetry.streams import OpenStreams, call_id, interrupted, opened_id

POLL_SECONDS = 0.2
_BACK_OFF_MAX = 5.0
_BATCH_BYTES = 2 << 20
_BATCH_FRAMES = 4000
_PATIENCE = 5  # passes a damaged place in a living segment is given to turn out as a write under way

_log = logging.getLogger("pointsman.ingest")


class IngestStatus(msgspec.Struct, frozen=True):
    """How ingest is doing since this process started. `behind_bytes` lie in the spool and not yet in the store.

    `bad` counts frames that could not be read or stored (kept in spool/bad), `torn` unfinished last writes of dead
    writers, `open_streams` those whose record is still to come. `problem` is empty when all is well.
    """

    stored: int = 0
    interrupted: int = 0
    bad: int = 0
    torn: int = 0
    open_streams: int = 0
    behind_bytes: int = 0
    behind_seconds: float = 0.0
    problem: str = ""


class Ingest:
    """Moves records from `folder` to `store`. Only one may run for a folder."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._writer = CallWriter(store)
        self._progress = Progress(store)
        self._positions: dict[str, int] | None = None
        self._streams = OpenStreams()
        self._waits: dict[str, int] = {}
        self._frame_limit = _BATCH_FRAMES
        self._stored = self._interrupted = self._bad = self._torn = 0
        self._behind = 0
        self._caught_up = time.monotonic()
        self._problem = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    @property
    def status(self) -> IngestStatus:
        """A snapshot for the admin API."""
        late = time.monotonic() - self._caught_up if self._behind else 0.0
        return IngestStatus(
            self._stored,
            self._interrupted,
            self._bad,
            self._torn,
            len(self._streams),
            self._behind,
            round(late, 3),
            self._problem,
        )

    def start(self) -> None:
        """Run in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._run, name="ingest", daemon=True)
        self._thread.start()

    def stop(self, timeout: float = 5.0) -> None:
        """Finish the pass under way, make a last one, and end. What is not stored then stays in the spool."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(timeout)

    def _run(self) -> None:
        try:
            self._loop()
        finally:
            if not self._stop.is_set():
                self._problem = "ingest ended unexpectedly: restart the control process and see its log"

    def _loop(self) -> None:
        pause = POLL_SECONDS
        while not self._stop.is_set():
            try:
                more = self.run_once()
                pause = 0.0 if more else POLL_SECONDS
            except (StoreError, OSError) as error:
                self._say(str(error))
                pause = min(max(pause, POLL_SECONDS) * 2, _BACK_OFF_MAX)
            if pause:
                self._stop.wait(pause)
        try:
            self.run_once()
        except (StoreError, OSError) as error:
            self._say(str(error))

    def _say(self, problem: str) -> None:
        if problem and problem != self._problem:
            _log.error("call records wait in the spool: %s", problem)
        elif self._problem and not problem:
            _log.warning("call records flow into the store again")
        self._problem = problem

    def run_once(self) -> bool:
        """One pass. Returns whether more waits already. Raises StoreError, OSError; nothing is lost then."""
        positions = self._recover() if self._positions is None else self._positions
        segments = list_segments(self._folder)
        finished: dict[str, bool] = {}
        sizes: dict[str, int] = {}
        batch = Batch()
        for segment in segments:
            # Asked before the bytes are read: what a writer adds in between then counts as unread, not as missing.
            finished[segment.file] = is_finished(self._folder / segment.file)
            sizes[segment.file] = self._read(batch, segment, positions.get(segment.file, 0), finished[segment.file])
        self._commit(batch, positions)
        self._behind = sum(size - positions.get(file, 0) for file, size in sizes.items() if not finished[file])
        if not batch.more:
            self._finish(segments, finished, positions)
            if self._behind == 0:
                self._caught_up = time.monotonic()
        self._say("")
        return batch.more

    def _read(self, batch: Batch, segment: SegmentName, start: int, finished: bool) -> int:
        """Take frames of one segment into `batch`, as far as its limits allow. Returns the file's size."""
        path = self._folder / segment.file
        room = self._frame_limit - batch.frames
        if room <= 0 or batch.size >= _BATCH_BYTES:
            batch.more = True
            return path.stat().st_size
        data, size = read_piece(path, start, _BATCH_BYTES)
        if not data:
            return size
        split = split_frames(data, room)
        if not split.frames and split.rest is Rest.UNFINISHED and size > start + len(data):
            data, size = read_piece(path, start, HEAD.size + MAX_FRAME)
            split = split_frames(data, room)
        if split.frames:
            batch.take(segment, start, split.frames)
            self._waits.pop(segment.file, None)
            # A frame the writer is in the middle of is no reason to hurry; one that our own piece cut off is.
            writing = split.rest is Rest.UNFINISHED and start + len(data) >= size
            batch.more = batch.more or (start + split.end < size and not writing)
        elif split.rest is Rest.DAMAGED:
            self._pass_damage(batch, segment, start, finished)
        return size

    def _pass_damage(self, batch: Batch, segment: SegmentName, start: int, finished: bool) -> None:
        """Step over bytes that are no frame, to the next whole one if there is one."""
        waits = self._waits[segment.file] = self._waits.get(segment.file, 0) + 1
        if not finished and waits < _PATIENCE:
            return
        data, _ = read_piece(self._folder / segment.file, start, -1)
        found = next_frame(data)
        if found is not None:
            _log.error("%s is damaged at byte %d: %d bytes are kept in spool/bad", segment.file, start, found)
            batch.skip(segment, start, data[:found])
            batch.more = True
        elif finished and data.strip(b"\0"):
            batch.skip(segment, start, data)

    def _commit(self, batch: Batch, positions: dict[str, int]) -> None:
        if not batch.positions and not batch.aside:
            return
        keep_aside(self._folder / "bad", batch.aside)
        try:
            with self._store.write() as connection:
                self._writer.write(connection, batch.call_rows, batch.attempt_rows)
                self._progress.set(connection, batch.positions)
        except StoreRejected as error:
            # One row spoils its whole batch: halve until the row is alone, and keep that one aside.
            if batch.frames > 1:
                self._frame_limit = max(1, batch.frames // 2)
                batch.more = True
                return
            _log.error("a call record is kept in spool/bad: %s", error)
            self._commit(batch.rejected(), positions)
            return
        self._frame_limit = min(self._frame_limit * 2, _BATCH_FRAMES)
        positions.update(batch.positions)
        self._stored += len(batch.calls)
        self._bad += len(batch.aside)
        for segment, call, packed in batch.opened:
            self._streams.open(segment, call, packed)
        self._streams.settle(batch.calls)

    def _finish(self, segments: list[SegmentName], finished: dict[str, bool], positions: dict[str, int]) -> None:
        """Settle the streams of dead writers, then delete segments that have nothing more to give."""
        # Listed again: a writer that rotated after the first look shows its new segment here.
        living = {s.writer for s in list_segments(self._folder) if not finished.get(s.file, False)}
        self._interrupt(self._streams.without_writer(living))
        needed = self._streams.segments()
        gone = [s.file for s in segments if finished[s.file] and s.file not in needed]
        for file in gone:
            self._delete(file, positions.pop(file, 0))
        if gone:
            with self._store.write() as connection:
                self._progress.forget(connection, gone)

    def _delete(self, file: str, position: int) -> None:
        path = self._folder / file
        rest = path.stat().st_size - position
        if rest > 0:
            self._torn += 1
            _log.warning("%s ended in a torn write of %d bytes; it belongs to no answer", file, rest)
        path.unlink()
        self._waits.pop(file, None)

    def _interrupt(self, streams: dict[str, bytes]) -> None:
        """Store the calls of streams whose writer died."""
        if not streams:
            return
        calls, attempts, aside = [], [], []
        with self._store.write() as connection:
            known = stored_ids(connection, list(streams))
            for call, packed in streams.items():
                if call in known:
                    continue
                try:
                    record, repacked = interrupted(packed)
                except msgspec.MsgspecError:
                    aside.append((f"opened-{zlib.crc32(packed):08x}", packed))
                    continue
                calls.append(call_row(record, repacked))
                attempts += attempt_rows(record)
            keep_aside(self._folder / "bad", aside)
            self._writer.write(connection, calls, attempts)
        self._interrupted += len(calls)
        self._bad += len(aside)
        self._streams.settle(streams)

    def _recover(self) -> dict[str, int]:
        """Positions from the store, and the open streams in what was read before. Raises StoreError, OSError."""
        segments = list_segments(self._folder)
        with self._store.read() as connection:
            known = self._progress.all(connection)
            positions = {s.file: known[s.file] for s in segments if s.file in known}
            for segment in segments:
                self._reopen(segment, positions.get(segment.file, 0))
            self._streams.settle(stored_ids(connection, self._streams.ids()))
        stale = known.keys() - positions.keys()
        if stale:
            with self._store.write() as connection:
                self._progress.forget(connection, stale)
        self._positions = positions
        return positions

    def _reopen(self, segment: SegmentName, end: int) -> None:
        if end == 0:
            return
        data, _ = read_piece(self._folder / segment.file, 0, end)
        start = 0
        while start < len(data):
            split = split_frames(data[start:], len(data))
            for payload, _ in split.frames:
                try:
                    if payload[0] == OPENED:
                        self._streams.open(segment, opened_id(payload[1:]), payload[1:])
                    elif payload[0] == CALL:
                        self._streams.settle([call_id(payload[1:])])
                except msgspec.MsgspecError:
                    continue  # it was counted and kept aside when it was first read
            start += split.end
            if split.rest is not Rest.DAMAGED:
                return
            found = next_frame(data[start:])
            if found is None:
                return
            start += found
