"""Kill -9 of any process at any moment under load: every answered call is on record exactly once."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from pointsman.testing.simulator import SimulatorThread
from tests.system.books import prove
from tests.system.caller import Answer, call_until
from tests.system.registry import chat, registry
from tests.system.stage import Served, running, serving, until

ROUNDS = 4
TWO_WORKERS = 2

Kill = Callable[[Served, random.Random], Awaitable[None]]


async def kill_a_worker(served: Served, chance: random.Random) -> None:
    """One worker dies. The supervisor starts it again."""
    victim = chance.choice(served.workers())
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: victim not in served.workers(), "the supervisor notices")
    await asyncio.to_thread(until, lambda: len(served.workers()) == TWO_WORKERS, "the worker is replaced")


async def kill_the_control_process(served: Served, chance: random.Random) -> None:
    """The control process dies, at times while it starts. The supervisor starts it again."""
    victim = served.control()
    os.kill(victim, signal.SIGKILL)
    await asyncio.to_thread(until, lambda: victim not in served.children(), "the supervisor notices")
    await asyncio.to_thread(until, lambda: len(served.children()) == 1 + TWO_WORKERS, "it is replaced")


async def kill_the_supervisor(served: Served, chance: random.Random) -> None:
    """The supervisor dies, its children end by themselves, and somebody starts it again at once."""
    children = served.children()
    os.kill(served.process.pid, signal.SIGKILL)
    served.process.wait()
    await asyncio.to_thread(served.start)
    await asyncio.to_thread(until, lambda: not any(map(running, children)), "the children have ended by themselves")
    await asyncio.to_thread(until, lambda: len(served.children()) == 1 + TWO_WORKERS, "all processes are there")


async def under_load(served: Served, kill: Kill) -> list[Answer]:
    """Kill at random moments while clients call; afterwards everybody may finish. Gives every answer."""
    chance = random.Random(kill.__name__)
    answers: list[Answer] = []
    over = False
    quick = [chat(), chat("sturdy-answer"), chat("nobody-knows"), chat("lost-answer")]
    clients = [call_until(lambda: over, served.url, quick, answers, pause=0.01) for _ in range(4)]
    clients += [call_until(lambda: over, served.url, [chat(stream=True)], answers) for _ in range(6)]
    async with asyncio.TaskGroup() as group:
        for client in clients:
            group.create_task(client)
        for _ in range(ROUNDS):
            await asyncio.sleep(chance.uniform(0.3, 1.5))
            await kill(served, chance)
        await asyncio.sleep(0.5)
        over = True
    return answers


@pytest.mark.slow
@pytest.mark.parametrize("kill", [kill_a_worker, kill_the_control_process, kill_the_supervisor])
def test_every_answered_call_is_on_record_once_whatever_is_killed(
    kill: Kill, tmp_path: Path, slow_streams: SimulatorThread, broken: SimulatorThread
) -> None:
    config = registry(slow_streams.base_url, broken.base_url)
    with serving(tmp_path, config, "--grace", "3", workers=TWO_WORKERS) as served:
        answers = asyncio.run(under_load(served, kill))
        whole = [answer for answer in answers if answer.whole]
        assert len(whole) > 100
        assert {200, 404} < {answer.status for answer in whole}
        cut = [answer for answer in answers if answer.call_id and not answer.whole]
        stored = prove(served, answers)
        if kill is kill_a_worker:
            assert cut, "no stream was cut: the kill has tried nothing"
            assert any(stored[answer.call_id].outcome == "interrupted" for answer in cut)
        elif kill is kill_the_control_process:
            assert all(answer.whole for answer in answers), "callers have noticed"
        assert served.stop() == 0
        assert list(served.places.spool.iterdir()) == []
