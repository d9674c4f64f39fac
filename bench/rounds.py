"""The main run: every row in turn, round after round, so that all rows see the same weather on the machine."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from bench import load, measure, servers
from bench.load import CHUNKS, STREAMS, Part
from bench.results import Section
from bench.rows import Bed, Row

OPEN_CONNECTIONS = 64
Measurement = Callable[["Bed", "Row", "Plan"], dict[str, float]]


@dataclass(frozen=True, slots=True)
class Plan:
    """How long and how often: seconds per measurement, rounds, and which measurements."""

    rounds: int = 5
    seconds: float = 4
    rates: tuple[int, ...] = (200, 1000)
    quick: bool = False


@dataclass(slots=True)
class Spent:
    """CPU nanoseconds that the serving process and the row's whole process tree used meanwhile."""

    serving_ns: int = 0
    tree_ns: int = 0


@contextmanager
def spending(row: Row) -> Iterator[Spent]:
    """Counts the CPU used inside the block; for a row that settles, the tree is counted until it rests."""
    serving, tree = row.serving(), row.tree()
    before, tree_before = measure.cpu_sample(serving), measure.cpu_sample(tree)
    spent = Spent()
    yield spent
    spent.serving_ns = measure.cpu_sample(serving).since(before)
    if row.settles and not measure.wait_until_idle(row.tree()):
        raise servers.ServerFailedError(f"{row.name} still works two minutes after the last answer")
    spent.tree_ns = measure.cpu_sample(row.tree()).since(tree_before)


def unary(bed: Bed, row: Row, plan: Plan) -> dict[str, float]:
    """1 KB in, 1 KB out, 32 connections, as fast as it goes."""
    with spending(row) as spent:
        seen = load.wrk(bed, row.unary, plan.seconds)
    figures = {"unary_rps": seen.requests / seen.seconds}
    if row.serving():
        figures["unary_cpu_us"] = spent.serving_ns / 1000 / seen.requests
        figures["unary_tree_us"] = spent.tree_ns / 1000 / seen.requests
    return figures


def streamed(bed: Bed, row: Row, plan: Plan) -> dict[str, float]:
    """50 chunks a response, 1 ms apart, 16 streams at a time: every chunk is a packet of its own."""
    return _stream(bed, row, plan, gap_us=1000, prefix="stream")


def flooded(bed: Bed, row: Row, plan: Plan) -> dict[str, float]:
    """The same with no gap: chunks arrive as fast as the row takes them, and may arrive several at once."""
    return _stream(bed, row, plan, gap_us=0, prefix="flood")


def _stream(bed: Bed, row: Row, plan: Plan, *, gap_us: int, prefix: str) -> dict[str, float]:
    servers.status(bed.stream_port, f"/gap/{gap_us}")
    part = Part(load.body(bed.folder, row.stream, stream=True))
    with spending(row) as spent:
        seen = load.openloop(bed, row.stream, [part], seconds=plan.seconds, connections=STREAMS)
    figures = {
        "rps": seen.answers / seen.seconds,
        "first_p50_us": seen.first_us.p50,
        "first_p99_us": seen.first_us.p99,
        "pieces": seen.pieces / seen.answers,
    }
    if row.serving():
        figures["cpu_us"] = spent.serving_ns / 1000 / seen.answers
        figures["chunk_us"] = spent.serving_ns / 1000 / seen.answers / CHUNKS
        figures["tree_us"] = spent.tree_ns / 1000 / seen.answers
    return {f"{prefix}_{metric}": value for metric, value in figures.items()}


def single(bed: Bed, row: Row, plan: Plan) -> dict[str, float]:
    """One connection, one request at a time."""
    seen = _paced(bed, row, plan, rate=0, connections=1)
    return {"single_p50_us": seen.latency_us.p50, "single_p99_us": seen.latency_us.p99}


def at_rate(rate: int, *, poisson: bool = False) -> Measurement:
    """A measurement in open loop at `rate` requests a second."""
    name = f"{'poisson' if poisson else 'open'}{rate}"

    def run(bed: Bed, row: Row, plan: Plan) -> dict[str, float]:
        seen = _paced(bed, row, plan, rate=rate, connections=OPEN_CONNECTIONS, poisson=poisson)
        latency = seen.latency_us
        return {f"{name}_p50_us": latency.p50, f"{name}_p99_us": latency.p99, f"{name}_p999_us": latency.p999}

    return run


def _paced(bed: Bed, row: Row, plan: Plan, *, rate: int, connections: int, poisson: bool = False) -> load.Load:
    part = Part(load.body(bed.folder, row.unary))
    seen = load.openloop(
        bed, row.unary, [part], seconds=plan.seconds, connections=connections, rate=rate, poisson=poisson
    )
    if row.settles:
        measure.wait_until_idle(row.tree())
    return seen


def measurements(plan: Plan) -> dict[str, Measurement]:
    """What is measured in each round, in order."""
    chosen: dict[str, Measurement] = {"unary": unary, "stream": streamed}
    if plan.quick:
        return chosen
    chosen |= {"flood": flooded, "single": single}
    chosen |= {f"open {rate}/s": at_rate(rate) for rate in plan.rates}
    return chosen | {f"poisson {plan.rates[-1]}/s": at_rate(plan.rates[-1], poisson=True)}


def run(bed: Bed, rows: list[Row], plan: Plan, section: Section, say: Callable[[str], None]) -> None:
    """Warms every row, then takes every measurement of every row in each round, into `section`."""
    _Run(bed, rows, plan, section, say).all()


class _Run:
    """What fails is noted and not tried again: a row that fails its warm-up leaves, else only that measurement."""

    def __init__(self, bed: Bed, rows: list[Row], plan: Plan, section: Section, say: Callable[[str], None]) -> None:
        self._bed = bed
        self._rows = rows
        self._plan = plan
        self._section = section
        self._say = say
        self._failed: set[tuple[str, str]] = set()

    def all(self) -> None:
        for row in self._rows:
            self._section.titles[row.name] = row.title
        self._rows = [row for row in self._rows if self._warm(row)]
        self._read_memory("rss_start_mb")
        for number in range(1, self._plan.rounds + 1):
            for name, take in measurements(self._plan).items():
                for row in self._rows:
                    self._measure(f"round {number}/{self._plan.rounds}", name, take, row)
        self._read_memory("rss_end_mb")

    def _warm(self, row: Row) -> bool:
        """Some load half of themselves at the first request: that gets time of its own."""
        part = Part(load.body(self._bed.folder, row.unary))
        short = Plan(seconds=1, quick=True)
        try:
            load.openloop(self._bed, row.unary, [part], seconds=30, connections=4, count=32)
            for take in measurements(short).values():
                take(self._bed, row, short)
        except (load.LoadFailedError, servers.ServerFailedError) as error:
            self._section.fault(f"{row.name} failed to warm up and left the run", error)
            self._say(f"warm-up  {row.name}: FAILED, leaves the run: {error}")
            return False
        self._say(f"warm-up  {row.name}")
        return True

    def _measure(self, label: str, name: str, take: Measurement, row: Row) -> None:
        if (row.name, name) in self._failed:
            return
        began = time.monotonic()
        try:
            figures = take(self._bed, row, self._plan)
        except (load.LoadFailedError, servers.ServerFailedError) as error:
            self._failed.add((row.name, name))
            self._section.fault(f"{row.name} failed in {label}, {name}, and is not asked that again", error)
            self._say(f"{label}  {name}  {row.name}: FAILED: {error}")
            measure.wait_until_idle(row.tree(), limit=30)
            return
        self._section.add(row.name, **figures)
        shown = "  ".join(f"{metric} {value:,.1f}" for metric, value in figures.items())
        self._say(f"{label}  {row.name:10} {shown}  [{time.monotonic() - began:.1f} s]")

    def _read_memory(self, metric: str) -> None:
        for row in self._rows:
            try:
                rss = measure.rss_mb(row.serving())
            except servers.ServerFailedError as error:
                self._section.fault(f"{row.name} is gone", error)
                continue
            if rss:
                self._section.add(row.name, **{metric: rss})
