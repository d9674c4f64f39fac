"""Two workers on one port are one gateway."""

from __future__ import annotations

import asyncio
import os
import re
from pathlib import Path

from pointsman.testing.simulator import SimulatorThread
from tests.system.books import prove
from tests.system.caller import Answer, Caller, get
from tests.system.registry import chat, registry
from tests.system.stage import serving, until

CALLERS, EACH = 16, 15


async def calls_on_many_connections(url: str) -> list[Answer]:
    """The kernel spreads connections, not calls."""

    async def some() -> list[Answer]:
        caller = Caller(url)
        answers = [await caller.post(chat(("support-answer", "nobody-knows")[n % 3 == 0])) for n in range(EACH)]
        caller.close()
        return answers

    return [answer for answers in await asyncio.gather(*[some() for _ in range(CALLERS)]) for answer in answers]


def total(text: str, name: str) -> float:
    """The sum of a metric over its labels."""
    return sum(float(value) for value in re.findall(rf"^{name}(?:\{{[^}}]*\}})? (\S+)$", text, re.MULTILINE))


def test_both_workers_serve_and_whichever_is_scraped_tells_of_all_calls(
    tmp_path: Path, slow_streams: SimulatorThread, broken: SimulatorThread
) -> None:
    with serving(tmp_path, registry(slow_streams.base_url, broken.base_url), workers=2) as served:
        answers = asyncio.run(calls_on_many_connections(served.url))
        assert {answer.status for answer in answers} == {200, 404}
        prove(served, answers)
        shares = dict(served.sql("SELECT worker, COUNT(*) FROM calls GROUP BY worker"))
        assert len(shares) == 2
        assert sum(shares.values()) == CALLERS * EACH
        assert shares.keys() == {status.worker for status in served.statuses()}

        def told() -> set[float]:
            pages = [get(served.url, "/metrics").body.decode() for _ in range(8)]
            return {total(page, "pointsman_requests_total") for page in pages}

        until(lambda: told() == {CALLERS * EACH}, "every worker tells of all calls", patience=10)
        page = get(served.url, "/metrics").body.decode()
        spent = sum(cost or 0 for (cost,) in served.sql("SELECT cost_nano FROM calls"))
        assert round(total(page, "pointsman_cost_usd_total") * 1e9) == spent
        assert set(re.findall(r'pointsman_revision\{worker="(\w+)"\} 1\.0', page)) == {"w0", "w1"}


def test_pinned_workers_stay_each_on_a_core_of_its_own(
    tmp_path: Path, slow_streams: SimulatorThread, broken: SimulatorThread
) -> None:
    with serving(tmp_path, registry(slow_streams.base_url, broken.base_url), "--pin", workers=2) as served:
        cores = [os.sched_getaffinity(pid) for pid in served.workers()]
    assert [len(core) for core in cores] == [1, 1]
    assert len(set.union(*cores)) == min(2, len(os.sched_getaffinity(0)))
