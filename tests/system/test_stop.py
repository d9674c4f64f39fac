"""How it stops: calls in flight finish, their records are stored, and the exit code is 0."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from pointsman.testing.simulator import SimulatorThread
from tests.system.books import rows
from tests.system.caller import Answer, Caller
from tests.system.registry import chat, registry
from tests.system.stage import serving, until


@pytest.fixture
def config(slow_streams: SimulatorThread, broken: SimulatorThread) -> dict[str, Any]:
    return registry(slow_streams.base_url, broken.base_url)


async def stream_while(url: str, stopping: Any) -> tuple[Answer, bool]:
    """A stream during which it is stopped, and whether another caller was still let in meanwhile."""
    caller, late = Caller(url), Caller(url)
    stream = asyncio.create_task(caller.post(chat(stream=True)))
    await asyncio.sleep(0.3)
    stop = asyncio.create_task(asyncio.to_thread(stopping))
    await asyncio.sleep(0.4)
    assert not stream.done()
    let_in = bool((await late.post(chat())).status)
    answer = await stream
    assert await stop == 0
    caller.close()
    return answer, let_in


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_calls_in_flight_finish_and_are_stored(
    number: int, workers: int, tmp_path: Path, config: dict[str, Any]
) -> None:
    """SIGINT goes to the whole process group, as Ctrl-C does."""
    with serving(tmp_path, config, workers=workers) as served:
        answer, let_in = asyncio.run(stream_while(served.url, lambda: served.stop(number)))
        assert (answer.status, answer.whole) == (200, True)
        assert not let_in, "a connection was taken that nobody would serve for long"
        assert rows(served)[answer.call_id].outcome == "ok"
        assert list(served.places.spool.iterdir()) == []
        assert list(served.places.workers.glob("*.json")) == []


def test_what_does_not_finish_within_the_grace_is_cut_and_recorded_as_interrupted(
    tmp_path: Path, config: dict[str, Any], slow_streams: SimulatorThread
) -> None:
    with serving(tmp_path, config, "--grace", "0.5") as served:

        async def scenario() -> tuple[Answer, float]:
            caller = Caller(served.url)
            stream = asyncio.create_task(caller.post(chat(stream=True, max_tokens=400)))
            await asyncio.sleep(1.5)
            began = time.monotonic()
            assert await asyncio.to_thread(served.stop) == 0
            return await stream, time.monotonic() - began

        slow_streams.behave("token_delay:500ms,on=stream")
        try:
            answer, took = asyncio.run(scenario())
        finally:
            slow_streams.behave("token_delay:50ms,on=stream")
        assert not answer.whole
        assert took < 8
        row = rows(served)[answer.call_id]
        assert (row.outcome, row.attempts) == ("interrupted", 1)


def test_a_worker_that_ends_is_replaced_and_said_so(tmp_path: Path, config: dict[str, Any]) -> None:
    with serving(tmp_path, config, workers=2) as served:
        victim = served.statuses()[0]
        os.kill(victim.pid, signal.SIGKILL)
        until(lambda: victim.pid not in served.workers() and len(served.workers()) == 2, "it is replaced")
        assert "gateway worker 0 ended (signal 9); starting it again" in served.said()
        until(lambda: served.statuses()[0].pid != victim.pid and served.statuses()[0].revision == 1, "and serves")
