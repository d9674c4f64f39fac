"""A disk that refuses writes: calls are served, and recorded when it takes them again."""

from __future__ import annotations

import asyncio
import resource
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from pointsman.core.errors import GatewayError
from pointsman.core.record import CallRecord
from pointsman.gateway import settle
from pointsman.gateway.settle import Ledger
from pointsman.telemetry.metrics import Counters
from pointsman.telemetry.spool import SpoolWriter, read_frames
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.gateway.registry import document, provider, target
from tests.gateway.wire import chat, events
from tests.gateway.worker import Worker, until, worker


@pytest.fixture(scope="module")
def sim() -> Iterator[SimulatorThread]:
    with SimulatorThread(settings=Settings(name="sim")) as running:
        yield running


@pytest.fixture
def gateway(sim: SimulatorThread, tmp_path: Path) -> Iterator[Worker]:
    parts = document(provider("sim", sim.base_url), target("sim:one", "m"))
    with worker(tmp_path, parts) as running:
        yield running


@contextmanager
def full_disk(gateway: Worker) -> Iterator[None]:
    """No file of the worker may grow: what the kernel then says is what a full disk says, by another name."""
    _, hard = resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (0, hard))
    try:
        yield
    finally:
        resource.prlimit(gateway.process.pid, resource.RLIMIT_FSIZE, (hard, hard))


@pytest.mark.parametrize("before", [0, 2], ids=["a fresh spool", "a spool in use"])
def test_calls_are_served_while_the_disk_is_full_and_recorded_later(gateway: Worker, before: int) -> None:
    said = [gateway.ask(chat("sim:one")).call_id for _ in range(before)]
    with full_disk(gateway):
        for number in range(10):
            reply = gateway.ask(chat("sim:one", stream=bool(number % 2)))
            assert reply.status == 200
            assert number % 2 == 0 or events(reply.body)[-1] == "[DONE]"
            said.append(reply.call_id)
        assert gateway.metric("pointsman_spool_backlog") >= 10
        assert gateway.metric("pointsman_spool_errors_total") > 0
        assert len(gateway.records()) == before
    until(lambda: len(gateway.records()) == len(said))
    assert [record.call_id for record in gateway.records()] == said
    until(lambda: gateway.metric("pointsman_spool_backlog") == 0)
    assert gateway.process.poll() is None


def test_a_spool_folder_that_is_gone_and_comes_back_loses_nothing(gateway: Worker) -> None:
    gateway.places.spool.rename(gateway.places.root / "elsewhere")
    replies = [gateway.ask(chat("sim:one")) for _ in range(3)]
    assert {reply.status for reply in replies} == {200}
    (gateway.places.root / "elsewhere").rename(gateway.places.spool)
    for reply in replies:
        gateway.record(reply.call_id)


def test_what_waits_for_the_disk_is_written_before_the_end(gateway: Worker) -> None:
    with full_disk(gateway):
        said = gateway.ask(chat("sim:one")).call_id
    assert gateway.stop() == 0
    assert [record.call_id for record in gateway.records()] == [said]


def record(number: int) -> CallRecord:
    return CallRecord(f"call_{number:04d}", time.time_ns(), 1, "0" * 64, "w0")


def test_what_could_not_be_recorded_is_not_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The bound is a number of records; beyond it a new call is refused, until the disk has taken some."""
    monkeypatch.setattr(settle, "BACKLOG", 5)
    folder = tmp_path / "spool"

    async def scene() -> None:
        ledger = Ledger(SpoolWriter(folder, "w0"), Counters(), asyncio.get_running_loop())
        for number in range(5):
            ledger.require_room()
            ledger.add(record(number))
        await asyncio.sleep(0.01)
        assert (ledger.backlog, ledger.counters.spool_errors > 0) == (5, True)
        with pytest.raises(GatewayError) as caught:
            ledger.require_room()
        assert (caught.value.code, caught.value.kind.status) == ("record_unavailable", 503)
        assert caught.value.kind.retryable
        folder.mkdir()
        ledger.flush()
        ledger.require_room()
        assert ledger.backlog == 0

    asyncio.run(scene())
    (segment,) = folder.glob("*.spool")
    assert [frame.record.call_id for frame in read_frames(segment.read_bytes())] == [f"call_{n:04d}" for n in range(5)]
