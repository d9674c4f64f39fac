"""A registry of 10,000 targets, 10,000 workflows and 100,000 keys beside a small one."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from hashlib import sha256
from pathlib import Path

from bench import measure, rounds, rows, servers
from bench.results import Section
from bench.rows import Bed, PointsmanFiles

TARGETS = 10_000
WORKFLOWS = 10_000
KEYS = 100_000
CANDIDATES = 10


def large_config(small: str, *, targets: int = TARGETS, workflows: int = WORKFLOWS, keys: int = KEYS) -> str:
    """The small registry with many more targets, workflows and keys, every one of them usable."""
    policies = max(1, targets // CANDIDATES)
    before = {
        "policies:": _targets(targets),
        "workflows:": _policies(policies, targets),
        "keys:": _workflows(workflows, policies),
    }
    lines: list[str] = []
    for line in small.splitlines():
        lines += before.get(line, ())
        lines.append(line)
    return "\n".join([*lines, *_keys(keys), ""])


def _targets(count: int) -> Iterator[str]:
    # Plain lines, no YAML alias: a registry of this size is written by a program.
    for number in range(count):
        yield (
            f"  instant:bulk-{number}: {{state: approved, tier: economy, tags: [regulated-ok, final-answer], "
            "participates: [primary, fallback], task: chat, context_window: 128000, max_output: 16384, "
            "capabilities: {streaming: true, tools: true}, prices: {input: 0.15, output: 0.60}}"
        )


def _policies(count: int, targets: int) -> Iterator[str]:
    for number in range(count):
        first = number * CANDIDATES
        names = ", ".join(f"instant:bulk-{n}" for n in range(first, min(first + CANDIDATES, targets)))
        yield f"  bulk-{number}: {{require: {{tags: [regulated-ok]}}, candidates: [{names}]}}"


def _workflows(count: int, policies: int) -> Iterator[str]:
    for number in range(count):
        yield f"  bulk-{number}: {{policy: bulk-{number % policies}, owner: team-{number % 100}}}"


def _keys(count: int) -> Iterator[str]:
    for number in range(count):
        digest = sha256(f"bulk-key-{number}".encode()).hexdigest()
        yield f'  - {{name: bulk-{number}, team: team-{number % 100}, hash: "sha256:{digest}", allow: [bench-answer]}}'


def run(bed: Bed, section: Section, say: Callable[[str], None], plan: rounds.Plan) -> None:
    """Start-up, check and CPU per request with both registries, interleaved."""
    small = rows.write_config(bed, "small")
    large = PointsmanFiles(bed.folder / "large.yaml", bed.folder / "large-data")
    large.config.write_text(large_config(small.config.read_text()))
    with ExitStack() as stack:
        inner = replace(bed, stack=stack)
        pair = [_started(inner, name, files, section, say) for name, files in (("small", small), ("large", large))]
        for number in range(plan.rounds):
            for row in pair:
                figures = rounds.unary(inner, row, plan)
                section.add(row.name, **figures)
                say(f"scale  round {number + 1}  {row.name}  {figures['unary_cpu_us']:.1f} µs/request")
        for row in pair:
            section.add(row.name, rss_mb=measure.rss_mb(row.serving()))


def _started(bed: Bed, name: str, files: PointsmanFiles, section: Section, say: Callable[[str], None]) -> rows.Row:
    check = _seconds_to_check(files.config)
    began = time.monotonic()
    row = rows.pointsman(bed, files, name)
    ready = time.monotonic() - began
    section.titles[name] = f"{name} registry"
    section.add(name, ready_s=ready, check_s=check)
    say(f"scale  {name}: check {check:.2f} s, ready {ready:.2f} s")
    return replace(row, title=name)


def _seconds_to_check(config: Path) -> float:
    began = time.monotonic()
    command = [str(rows.POINTSMAN), "check", str(config)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise servers.ServerFailedError(
            f"pointsman check refuses {config.name}: {done.stdout[-2000:]}{done.stderr[-2000:]}"
        )
    return time.monotonic() - began
