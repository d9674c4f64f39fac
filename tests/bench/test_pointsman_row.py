"""The measurements that only Pointsman has (start, soak, scale), tried on a stand-in of known behaviour."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from bench import load, measure, ready, results, rounds, rows, scale, servers, soak, tools

# Same command line, same process names; the gateway is the bench's own upstream, which answers by itself.
STAND_IN = """#!/bin/bash
[ "$1" = check ] && exit 0
while [ $# -gt 0 ]; do [ "$1" = --port ] && port=$2; shift; done
(exec -a "python -m pointsman.gateway" {upstream} --port "$port") &
(exec -a "python -m pointsman.control" sleep 60) &
wait
"""


@pytest.fixture
def bed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[rows.Bed]:
    """A bed whose upstream is the C program on both ports, and a `pointsman` that is a stand-in."""
    try:
        upstream, openloop = tools.compiled("upstream"), tools.compiled("openloop")
    except tools.MissingToolError as error:
        pytest.skip(str(error))
    stand_in = tmp_path / "pointsman"
    stand_in.write_text(STAND_IN.format(upstream=upstream))
    stand_in.chmod(0o755)
    monkeypatch.setattr(rows, "POINTSMAN", stand_in)
    port = servers.free_port()
    with ExitStack() as stack:
        bed = rows.Bed(tools.Tools(Path("nginx"), Path("wrk"), upstream, openloop), tmp_path, stack, port, port)
        process, log = bed.start("upstream", [str(upstream), "--port", str(port)])
        servers.wait_ready(process, port, log)
        yield bed


def quiet(text: str) -> None:
    """Progress that nobody reads."""


def empty() -> results.Section:
    return results.Section("", "", "")


def test_serving_process_is_the_gateway_and_the_tree_is_everything(bed: rows.Bed) -> None:
    """CPU is charged to the worker that answers; supervisor and control process count in the tree only."""
    row = rows.pointsman(bed)
    (gateway,) = row.serving()
    assert "pointsman.gateway" in measure.command_line(gateway)
    names = [measure.command_line(pid) for pid in row.tree()]
    assert len(names) == 3
    assert any("pointsman.control" in name for name in names)


def test_a_configuration_is_filled_in(bed: rows.Bed) -> None:
    """No placeholder is left, and the ports are those of this run."""
    text = rows.write_config(bed).config.read_text()
    assert not any(mark in text for mark in ("UNARY_PORT", "STREAM_PORT", "KEY_HASH"))
    assert f"http://127.0.0.1:{bed.unary_port}/v1" in text


def test_starts_are_timed_cold_and_warm(bed: rows.Bed) -> None:
    """As many figures of each kind as starts."""
    section = empty()
    ready.run(bed, section, quiet, starts=2)
    assert len(section.series("pointsman", "cold_s")) == len(section.series("pointsman", "warm_s")) == 2
    assert all(0 < seconds < 5 for seconds in section.series("pointsman", "cold_s"))


def test_soak_sends_every_kind_and_reads_memory_after_each_step(bed: rows.Bed) -> None:
    """Every request is sent, the notes say how each ended, and memory is read as often as there are steps."""
    section = empty()
    soak.run(bed, rows.pointsman(bed), section, quiet, total=400, step=200)
    assert len(section.series("pointsman", "rss_mb")) == 2
    assert sum(section.series("pointsman", "sent")) == 400
    (note,) = section.notes
    for kind in ("200: ", "429: ", "500: ", "broken off by the gateway: ", "hung up by the client: "):
        assert kind in note


def test_scale_measures_both_registries_in_turn(bed: rows.Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """Small and large get the same rounds, and the large file is there for the one that is checked."""

    def counted(_: rows.Bed, row: rows.Row, plan: rounds.Plan) -> dict[str, float]:
        return {"unary_cpu_us": 2.0 if row.name == "large" else 1.0, "unary_rps": plan.seconds}

    monkeypatch.setattr(rounds, "unary", counted)
    section = empty()
    scale.run(bed, section, quiet, rounds.Plan(rounds=3, seconds=1))
    assert section.ratio("large", "unary_cpu_us", "small") == 2
    assert len(section.series("small", "unary_cpu_us")) == 3
    assert section.series("large", "check_s")[0] > 0
    assert (bed.folder / "large.yaml").stat().st_size > 10_000_000


def test_a_row_that_cannot_warm_up_leaves_the_run_and_says_so(bed: rows.Bed, monkeypatch: pytest.MonkeyPatch) -> None:
    """The others are still measured; the failure stands in the notes."""

    def unary(_: rows.Bed, row: rows.Row, plan: rounds.Plan) -> dict[str, float]:
        if row.name == "bad":
            raise load.LoadFailedError("502 everywhere")
        return {"unary_rps": plan.seconds}

    monkeypatch.setattr(rounds, "unary", unary)
    section = empty()
    good, bad = rows.direct(bed), replace(rows.direct(bed), name="bad")
    rounds.run(bed, [bad, good], rounds.Plan(rounds=2, seconds=0.1, quick=True), section, quiet)
    assert section.notes == ["**bad failed to warm up and left the run**: 502 everywhere"]
    assert len(section.series("direct", "stream_rps")) == 2
    assert section.series("bad", "unary_rps") == []


def test_a_measurement_that_fails_is_given_up_and_the_others_go_on(
    bed: rows.Bed, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A gateway that cannot keep a rate still has its CPU measured, and the failure is told once."""
    tried: list[float] = []

    def streamed(_: rows.Bed, row: rows.Row, plan: rounds.Plan) -> dict[str, float]:
        tried.append(plan.seconds)
        if plan.seconds != 1:  # the warm-up passes
            raise load.LoadFailedError("too slow")
        return {}

    monkeypatch.setattr(rounds, "unary", lambda _, row, plan: {"unary_rps": plan.seconds})
    monkeypatch.setattr(rounds, "streamed", streamed)
    section = empty()
    rounds.run(bed, [rows.direct(bed)], rounds.Plan(rounds=3, seconds=0.1, quick=True), section, quiet)
    assert tried == [1, 0.1]
    assert len(section.series("direct", "unary_rps")) == 3
    assert section.notes == ["**direct failed in round 1/3, stream, and is not asked that again**: too slow"]
