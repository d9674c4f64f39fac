"""The store or the control process does not answer for some seconds: callers are unaffected, no record is lost."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from pathlib import Path

import pytest

from pointsman.testing.simulator import SimulatorThread
from tests.system.books import prove, rows
from tests.system.caller import Answer, call_until, get
from tests.system.registry import chat, registry
from tests.system.stage import Served, serving

SECONDS = 4.0
LONGEST_SECONDS = 2.0
"""What one call may take meanwhile. Usually it is milliseconds; the machine may be busy."""


@contextmanager
def locked_store(served: Served) -> Iterator[None]:
    with closing(sqlite3.connect(served.places.database, isolation_level=None, timeout=10)) as other:
        other.execute("BEGIN EXCLUSIVE")
        yield
        other.execute("ROLLBACK")


@contextmanager
def stopped_control_process(served: Served) -> Iterator[None]:
    pid = served.control()
    os.kill(pid, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(pid, signal.SIGCONT)


@pytest.mark.slow
@pytest.mark.parametrize("outage", [locked_store, stopped_control_process])
def test_callers_do_not_notice_and_records_arrive_once_afterwards(
    outage: Callable[[Served], AbstractContextManager[None]],
    tmp_path: Path,
    slow_streams: SimulatorThread,
    broken: SimulatorThread,
) -> None:
    with serving(tmp_path, registry(slow_streams.base_url, broken.base_url)) as served:
        answers: list[Answer] = []
        meanwhile: list[int] = []

        async def scenario() -> None:
            over = False
            async with asyncio.TaskGroup() as group:
                for bodies in ([chat()], [chat("sturdy-answer")], [chat(stream=True)], [chat(stream=True)]):
                    group.create_task(call_until(lambda: over, served.url, bodies, answers, pause=0.01))
                await asyncio.sleep(0.5)
                with outage(served):
                    await asyncio.sleep(0.3)
                    before = len(rows(served))
                    await asyncio.sleep(SECONDS)
                    meanwhile.append(len(rows(served)) - before)
                    assert (await asyncio.to_thread(get, served.url, "/metrics")).status == 200
                await asyncio.sleep(0.3)
                over = True

        began = time.monotonic()
        asyncio.run(scenario())
        assert meanwhile == [0], "the store was written to: nothing was tried"
        assert {a.status for a in answers} == {200}
        assert all(a.whole for a in answers)
        stored = prove(served, answers)
        longest = max(d for (d,) in served.sql("SELECT duration_us FROM calls WHERE NOT stream"))
        assert longest < LONGEST_SECONDS * 1e6
        assert len(stored) == len(answers) > 100
        assert time.monotonic() - began < 60
