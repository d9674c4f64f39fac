"""A million requests of every kind, good and bad, and what they leave behind in memory."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from bench import load, measure, servers
from bench.load import Part
from bench.results import Section
from bench.rows import Bed, Endpoint, Row

TOTAL = 1_000_000
STEP = 50_000
# What ends badly on purpose: the text in the request tells the upstream how to misbehave.
_FAILURES = {"bench-fail-500": 0.04, "bench-fail-429": 0.02, "bench-reset": 0.02}


def mixture(bed: Bed, row: Row) -> list[Part]:
    """Plain 70 %, streamed 10 %, hung up on 6 %, upstream failures 8 %, cut streams 2 %, refusals 4 %."""
    unary, stream = row.unary, row.stream
    flaky = replace(stream, model="bench-flaky")
    unknown = Endpoint(unary.port, "bench-nobody-registered-this", headers=unary.headers)
    parts = [
        Part(load.body(bed.folder, unary), 0.70),
        Part(load.body(bed.folder, stream, stream=True), 0.10),
        Part(load.body(bed.folder, stream, stream=True, text="bench-slow"), 0.06, cancel=True),
        Part(load.body(bed.folder, flaky, stream=True, text="bench-cut"), 0.02),
        Part(load.body(bed.folder, unknown), 0.04),
    ]
    return parts + [Part(load.body(bed.folder, flaky, text=text), share) for text, share in _FAILURES.items()]


def run(
    bed: Bed, row: Row, section: Section, say: Callable[[str], None], *, total: int = TOTAL, step: int = STEP
) -> None:
    """Sends `total` requests in steps, reading the gateway's memory after each, once ingest has come to rest."""
    servers.status(bed.stream_port, "/gap/0")
    parts, statuses = mixture(bed, row), Counter[str]()
    section.titles[row.name] = row.title
    for done in range(step, total + 1, step):
        seen = load.openloop(
            bed, row.unary, parts, seconds=600, connections=load.CONNECTIONS, count=step, seed=done, strict=False
        )
        statuses.update(seen.status)
        statuses.update({"broken off by the gateway": seen.errors, "hung up by the client": seen.cancelled})
        if seen.sent < step or seen.unfinished:
            section.notes.append(f"**only {seen.sent} of {step} requests were sent, {seen.unfinished} unanswered**")
        measure.wait_until_idle(row.tree(), share=0.05)
        rss, tree = measure.rss_mb(row.serving()), measure.rss_mb(row.tree())
        section.add(row.name, rss_mb=rss, tree_rss_mb=tree, sent=seen.sent)
        say(
            f"soak  {done:,} requests  RSS {rss:.1f} MB  all processes {tree:.1f} MB  {seen.sent / seen.seconds:,.0f}/s"
        )
    section.notes.append(
        "Answers: " + ", ".join(f"{name}: {count:,}" for name, count in sorted(statuses.items())) + "."
    )
