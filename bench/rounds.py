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


def at_rate(rate: int, *, poisson: bool = False) -> Callable[[Bed, Row, Plan], dict[str, float]]:
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


def measurements(plan: Plan) -> dict[str, Callable[[Bed, Row, Plan], dict[str, float]]]:
    """What is measured in each round, in order."""
    chosen: dict[str, Callable[[Bed, Row, Plan], dict[str, float]]] = {"unary": unary, "stream": streamed}
    if plan.quick:
        return chosen
    chosen |= {"flood": flooded, "single": single}
    chosen |= {f"open {rate}/s": at_rate(rate) for rate in plan.rates}
    return chosen | {f"poisson {plan.rates[-1]}/s": at_rate(plan.rates[-1], poisson=True)}


def run(bed: Bed, rows: list[Row], plan: Plan, section: Section, say: Callable[[str], None]) -> None:
    """Warms every row, then measures all of them in each round. A row that fails leaves the run, with a note."""
    alive = list(rows)
    for row in rows:
        section.titles[row.name] = row.title
    _each(bed, alive, Plan(seconds=1, quick=True), None, section, say, "warm-up")
    for row in alive:
        if row.serving():
            section.add(row.name, rss_start_mb=measure.rss_mb(row.serving()))
    for number in range(1, plan.rounds + 1):
        _each(bed, alive, plan, section, section, say, f"round {number}/{plan.rounds}")
    for row in alive:
        if row.serving():
            section.add(row.name, rss_end_mb=measure.rss_mb(row.serving()))


def _each(
    bed: Bed,
    alive: list[Row],
    plan: Plan,
    into: Section | None,
    notes: Section,
    say: Callable[[str], None],
    label: str,
) -> None:
    for name, take in measurements(plan).items():
        for row in list(alive):
            began = time.monotonic()
            try:
                figures = take(bed, row, plan)
            except (load.LoadFailedError, servers.ServerFailedError) as error:
                alive.remove(row)
                notes.fault(f"{row.name} failed in {label}, {name}, and left the run", error)
                say(f"{label}  {name}  {row.name}: FAILED, leaves the run: {error}")
                continue
            if into is not None:
                into.add(row.name, **figures)
            shown = "  ".join(f"{metric} {value:,.1f}" for metric, value in figures.items())
            say(f"{label}  {row.name:10} {shown}  [{time.monotonic() - began:.1f} s]")
