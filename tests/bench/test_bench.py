"""The bench measures what it says: CPU accounting on real processes, the generators, and the report's arithmetic."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
import yaml

from bench import goals, load, measure, report, results, rows, run, scale, servers, tools

BURN = "import sys, time; print('x', flush=True); sys.stdin.readline()\nend = time.process_time() + 0.2\n"
BURN += "while time.process_time() < end: pass\nprint('y', flush=True); sys.stdin.readline()"
BURN_IN_THREAD = (
    f"import threading\ndef work():\n    exec({BURN!r})\nt = threading.Thread(target=work); t.start(); t.join()"
)


def section() -> results.Section:
    """Two rounds in which Pointsman costs 1.5 and 1.7 times Envoy."""
    made = results.Section(
        "2026-01-02", "make bench", "abc", {}, {"direct": "no proxy", "envoy": "Envoy", "pointsman": "us"}, []
    )
    made.add("direct", unary_rps=1, single_p50_us=50, open1000_p99_us=300, flood_rps=9)
    made.add("direct", unary_rps=1, single_p50_us=70, open1000_p99_us=300, flood_rps=9)
    made.add("envoy", unary_cpu_us=40, unary_tree_us=40, unary_rps=20_000, stream_cpu_us=1000)
    made.add("envoy", unary_cpu_us=20, unary_tree_us=20, unary_rps=40_000, stream_cpu_us=1000)
    made.add(
        "pointsman", unary_cpu_us=60, unary_tree_us=200, stream_cpu_us=1000, single_p50_us=150, open1000_p99_us=900
    )
    made.add(
        "pointsman", unary_cpu_us=34, unary_tree_us=100, stream_cpu_us=1200, single_p50_us=190, open1000_p99_us=800
    )
    return made


@contextmanager
def burning(code: str) -> Iterator[subprocess.Popen[str]]:
    """A process that waits for a line, burns 0.2 s of CPU, and waits again."""
    with subprocess.Popen(
        [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield process
        finally:
            process.kill()


def talk(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def heard(process: subprocess.Popen[str]) -> str:
    assert process.stdout is not None
    return process.stdout.readline().strip()


@pytest.mark.parametrize("code", [BURN, BURN_IN_THREAD], ids=["main thread", "another thread"])
def test_cpu_time_of_a_process_is_what_it_burnt(code: str) -> None:
    """0.2 s of CPU are seen as such, whichever thread used them."""
    with burning(code) as process:
        assert heard(process) == "x"
        before = measure.cpu_sample([process.pid])
        talk(process)
        assert heard(process) == "y"
        used = measure.cpu_sample([process.pid]).since(before) / 1e9
    assert used == pytest.approx(0.2, abs=0.05)


def test_cpu_time_survives_the_end_of_a_thread() -> None:
    """What a thread used before it ended still counts."""
    alive = measure.CpuSample({7: measure.ProcessCpu({7: 100, 8: 500}, 600)})
    after = measure.CpuSample({7: measure.ProcessCpu({7: 150}, 900)})
    assert after.since(alive) == 300


def test_cpu_time_of_a_process_that_was_born_meanwhile_counts_in_full() -> None:
    """A worker started during the measurement is part of the tree's cost."""
    assert measure.CpuSample({9: measure.ProcessCpu({9: 70}, 0)}).since(measure.CpuSample({})) == 70


def test_a_process_that_is_gone_is_left_out() -> None:
    """No error and no figure for a pid that nobody has."""
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    assert measure.cpu_sample([gone.pid]).processes == {}
    assert measure.rss_mb([gone.pid]) == 0
    assert measure.command_line(gone.pid) == ""


def test_process_tree_finds_grandchildren_and_memory_is_read() -> None:
    """The tree begins at the root; every running process in it has memory."""
    child = "import subprocess, sys; subprocess.run([sys.executable, '-c', 'print(1, flush=True); input()'])"
    with burning(child) as process:
        assert heard(process) == "1"
        tree = measure.process_tree(process.pid)
        assert tree[0] == process.pid
        assert len(tree) == 2
        assert measure.rss_mb(tree) > measure.rss_mb([process.pid]) > 1
        talk(process)
        process.wait()


def test_work_of_this_run_is_not_blamed_on_others() -> None:
    """The share of bystanders is what is left of the machine's busy time after ours, buried children included."""
    before = measure.moment()
    subprocess.run([sys.executable, "-c", BURN], input="\n\n", text=True, check=True, capture_output=True)
    after = measure.moment()
    assert after.ours_s - before.ours_s >= 0.18
    assert 0 <= after.others_since(before) <= 1
    made = measure.Moment(10, 100, 20)
    assert measure.Moment(20, 108, 23).others_since(made) == pytest.approx(0.5 / (os.cpu_count() or 1))


def test_rest_is_noticed_and_so_is_work() -> None:
    """An idle process is idle at once; a busy one is not until the limit."""
    with burning("input()") as idle:
        assert measure.wait_until_idle([idle.pid], calm=0.1, limit=5)
    with burning("print('x', flush=True)\nwhile True: pass") as busy:
        assert heard(busy) == "x"
        assert not measure.wait_until_idle([busy.pid], calm=0.1, limit=0.3)


def test_ratios_and_differences_are_taken_within_a_round() -> None:
    """A round on a slow moment of the machine slows both sides alike."""
    assert section().ratio("pointsman", "unary_cpu_us", "envoy") == pytest.approx(1.6)
    assert section().added("pointsman", "single_p50_us") == pytest.approx(110)
    assert section().ratio("nobody", "unary_cpu_us", "envoy") is None


def test_goals_say_reached_missed_or_not_measured() -> None:
    """Each verdict follows from the figures and carries the distance."""
    made = section()
    made.add("pointsman", rss_end_mb=150)
    by_name = {goal.what: goal for goal in goals.goals(results.Results({}, {"main": made}))}
    assert by_name["CPU per request of the gateway process"].verdict == "reached, 20 % to spare"
    assert by_name["CPU per request of all processes, ingest into the store included"].verdict == "**missed by 25 %**"
    assert by_name["resident memory of the gateway process, highest seen"].verdict == "**missed by 25 %**"
    assert by_name["added p50 at one connection"].measured == pytest.approx(0.11)
    assert by_name["added p99 at 1,000 requests/s, open loop"].measured == pytest.approx(0.55)
    assert by_name["ready after start, slowest of the cold ones"].verdict == "not measured"


@pytest.mark.parametrize(("sent", "drift"), [(50_000, None), (500_000, 6.0)])
def test_drift_of_memory_needs_a_whole_soak(sent: int, drift: float | None) -> None:
    """A short soak proves nothing; a whole one counts the largest distance, also downwards."""
    soak = results.Section("", "", "")
    for rss in (100, 103, 94):
        soak.add("pointsman", rss_mb=rss, sent=sent)
    found = next(goal for goal in goals.goals(results.Results({}, {"soak": soak})) if goal.what.startswith("drift"))
    assert found.measured == drift


def test_report_shows_machine_goals_rows_and_notes() -> None:
    """RESULTS.md says where, when, how and what, and hides no failure."""
    made = section()
    made.fault("litellm did not run", ValueError(f"first\nmiddle\nlast of {tools.ROOT}/x"))
    text = report.render(results.Results({"processor": "a fast one"}, {"main": made}))
    for expected in ("a fast one", "interleaved rounds: 2.", "`make bench`, 2026-01-02, commit abc", "1.60 ×"):
        assert expected in text
    assert "**litellm did not run**: first … last of …/x" in text
    assert str(tools.ROOT) not in text
    tables = [line for line in text.splitlines() if line.startswith("| us ")]
    assert tables[0].split("|")[2].strip() == "47.0"


@pytest.mark.parametrize(("reads", "warned"), [(50.2, False), (35, True)])
def test_a_machine_too_busy_to_keep_chunks_apart_is_told(reads: float, *, warned: bool) -> None:
    """Merged chunks cost less: a ratio taken from them would flatter."""
    made = section()
    made.add("envoy", stream_pieces=reads)
    assert ("did not stay apart" in report.render(results.Results({}, {"main": made}))) is warned


def test_every_kind_of_section_is_rendered() -> None:
    """Soak, start-up and scale have their tables."""
    soak, ready, big = (results.Section("d", "c", "1") for _ in range(3))
    soak.add("pointsman", rss_mb=88, sent=50_000)
    ready.add("pointsman", cold_s=0.91, warm_s=0.82)
    big.add("large", ready_s=4.2, check_s=3.3, unary_cpu_us=70, unary_rps=9, rss_mb=90)
    big.titles["large"] = "large registry"
    text = report.render(results.Results({}, {"soak": soak, "ready": ready, "scale": big}))
    for expected in ("| 50,000", "0.91", "large registry", "4.20"):
        assert expected in text


def test_results_survive_being_kept(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A later run shows the sections of an earlier one."""
    monkeypatch.setattr(results, "FILE", tmp_path / "results.json")
    assert results.load() is None
    kept = results.Results({"processor": "x"}, {"main": section()})
    results.keep(kept)
    assert results.load() == kept


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        ("1.5 ×", "1.5 ×"),
        (0.1234, "0.12"),
        (12.34, "12.3"),
        (123.4, "123"),
        (12345.6, "12,346"),
        (-5, "-5.00"),
    ],
)
def test_figures_have_about_three_digits(value: float | str | None, shown: str) -> None:
    assert report.number(value) == shown


def test_an_unknown_row_is_refused_by_name() -> None:
    """A typing error in --only does not silently run everything."""
    with pytest.raises(SystemExit, match="no row is called 'nginks'"):
        run.names_of(run.arguments(["--only", "nginks"]))
    assert run.names_of(run.arguments(["--only", "envoy, nginx"])) == ["envoy", "nginx"]


def test_a_large_registry_is_the_small_one_and_more() -> None:
    """Every generated target, workflow and key is there once, beside everything the small registry has."""
    small = (tools.HERE / "pointsman.yaml").read_text()
    before, after = yaml.safe_load(small), yaml.safe_load(scale.large_config(small, targets=3, workflows=4, keys=5))
    for part, more in (("targets", 3), ("workflows", 4), ("keys", 5), ("providers", 0), ("policies", 1)):
        assert len(after[part]) == len(before[part]) + more
    candidates = {name for policy in after["policies"].values() for name in policy["candidates"]}
    assert candidates == set(after["targets"])
    assert len({key["hash"] for key in after["keys"]}) == len(after["keys"])


def test_a_server_that_ends_is_reported_with_its_last_words(tmp_path: Path) -> None:
    """Waiting stops at once, and the message says why."""
    log = tmp_path / "it.log"
    command = [sys.executable, "-c", "raise SystemExit('no such luck')"]
    with (
        pytest.raises(servers.ServerFailedError, match=r"it ended with 1:\nno such luck"),
        servers.running(command, log) as process,
    ):
        servers.wait_ready(process, servers.free_port(), log)


def test_nothing_a_server_started_outlives_it(tmp_path: Path) -> None:
    """Children are ended too, also after an exception."""
    code = "import subprocess, sys, time; subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(60)'])\n"
    code += "print('up', flush=True); time.sleep(60)"
    log = tmp_path / "log"
    tree: list[int] = []

    def interrupted() -> None:
        with servers.running([sys.executable, "-c", code], log) as process:
            deadline = time.monotonic() + 10
            while "up" not in log.read_text() and time.monotonic() < deadline:
                time.sleep(0.02)
            tree.extend(measure.process_tree(process.pid))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert len(tree) == 2
    # The grandchild was handed to init, which may take a moment to bury it; a zombie has no command line.
    deadline = time.monotonic() + 5
    while any(measure.command_line(pid) for pid in tree) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert not any(measure.command_line(pid) for pid in tree)


@contextmanager
def stream_upstream(folder: Path) -> Iterator[rows.Bed]:
    """The C upstream with no gap, and a bed whose both ports lead to it."""
    with ExitStack() as stack:
        try:
            upstream, openloop = tools.compiled("upstream"), tools.compiled("openloop")
        except tools.MissingToolError as error:
            pytest.skip(str(error))
        found = tools.Tools(Path("nginx"), Path("wrk"), upstream, openloop)
        port = servers.free_port()
        bed = rows.Bed(found, folder, stack, port, port)
        process, log = bed.start("upstream", [str(upstream), "--port", str(port)])
        servers.wait_ready(process, port, log)
        yield bed


def test_generator_and_upstream_agree_on_every_kind_of_answer(tmp_path: Path) -> None:
    """Plain, streamed, failing, reset, cut and hung-up requests are counted as what they are."""
    with stream_upstream(tmp_path) as bed:
        at = rows.Endpoint(bed.stream_port)

        def sent(*, stream: bool = False, text: str = "", cancel: bool = False) -> load.Load:
            part = load.Part(load.body(tmp_path, at, stream=stream, text=text), cancel=cancel)
            return load.openloop(bed, at, [part], seconds=5, connections=2, count=10, strict=False)

        assert sent().status == {"200": 10}
        streamed = sent(stream=True)
        assert (streamed.status, streamed.http_chunks) == ({"200": 10}, 10 * (load.CHUNKS + 1))
        assert sent(text="bench-fail-500").status == {"500": 10}
        assert sent(text="bench-fail-429").status == {"429": 10}
        assert sent(text="bench-reset").errors == 10
        assert sent(text="bench-cut", stream=True).errors == 10
        servers.status(bed.stream_port, "/gap/500")
        assert sent(stream=True, cancel=True).cancelled == 10


def test_open_loop_counts_from_the_schedule(tmp_path: Path) -> None:
    """One connection, streams of 50 ms, 100 a second: each waits for those before it, and the figures say so."""
    with stream_upstream(tmp_path) as bed:
        servers.status(bed.stream_port, "/gap/1000")
        at = rows.Endpoint(bed.stream_port)
        part = load.Part(load.body(tmp_path, at, stream=True))
        seen = load.openloop(bed, at, [part], seconds=0.2, connections=1, rate=100)
    assert seen.answers == 20
    # The twentieth was due after 190 ms and answered after 20 × 50 ms.
    assert seen.latency_us.max >= (20 * 50 - 190) * 1000 * 0.95
    assert seen.latency_us.p50 > 300_000


def test_a_row_that_answers_wrongly_is_an_error(tmp_path: Path) -> None:
    """CPU per request of error pages would be a lie."""
    with stream_upstream(tmp_path) as bed:
        at = rows.Endpoint(bed.stream_port)
        part = load.Part(load.body(tmp_path, at, text="bench-fail-500"))
        with pytest.raises(load.LoadFailedError):
            load.openloop(bed, at, [part], seconds=1, connections=1, count=3)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("model", ["bench", "a/much-longer:model-name"])
def test_requests_are_one_kilobyte(tmp_path: Path, model: str, *, stream: bool) -> None:
    """Whatever a row needs in the body, all rows read equally much."""
    at = replace(rows.Endpoint(1), model=model)
    assert load.body(tmp_path, at, stream=stream).stat().st_size == load.REQUEST_BYTES
