"""Memory does not grow with calls. The bench soaks for a million; this is the smoke alarm."""

from __future__ import annotations

import asyncio
import itertools
from pathlib import Path

import pytest

from pointsman.testing.simulator import Settings, SimulatorThread
from tests.system.books import settle
from tests.system.caller import Caller
from tests.system.registry import chat, registry
from tests.system.stage import Served, serving, until

CALLS = 20_000
WARM_UP = 4_000
CALLERS = 8
GROWTH = 0.05


def rss_kb(pid: int) -> int:
    """Resident memory of a process."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1])
    raise AssertionError(f"process {pid} has no VmRSS")


def stored(served: Served) -> int:
    """Calls in the store."""
    ((count,),) = served.sql("SELECT COUNT(*) FROM calls")
    return int(count)


async def some_calls(url: str, count: int) -> None:
    """Mixed calls: answered, streamed, refused, failing, hung up on."""
    left = itertools.count()

    async def caller() -> None:
        one = Caller(url)
        for n in iter(left.__next__, None):
            if n >= count:
                break
            match n % 20:
                case 0 | 1:
                    await one.post(chat(stream=True, max_tokens=4))
                case 2:
                    await one.post(chat("nobody-knows"))
                case 3:
                    await one.post(chat("lost-answer"))
                case 4:
                    await one.post({"model": "embedder", "input": "ticket"}, "/v1/embeddings")
                case 5:
                    await one.hang_up_on(chat("main:backup-1", stream=True))
                case _:
                    await one.post(chat("main:premium-1", max_tokens=2))
        one.close()

    await asyncio.gather(*[caller() for _ in range(CALLERS)])


@pytest.mark.slow
def test_memory_stays_flat_over_twenty_thousand_mixed_calls(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    quick = Settings(name="main", tokens=4, keep=10, dimensions=8)
    with (
        SimulatorThread(settings=quick) as provider,
        SimulatorThread("server_error:503", settings=quick) as broken,
        serving(tmp_path, registry(provider.base_url, broken.base_url)) as served,
    ):
        (worker,) = served.workers()
        asyncio.run(some_calls(served.url, WARM_UP))
        before = rss_kb(worker)
        asyncio.run(some_calls(served.url, CALLS - WARM_UP))
        after = rss_kb(worker)
        settle(served, [])
        # The status may be as old as one look at the spool: the last calls may still be on their way.
        until(lambda: stored(served) >= CALLS, f"{CALLS:,} calls are stored")
        settle(served, [])
        count = stored(served)
        outcomes = {outcome for (outcome,) in served.sql("SELECT DISTINCT outcome FROM calls")}
    with capsys.disabled():
        print(f"\nworker: {before / 1024:.1f} MB after {WARM_UP:,} calls, {after / 1024:.1f} MB after {CALLS:,}")
    assert count == CALLS
    assert outcomes == {"ok", "refused", "failed", "cancelled"}
    assert after < before * (1 + GROWTH)
