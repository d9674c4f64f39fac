"""What was measured: raw samples per row and round, kept in `.bench/results.json` so that a report can be redone."""

from __future__ import annotations

import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from bench import tools

FILE = tools.HOME / "results.json"


class Section(msgspec.Struct):
    """One kind of run. `samples[row][metric]` has a figure per round, in the order of the rounds.

    `titles` name the rows for people; `notes` say what a reader must know, failures first of all.
    """

    date: str
    command: str
    commit: str
    samples: dict[str, dict[str, list[float]]] = {}
    titles: dict[str, str] = {}
    notes: list[str] = []

    def add(self, row: str, **figures: float) -> None:
        """Appends one figure to each named metric of a row."""
        metrics = self.samples.setdefault(row, {})
        for metric, value in figures.items():
            metrics.setdefault(metric, []).append(value)

    def fault(self, what: str, error: Exception) -> None:
        """Notes that something did not run: what the error says first and last, without this machine's paths."""
        lines = [line.strip() for line in str(error).splitlines() if line.strip()] or [type(error).__name__]
        text = lines[0] if len(lines) == 1 else f"{lines[0]} … {lines[-1]}"
        for path in (str(tools.ROOT), tempfile.gettempdir()):
            text = text.replace(path, "…")
        self.notes.append(f"**{what}**: {text[:400]}")

    def series(self, row: str, metric: str) -> list[float]:
        """All figures of a metric, round by round; empty when it was not measured."""
        return self.samples.get(row, {}).get(metric, [])

    def median(self, row: str, metric: str) -> float | None:
        """The median over the rounds."""
        found = self.series(row, metric)
        return statistics.median(found) if found else None

    def paired(
        self, row: str, metric: str, other: str, combine: Callable[[float, float], float], *, base: str = ""
    ) -> float | None:
        """Median over the rounds of `combine(row's metric, other's base)`, both taken from the same round."""
        pairs = list(zip(self.series(row, metric), self.series(other, base or metric), strict=False))
        return statistics.median(combine(a, b) for a, b in pairs) if pairs else None

    def ratio(self, row: str, metric: str, other: str, *, base: str = "") -> float | None:
        """How many times `other` this row is, round by round."""
        return self.paired(row, metric, other, lambda a, b: a / b, base=base)

    def added(self, row: str, metric: str, other: str = "direct") -> float | None:
        """What this row adds to `other`, round by round."""
        return self.paired(row, metric, other, lambda a, b: a - b)


class Results(msgspec.Struct):
    """Everything known so far on this machine, section by section (main, ready, soak, scale)."""

    machine: dict[str, str]
    sections: dict[str, Section] = {}


def new_section(command: str) -> Section:
    """An empty section with today's date and the commit that is measured."""
    return Section(time.strftime("%Y-%m-%d %H:%M %Z"), command, _commit(), {}, {}, [])


def _commit() -> str:
    def git(*arguments: str) -> str:
        done = subprocess.run(["git", *arguments], cwd=tools.ROOT, capture_output=True, text=True, check=False)
        return done.stdout.strip()

    return (git("rev-parse", "--short", "HEAD") or "unknown") + (
        " with changes" if git("status", "--porcelain", "--", "src", "bench") else ""
    )


def machine(versions: dict[str, str]) -> dict[str, str]:
    """What the figures depend on: processor, kernel, Python, versions of the contenders."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.machine(),
    )
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return {
        "processor": f"{cpu}, {os.cpu_count()} cores",
        "memory": f"{memory:.0f} GiB",
        "kernel": f"{platform.system()} {platform.release()}",
        "Python": sys.version.split()[0],
        **versions,
    }


def load() -> Results | None:
    """The results kept from earlier runs, or None."""
    try:
        return msgspec.json.decode(FILE.read_bytes(), type=Results)
    except FileNotFoundError:
        return None
    except msgspec.MsgspecError as error:
        print(f"==> {FILE} is from another version and is left out: {error}", file=sys.stderr)
        return None


def keep(results: Results) -> None:
    """Writes the results for later reports."""
    FILE.write_bytes(msgspec.json.format(msgspec.json.encode(results), indent=1))
