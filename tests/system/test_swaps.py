"""Changing the registry while it serves: no call fails, each finishes on the revision it began with."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from pointsman.testing.simulator import SimulatorThread
from tests.clients.harness import hash_of
from tests.system.books import prove
from tests.system.caller import Answer, Caller, call_until, post
from tests.system.registry import KEY, NARROW_KEY, chat, registry
from tests.system.stage import Served, serving, until

SWAPS = 100
BY_FILE = 5
"""So many of the swaps go by the watched file, which is looked at twice a second."""


@pytest.fixture
def served(tmp_path: Path, slow_streams: SimulatorThread, broken: SimulatorThread) -> Iterator[Served]:
    config = registry(slow_streams.base_url, broken.base_url)
    with serving(tmp_path, config, workers=2) as served:
        yield served


@pytest.fixture
def config(slow_streams: SimulatorThread, broken: SimulatorThread) -> dict[str, Any]:
    return registry(slow_streams.base_url, broken.base_url)


def with_alias(config: dict[str, Any], n: int) -> dict[str, Any]:
    """The registry with one name more."""
    return {**config, "aliases": {**config["aliases"], f"name-{n}": "main:premium-1"}}


def apply(served: Served, config: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Make it the current revision."""
    return served.admin().post("/revisions", {"text": yaml.safe_dump(config), **more})


def revision(served: Served) -> dict[str, Any]:
    """The current revision as the admin API has it."""
    found: dict[str, Any] = served.admin().get("/status")["revision"]
    return found


def swap(served: Served, config: dict[str, Any]) -> list[int]:
    """A hundred revisions, some by the file. Gives their numbers in order."""
    made = [int(revision(served)["number"])]
    for n in range(SWAPS):
        changed = with_alias(config, n)
        if n % (SWAPS // BY_FILE) == 0:
            served.edit(changed)
            until(lambda: int(revision(served)["number"]) > made[-1], "the changed file is taken up")
            made.append(int(revision(served)["number"]))
        else:
            applied = apply(served, changed)
            assert applied["changed"], applied
            assert applied["missing"] == [], applied
            made.append(int(applied["revision"]["number"]))
    return made


async def load_and_swaps(served: Served, config: dict[str, Any]) -> tuple[list[Answer], list[int]]:
    """A hundred swaps while clients call."""
    answers: list[Answer] = []
    over = False
    bodies = [chat(), chat("sturdy-answer"), chat("main:premium-1")]
    async with asyncio.TaskGroup() as group:
        for _ in range(3):
            group.create_task(call_until(lambda: over, served.url, bodies, answers, pause=0.005))
        for _ in range(4):
            group.create_task(call_until(lambda: over, served.url, [chat(stream=True)], answers))
        try:
            made = await asyncio.to_thread(swap, served, config)
        finally:
            over = True
    return answers, made


@pytest.mark.slow
def test_not_one_call_fails_across_a_hundred_swaps(served: Served, config: dict[str, Any]) -> None:
    answers, made = asyncio.run(load_and_swaps(served, config))
    assert made == list(range(1, SWAPS + 2))
    assert [(a.status, a.model, a.body) for a in answers if a.status != 200 or not a.whole] == []
    assert all(a.body.rstrip().endswith(b"data: [DONE]") for a in answers if a.stream)
    assert len({a.revision for a in answers}) > SWAPS // 2
    stored = prove(served, answers)
    hashes = dict(served.sql("SELECT number, hash FROM revisions"))
    for answer in answers:
        assert stored[answer.call_id].revision == answer.revision
    for answer in answers[:: max(1, len(answers) // 20)]:
        detail = served.admin().get(f"/calls/{answer.call_id}")
        assert detail["revision_hash"] == hashes[answer.revision]


def test_a_stream_finishes_on_the_revision_it_began_with(served: Served, config: dict[str, Any]) -> None:
    """Even when the new one takes its target and its key away."""

    async def scenario() -> tuple[Answer, Answer]:
        caller = Caller(served.url, NARROW_KEY)
        stream = asyncio.create_task(caller.post(chat(stream=True)))
        await asyncio.sleep(0.4)
        without = {**config, "keys": config["keys"][:1], "policies": {**config["policies"]}}
        without["policies"]["regulated"] = {"candidates": ["main:backup-1"]}
        applied = await asyncio.to_thread(apply, served, without)
        assert applied["missing"] == []
        assert not stream.done(), "the stream was over before the swap: nothing was tried"
        after = Caller(served.url, NARROW_KEY)
        refused = await after.post(chat())
        after.close()
        answer = await stream
        caller.close()
        return answer, refused

    answer, refused = asyncio.run(scenario())
    assert refused.status == 401
    assert (answer.status, answer.whole, answer.revision) == (200, True, 1)
    assert answer.headers["x-pointsman-target"] == "main:premium-1"
    assert answer.body.rstrip().endswith(b"data: [DONE]")
    assert prove(served, [answer, refused])[answer.call_id].revision == 1


@pytest.mark.parametrize("way", ["file", "api"])
def test_a_key_that_is_taken_away_or_lessened_is_refused_by_every_worker_within_two_seconds(
    way: str, served: Served, config: dict[str, Any], capsys: pytest.CaptureFixture[str]
) -> None:
    """Measured from the change to the last call that any worker still served."""
    lesser = {**config, "keys": [{**config["keys"][1], "name": "everything", "hash": hash_of(KEY)}]}
    seen: list[tuple[float, int, str]] = []

    async def ask(done: list[float], key: str, model: str, wanted: int) -> None:
        while time.monotonic() < done[0]:
            caller = Caller(served.url, key)  # a new connection each time: it may reach either worker
            answer = await caller.post(chat(model))
            caller.close()
            seen.append((time.monotonic(), answer.status, model))
            assert answer.status in (200, wanted), answer.body

    async def scenario() -> float:
        done = [time.monotonic() + 60]
        async with asyncio.TaskGroup() as group:
            group.create_task(ask(done, KEY, "sturdy-answer", 403))
            group.create_task(ask(done, NARROW_KEY, "support-answer", 401))
            await asyncio.sleep(0.3)
            changed = time.monotonic()
            if way == "file":
                served.edit(lesser)
            else:
                await asyncio.to_thread(apply, served, lesser)
            done[0] = changed + 3.5
        return changed

    changed = asyncio.run(scenario())
    before = [status for at, status, _ in seen if at < changed]
    assert set(before) == {200}
    latest = max(at for at, status, _ in seen if status == 200) - changed
    with capsys.disabled():
        print(f"\nrevocation by {way}: last call served {latest:.2f} s after the change")
    assert latest <= 2.0
    assert {status for at, status, _ in seen if at > changed + 2} == {401, 403}
    assert len({s.worker for s in served.statuses()}) == 2


def test_a_bad_file_changes_nothing_and_says_why_everywhere(served: Served, config: dict[str, Any]) -> None:
    bad = {**config, "workflows": {"support-answer": {"policy": "nowhere"}}}
    path = served.folder / "bad.yaml"
    path.write_text(yaml.safe_dump(bad))
    done = served.run("apply", str(path), "--data-dir", str(served.places.root))
    assert done.returncode == 1
    assert "bad.yaml:" in done.stderr
    assert "nowhere" in done.stderr
    assert done.stdout == ""
    for told in (served.run("check", str(path)), served.run("apply", str(path), "--json", "--data-dir", "data")):
        assert told.returncode == 1
    problems = json.loads(told.stdout)["problems"]
    assert any("nowhere" in problem["message"] for problem in problems)
    served.edit(bad)
    until(lambda: any("nowhere" in p for p in served.admin().get("/status")["problems"]), "status says it")
    assert "nowhere" in served.said()
    answer = post(served.url, chat())
    assert (answer.status, answer.revision) == (200, 1)
    assert revision(served)["number"] == 1
    refusals = [e for e in served.admin().get("/audit")["entries"] if e["result"] == "refused"]
    assert len(refusals) == 3
    served.edit(config)
    until(lambda: served.admin().get("/status")["problems"] == [], "the mended file heals it")


def test_a_change_based_on_an_older_revision_is_refused(served: Served, config: dict[str, Any]) -> None:
    path = served.folder / "next.yaml"
    path.write_text(yaml.safe_dump(with_alias(config, 1)))
    where = ("--data-dir", str(served.places.root))
    assert served.run("apply", str(path), "--based-on", "1", *where).returncode == 0
    path.write_text(yaml.safe_dump(with_alias(config, 2)))
    stale = served.run("apply", str(path), "--based-on", "1", *where)
    assert stale.returncode == 1
    assert "revision 2" in stale.stderr
    assert revision(served)["number"] == 2
    assert served.run("apply", str(path), "--based-on", "2", *where).returncode == 0
    assert revision(served)["number"] == 3


def test_going_back_is_a_new_revision_with_the_old_hash(served: Served, config: dict[str, Any]) -> None:
    first = revision(served)
    second = apply(served, with_alias(config, 1))["revision"]
    assert second["hash"] != first["hash"]
    same = apply(served, with_alias(config, 1))
    assert (same["changed"], same["revision"]["number"]) == (False, 2)
    old = served.admin().get("/revisions/1")["text"]
    third = served.admin().post("/revisions", {"text": old, "reason": "back"})["revision"]
    assert (third["number"], third["hash"]) == (3, first["hash"])
    answer = post(served.url, chat())
    assert answer.revision == 3
    assert post(served.url, chat("name-1")).status == 404
