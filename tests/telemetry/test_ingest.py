"""Ingest: every record once, whatever happens to the writer, the store or the files."""

from __future__ import annotations

import sqlite3
import time
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from pointsman.core.record import Attempt, AttemptKind, CallRecord, Outcome
from pointsman.store.calls import call_record
from pointsman.store.progress import Progress
from pointsman.store.store import Store, StoreUnavailable
from pointsman.store.tables import attempts, calls, spool_progress
from pointsman.telemetry.ingest import Ingest
from pointsman.telemetry.spool import HEAD, SpoolWriter
from tests.store.making import new_store, record


class Place:
    """A spool folder and a store. `ingest` is a fresh one each time, as after a restart."""

    def __init__(self, root: Path) -> None:
        self.spool = root / "spool"
        self.spool.mkdir()
        self.store: Store = new_store(root)

    def ingest(self) -> Ingest:
        made = Ingest(self.store, self.spool)
        while made.run_once():
            pass
        return made

    def outcomes(self) -> dict[str, str]:
        with self.store.read() as connection:
            rows = connection.execute(select(calls.c.call_id, calls.c.outcome).order_by(calls.c.id)).all()
        assert len({row.call_id for row in rows}) == len(rows)
        return {row.call_id.removeprefix("call-").lstrip("0") or "0": row.outcome for row in rows}

    def segments(self) -> list[str]:
        return sorted(path.name for path in self.spool.glob("*.spool"))

    def bad(self) -> list[bytes]:
        return [path.read_bytes() for path in sorted((self.spool / "bad").glob("*"))]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


def write(place: Place, *records: CallRecord, name: str = "w1") -> SpoolWriter:
    writer = SpoolWriter(place.spool, name)
    for one in records:
        writer.call(one)
    return writer


def test_records_of_a_living_writer_are_stored_and_its_segment_stays(place: Place) -> None:
    writer = write(place, record(1), record(2))
    ingest = place.ingest()
    assert place.outcomes() == {"1": "ok", "2": "ok"}
    assert ingest.status.stored == 2
    writer.call(record(3))
    ingest.run_once()
    assert list(place.outcomes()) == ["1", "2", "3"]
    assert place.segments() == ["w1-000001.spool"]


def test_a_finished_and_stored_segment_is_deleted_with_its_progress(place: Place) -> None:
    write(place, record(1)).close()
    place.ingest()
    assert place.segments() == []
    with place.store.read() as connection:
        assert connection.execute(select(spool_progress)).all() == []


def test_a_restart_reads_on_where_the_last_one_stopped(place: Place) -> None:
    writer = write(place, record(1))
    assert place.ingest().status.stored == 1
    writer.call(record(2))
    assert place.ingest().status.stored == 1
    assert list(place.outcomes()) == ["1", "2"]


def test_a_segment_that_is_read_again_adds_nothing(place: Place) -> None:
    write(place, record(1), record(2)).close()
    data = (place.spool / "w1-000001.spool").read_bytes()
    place.ingest()
    (place.spool / "w1-000001.spool").write_bytes(data)
    place.ingest()
    assert list(place.outcomes()) == ["1", "2"]
    with place.store.read() as connection:
        assert len(connection.execute(select(attempts)).all()) == 2


def test_many_segments_of_many_writers(place: Place) -> None:
    for name in ("a", "b-2", "c"):
        writer = SpoolWriter(place.spool, name, segment_bytes=2000)
        for n in range(20):
            writer.call(record(n, call_id=f"call-{name}{n}"))
        writer.close()
    assert len(place.segments()) > 9
    place.ingest()
    assert len(place.outcomes()) == 60
    assert place.segments() == []


def test_a_torn_last_write_is_counted_and_does_not_block(place: Place) -> None:
    write(place, record(1)).close()
    path = place.spool / "w1-000001.spool"
    path.write_bytes(path.read_bytes() + HEAD.pack(500, 1) + b"half a frame")
    ingest = place.ingest()
    assert (ingest.status.torn, ingest.status.bad) == (1, 0)
    assert list(place.outcomes()) == ["1"]
    assert place.segments() == []


def test_zeros_that_a_power_loss_leaves_behind_count_as_torn(place: Place) -> None:
    write(place, record(1)).close()
    path = place.spool / "w1-000001.spool"
    path.write_bytes(path.read_bytes() + bytes(4096))
    ingest = place.ingest()
    assert (ingest.status.torn, ingest.status.bad, place.segments()) == (1, 0, [])


def test_half_a_frame_of_a_living_writer_is_waited_for(place: Place) -> None:
    writer = write(place, record(1))
    path = place.spool / "w1-000001.spool"
    whole = path.read_bytes()
    writer.call(record(2))
    rest = path.read_bytes()[len(whole) :]
    with path.open("r+b") as file:
        file.truncate(len(whole) + 11)
    ingest = place.ingest()
    assert list(place.outcomes()) == ["1"]
    with path.open("ab") as file:
        file.write(rest[11:])
    ingest.run_once()
    assert list(place.outcomes()) == ["1", "2"]


@pytest.mark.parametrize("living", [True, False])
def test_damage_in_the_middle_is_kept_aside_and_what_follows_is_stored(place: Place, living: bool) -> None:
    writer = write(place, record(1), record(2), record(3))
    path = place.spool / "w1-000001.spool"
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle] ^= 0xFF
    with path.open("r+b") as file:
        file.write(data)
    if not living:
        writer.close()
    ingest = place.ingest()
    for _ in range(5):
        ingest.run_once()
    assert list(place.outcomes()) == ["1", "3"]
    assert ingest.status.bad == 1
    assert len(place.bad()) == 1


@pytest.mark.parametrize("payload", [b"Cnonsense", b"C" + msgspec.msgpack.encode({"a": 1}), b"O\xc1", b"Zwhat", b"C"])
def test_a_frame_that_is_no_record_is_kept_aside(place: Place, payload: bytes) -> None:
    import zlib

    writer = write(place, record(1))
    path = place.spool / "w1-000001.spool"
    with path.open("ab") as file:
        file.write(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
    writer.call(record(2))
    ingest = place.ingest()
    assert list(place.outcomes()) == ["1", "2"]
    assert ingest.status.bad == 1
    assert place.bad() == [payload]


def test_a_record_that_the_store_can_never_take_is_kept_aside_and_its_neighbours_are_stored(place: Place) -> None:
    records = [record(n) for n in range(40)]
    records[17].duration_us = 1 << 63
    write(place, *records).close()
    ingest = place.ingest()
    assert len(place.outcomes()) == 39
    assert ingest.status.bad == 1
    assert len(place.bad()) == 1
    assert place.segments() == []


def test_a_record_of_a_newer_gateway_with_more_fields_is_stored(place: Place) -> None:
    import zlib

    newer = [*msgspec.msgpack.decode(msgspec.msgpack.encode(record(1))), "a field of tomorrow"]
    payload = b"C" + msgspec.msgpack.encode(newer)
    (place.spool / "w1-000001.spool").write_bytes(HEAD.pack(len(payload), zlib.crc32(payload)) + payload)
    place.ingest()
    assert place.outcomes() == {"1": "ok"}


def test_an_opened_stream_waits_for_its_record_while_its_writer_lives(place: Place) -> None:
    writer = write(place)
    writer.opened(record(1, stream=True, status=200))
    ingest = place.ingest()
    assert place.outcomes() == {}
    assert ingest.status.open_streams == 1
    writer.call(record(1, stream=True))
    writer.close()
    ingest.run_once()
    assert place.outcomes() == {"1": "ok"}
    assert (ingest.status.open_streams, place.segments()) == (0, [])


def test_an_opened_stream_of_a_dead_writer_becomes_an_interrupted_call(place: Place) -> None:
    writer = write(place)
    attempt = Attempt("p:m", AttemptKind.PRIMARY, 5)
    writer.opened(record(1, stream=True, attempts=(attempt,), usage=None, cost_nano=None))
    writer.close()
    ingest = place.ingest()
    assert place.outcomes() == {"1": "interrupted"}
    assert (ingest.status.interrupted, place.segments()) == (1, [])
    with place.store.read() as connection:
        found = call_record(connection, "call-00000001")
        assert len(connection.execute(select(attempts)).all()) == 1
    assert found is not None
    assert (found.outcome, found.cost_nano, found.cost_reason) == (Outcome.INTERRUPTED, None, "interrupted")


def test_a_record_in_a_later_segment_settles_its_stream(place: Place) -> None:
    writer = SpoolWriter(place.spool, "w1", segment_bytes=1)
    writer.opened(record(1, stream=True))
    writer.call(record(2))
    ingest = place.ingest()
    assert place.outcomes() == {"2": "ok"}
    assert "w1-000001.spool" in place.segments()
    writer.call(record(1, stream=True))
    writer.close()
    ingest.run_once()
    assert place.outcomes() == {"2": "ok", "1": "ok"}
    assert place.segments() == []


def test_an_open_stream_survives_a_restart_of_ingest(place: Place) -> None:
    writer = SpoolWriter(place.spool, "w1", segment_bytes=1)
    writer.opened(record(1))
    writer.opened(record(2))
    writer.call(record(2))
    assert place.ingest().status.open_streams == 1
    assert place.ingest().status.open_streams == 1
    writer.close()
    place.ingest()
    assert place.outcomes() == {"2": "ok", "1": "interrupted"}
    assert place.segments() == []


def test_a_stream_whose_record_is_stored_is_not_opened_again_by_a_restart(place: Place) -> None:
    writer = SpoolWriter(place.spool, "w1", segment_bytes=1)
    writer.opened(record(1))
    writer.opened(record(9))
    place.ingest()
    opened_in = (place.spool / "w1-000001.spool").read_bytes()
    writer.call(record(1))
    place.ingest()
    # As if the process had died after deleting the later segment and before deleting the earlier one.
    (place.spool / "w1-000001.spool").write_bytes(opened_in)
    with place.store.write() as connection:
        Progress(place.store).set(connection, {"w1-000001.spool": len(opened_in)})
    assert place.ingest().status.open_streams == 1
    writer.close()
    place.ingest()
    assert place.outcomes() == {"1": "ok", "9": "interrupted"}


def test_another_writer_does_not_keep_a_dead_one_alive(place: Place) -> None:
    dead, alive = write(place, name="w1"), write(place, record(2), name="w2")
    dead.opened(record(1))
    dead.close()
    place.ingest()
    assert place.outcomes() == {"2": "ok", "1": "interrupted"}
    alive.close()


def test_a_locked_store_loses_nothing_and_says_so(place: Place, tmp_path: Path) -> None:
    write(place, record(1)).close()
    ingest = Ingest(place.store, place.spool)
    other = sqlite3.connect(tmp_path / "pointsman.db", isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreUnavailable):
        ingest.run_once()
    other.close()
    assert place.segments() == ["w1-000001.spool"]
    ingest.run_once()
    assert place.outcomes() == {"1": "ok"}


def test_the_thread_follows_the_spool_says_what_is_wrong_and_recovers(place: Place, tmp_path: Path) -> None:
    ingest = Ingest(place.store, place.spool)
    ingest.start()
    try:
        writer = write(place, record(1))
        until(lambda: len(place.outcomes()) == 1)
        other = sqlite3.connect(tmp_path / "pointsman.db", isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        writer.call(record(2))
        until(lambda: "locked" in ingest.status.problem)
        other.close()
        until(lambda: len(place.outcomes()) == 2)
        until(lambda: not ingest.status.problem)
        writer.call(record(3))
        writer.close()
    finally:
        ingest.stop()
    assert list(place.outcomes()) == ["1", "2", "3"]
    assert place.segments() == []


def until(condition: object, patience: float = 10.0) -> None:
    assert callable(condition)
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)


def test_a_new_segment_never_takes_the_place_of_one_that_is_not_read_yet(place: Place) -> None:
    write(place, record(1)).close()
    write(place, record(2)).close()
    assert place.segments() == ["w1-000001.spool", "w1-000002.spool"]
    place.ingest()
    assert list(place.outcomes()) == ["1", "2"]
