"""Kill -9 of the control side's ingest, again and again, while a writer appends: every record exactly once."""

from __future__ import annotations

import random
import subprocess
import sys
import time
from pathlib import Path

import pytest
from sqlalchemy import func, select

from pointsman.store.tables import attempts, calls
from pointsman.telemetry.ingest import Ingest
from pointsman.telemetry.spool import SpoolWriter
from tests.store.making import new_store, record

INGEST = """
import sys, time
from pathlib import Path
from pointsman.store.store import connect
from pointsman.telemetry.ingest import Ingest
root = Path(sys.argv[1])
ingest = Ingest(connect(root / "pointsman.db"), root / "spool")
print("up", flush=True)
while True:
    if not ingest.run_once():
        time.sleep(0.001)
"""

WRITE = """
import sys
from pathlib import Path
from pointsman.telemetry.spool import SpoolWriter
from tests.store.making import record
writer = SpoolWriter(Path(sys.argv[1]) / "spool", sys.argv[2], segment_bytes=20_000)
n = 0
while True:
    made = record(n, call_id=f"call-{sys.argv[2]}-{n}")
    if n % 3 == 0:
        writer.opened(made)
    writer.call(made)
    print(n, flush=True)
    n += 1
"""


@pytest.mark.timeout(60)
def test_ingest_that_is_killed_at_any_moment_stores_every_record_once(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    store = new_store(tmp_path)
    chance = random.Random(7)
    writer = SpoolWriter(tmp_path / "spool", "w1", segment_bytes=30_000)
    written = 0
    for _ in range(12):
        process = subprocess.Popen([sys.executable, "-c", INGEST, str(tmp_path)], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        deadline = time.monotonic() + chance.uniform(0.01, 0.15)
        while time.monotonic() < deadline:
            for _ in range(20):
                made = record(written)
                if written % 5 == 0:
                    writer.opened(made)
                writer.call(made)
                written += 1
        process.kill()
        process.wait()
        process.stdout.close()
    for number in range(written, written + 50):  # whatever the killed ones managed, something is left for the last one
        writer.call(record(number))
    written += 50
    writer.close()
    ingest = Ingest(store, tmp_path / "spool")
    while ingest.run_once():
        pass
    assert 0 < ingest.status.stored < written, "the killed ones stored some, and the last one the rest"
    with store.read() as connection:
        stored = connection.execute(select(func.count(), func.count(calls.c.call_id.distinct()))).one()
        tried = connection.execute(select(func.count()).select_from(attempts)).scalar()
        wrong = connection.execute(select(func.count()).select_from(calls).where(calls.c.outcome != "ok")).scalar()
    assert (tuple(stored), tried, wrong) == ((written, written), written, 0)
    assert list((tmp_path / "spool").glob("*.spool")) == []


@pytest.mark.timeout(60)
def test_a_writer_that_is_killed_at_any_moment_loses_nothing_it_has_written(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    store = new_store(tmp_path)
    ingest = Ingest(store, tmp_path / "spool")
    chance = random.Random(11)
    said: dict[str, int] = {}
    for life in range(5):
        name = f"w{life}"
        process = subprocess.Popen(
            [sys.executable, "-c", WRITE, str(tmp_path), name], stdout=subprocess.PIPE, cwd=Path(__file__).parents[2]
        )
        assert process.stdout is not None
        said[name] = int(process.stdout.readline())
        deadline = time.monotonic() + chance.uniform(0.02, 0.2)
        while time.monotonic() < deadline:
            ingest.run_once()
        process.kill()
        for line in process.stdout.read().split(b"\n")[:-1]:
            said[name] = int(line)
        process.stdout.close()
        process.wait()
    while ingest.run_once():
        pass
    with store.read() as connection:
        found = set(connection.execute(select(calls.c.call_id)).scalars())
    for name, last in said.items():
        assert {f"call-{name}-{n}" for n in range(last + 1)} <= found
        # It may have written one more than it could say.
        assert f"call-{name}-{last + 2}" not in found
