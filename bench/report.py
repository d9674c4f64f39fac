"""Tables: the same text for the terminal and for RESULTS.md."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from bench.goals import goals
from bench.results import Results, Section

Cell = float | str | None
Column = tuple[str, Callable[[Section, str], Cell]]


def _median(metric: str) -> Callable[[Section, str], Cell]:
    return lambda section, row: section.median(row, metric)


def _to_envoy(metric: str) -> Callable[[Section, str], Cell]:
    return lambda section, row: _times(section.ratio(row, metric, "envoy"))


def _added(metric: str) -> Callable[[Section, str], Cell]:
    return lambda section, row: section.added(row, metric)


def _times(ratio: float | None) -> str | None:
    return None if ratio is None else f"{ratio:.2f} ×"


SEPARATE = 47  # reads a response of 50 chunks, below which too many arrived together
UNARY: list[Column] = [
    ("CPU µs/request", _median("unary_cpu_us")),
    ("to Envoy", _to_envoy("unary_cpu_us")),
    ("all processes, µs", _median("unary_tree_us")),
    ("to Envoy", _to_envoy("unary_tree_us")),
    ("requests/s", _median("unary_rps")),
    ("RSS start, MB", _median("rss_start_mb")),
    ("RSS end, MB", _median("rss_end_mb")),
]
STREAM: list[Column] = [
    ("CPU µs/response", _median("stream_cpu_us")),
    ("µs/chunk", _median("stream_chunk_us")),
    ("to Envoy", _to_envoy("stream_cpu_us")),
    ("first chunk p50, µs", _median("stream_first_p50_us")),
    ("p99", _median("stream_first_p99_us")),
    ("reads/response", _median("stream_pieces")),
]
FLOOD: list[Column] = [
    ("CPU µs/response", _median("flood_cpu_us")),
    ("to Envoy", _to_envoy("flood_cpu_us")),
    ("responses/s", _median("flood_rps")),
    ("first chunk p50, µs", _median("flood_first_p50_us")),
    ("p99", _median("flood_first_p99_us")),
    ("reads/response", _median("flood_pieces")),
]


def _latency_columns(section: Section) -> list[Column]:
    columns: list[Column] = [("1 connection p50", _added("single_p50_us")), ("p99", _added("single_p99_us"))]
    found = {metric for metrics in section.samples.values() for metric in metrics}
    runs = sorted({m.removesuffix("_p50_us") for m in found if m.startswith(("open", "poisson")) and "p50" in m})
    for run in sorted(runs, key=lambda name: (name.startswith("poisson"), int(name.lstrip("openis")))):
        label = f"Poisson {run[7:]}/s" if run.startswith("poisson") else f"{run[4:]}/s"
        columns += [(f"{label} p50", _added(f"{run}_p50_us")), ("p99", _added(f"{run}_p99_us"))]
        columns.append(("p99.9", _added(f"{run}_p999_us")))
    return columns


def number(value: Cell) -> str:
    """A figure with three significant digits or so; a dash when there is none."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table, padded so that it reads well in a terminal too."""
    widths = [max(len(line[i]) for line in [header, *rows]) for i in range(len(header))]

    def line(cells: Sequence[str]) -> str:
        padded = [cells[0].ljust(widths[0]), *(c.rjust(w) for c, w in zip(cells[1:], widths[1:], strict=True))]
        return f"| {' | '.join(padded)} |"

    rule = f"|{'-' * (widths[0] + 2)}|" + "".join(f"{'-' * (width + 1)}:|" for width in widths[1:])
    return "\n".join([line(header), rule, *(line(row) for row in rows)])


def _rows(section: Section, columns: Sequence[Column], *, leave_out: str = "") -> str:
    header = ["", *(title for title, _ in columns)]
    body = [
        [section.titles.get(row, row), *(number(figure(section, row)) for _, figure in columns)]
        for row in section.titles
        if row in section.samples and row != leave_out
    ]
    return table(header, body)


def _origin(section: Section) -> str:
    return f"`{section.command}`, {section.date}, commit {section.commit}."


def _merged_chunks(section: Section) -> list[str]:
    """A warning where the machine was too busy to keep chunks apart, so that rows were spared work."""
    pieces = {row: section.median(row, "stream_pieces") or 50 for row in ("direct", "envoy")}
    if min(pieces.values()) >= SEPARATE:
        return []
    seen = ", ".join(f"{row} {number(value)}" for row, value in pieces.items())
    return [f"\n**Chunks did not stay apart (reads/response: {seen}): the machine was too busy for this table.**"]


def _main(section: Section) -> list[str]:
    rounds = max((len(section.series(row, "unary_rps")) for row in section.samples), default=0)
    parts = [
        "## Rows\n",
        f"{_origin(section)} Medians over interleaved rounds: {rounds}.",
        "Ratios and differences are taken within a round.\n",
        "### 1 KB in, 1 KB out, 32 connections\n",
        _rows(section, UNARY, leave_out="direct"),
        "\n### Streams of 50 chunks, 1 ms apart, 16 at a time\n",
        _rows(section, STREAM),
        *_merged_chunks(section),
    ]
    if section.series("direct", "flood_rps"):
        parts += [
            "\n### Streams of 50 chunks with no gap, 16 at a time\n",
            "What cannot keep up gets several chunks in one read, and is spared work by it: not comparable a chunk.\n",
            _rows(section, FLOOD),
        ]
    if section.series("direct", "single_p50_us"):
        parts += [
            "\n### Added latency, µs (row minus no proxy, same round)\n",
            _rows(section, _latency_columns(section), leave_out="direct"),
        ]
    return parts


def _soak(section: Section) -> list[str]:
    readings = section.series("pointsman", "rss_mb")
    body = [[f"{number(i * 50_000)}", number(rss)] for i, rss in enumerate(readings, 1)]
    return ["## Soak\n", _origin(section) + "\n", table(["requests so far", "RSS, MB"], body)]


def _ready(section: Section) -> list[str]:
    body = [
        [name, ", ".join(f"{s:.2f}" for s in section.series("pointsman", metric)) or "–"]
        for name, metric in (("new data directory", "cold_s"), ("existing data directory", "warm_s"))
    ]
    heading = ["## Ready after start\n", _origin(section) + "\n"]
    return [*heading, table(["", "seconds from exec to 200 on /readyz"], body)]


def _scale(section: Section) -> list[str]:
    columns: list[Column] = [
        ("ready, s", _median("ready_s")),
        ("`pointsman check`, s", _median("check_s")),
        ("CPU µs/request", _median("unary_cpu_us")),
        ("requests/s", _median("unary_rps")),
        ("RSS, MB", _median("rss_mb")),
    ]
    return ["## Size of the registry\n", _origin(section) + "\n", _rows(section, columns)]


_SECTIONS: dict[str, Callable[[Section], list[str]]] = {
    "main": _main,
    "ready": _ready,
    "soak": _soak,
    "scale": _scale,
}


def goal_table(results: Results, *, measured_only: bool = False) -> str:
    """Every goal with its bar, its figure and the verdict."""
    body = [
        [goal.what, f"≤ {goal.most:g} {goal.unit}", number(goal.measured), goal.verdict]
        for goal in goals(results)
        if goal.measured is not None or not measured_only
    ]
    return table(["goal", "bar", "measured", ""], body)


def section_text(name: str, section: Section) -> str:
    """One section as Markdown, its notes last."""
    notes = [f"\n- {note}" for note in section.notes]
    return "\n".join(_SECTIONS[name](section)) + "\n" + "".join(notes)


def render(results: Results, *, measured_only: bool = False) -> str:
    """The whole of RESULTS.md; `measured_only` leaves out goals that this run did not look at."""
    facts = [[name, value] for name, value in results.machine.items()]
    parts = [
        "# Bench results\n",
        "Written by `make bench`; how to read it: [docs/guide/bench.md](../docs/guide/bench.md).\n",
        table(["machine", ""], facts),
    ]
    if not measured_only or any(goal.measured is not None for goal in goals(results)):
        parts += ["\n## Goals\n", goal_table(results, measured_only=measured_only)]
    parts.append("")
    parts += [section_text(name, results.sections[name]) + "\n" for name in _SECTIONS if name in results.sections]
    return "\n".join(parts).rstrip() + "\n"
