"""The bar, and by how much this run reached or missed it. Every figure comes from the results."""

from __future__ import annotations

from dataclasses import dataclass

from bench.results import Results, Section

US = "pointsman"
PEER = "envoy"


@dataclass(frozen=True, slots=True)
class Goal:
    """One line of the bar: what, at most how much, and what was measured (None: not measured)."""

    what: str
    most: float
    unit: str
    measured: float | None

    @property
    def reached(self) -> bool | None:
        """Whether the bar was met; None when it was not measured."""
        return None if self.measured is None else self.measured <= self.most

    @property
    def verdict(self) -> str:
        """In words, with the distance in percent of the bar."""
        if self.measured is None:
            return "not measured"
        share = abs(self.measured - self.most) / self.most * 100
        return f"reached, {share:.0f} % to spare" if self.reached else f"**missed by {share:.0f} %**"


def goals(results: Results) -> list[Goal]:
    """All goals, measured or not, in the order of the bar."""
    return [*_main(results.sections.get("main")), *_others(results)]


def _main(section: Section | None) -> list[Goal]:
    return [
        Goal("CPU per request of the gateway process", 2, "× Envoy", _to_envoy(section, "unary_cpu_us")),
        Goal(
            "CPU per request of all processes, ingest into the store included",
            4,
            "× Envoy",
            _to_envoy(section, "unary_tree_us"),
        ),
        Goal(
            "CPU per streamed response of 50 separate chunks",
            1.5,
            "× Envoy",
            _to_envoy(section, "stream_cpu_us"),
        ),
        Goal("added p50 at one connection", 0.3, "ms", _added_ms(section, "single_p50_us")),
        Goal("added p99 at 1,000 requests/s, open loop", 2, "ms", _added_ms(section, "open1000_p99_us")),
    ]


def _others(results: Results) -> list[Goal]:
    ready, scale = results.sections.get("ready"), results.sections.get("scale")
    return [
        Goal("resident memory of the gateway process, highest seen", 120, "MB", _highest_rss(results)),
        Goal("drift of that memory over 1 million mixed requests", 5, "%", _drift(results.sections.get("soak"))),
        Goal("ready after start, slowest of the cold ones", 2, "s", _highest(ready, US, "cold_s")),
        Goal(
            "`pointsman check` of 10,000 targets, 10,000 workflows, 100,000 keys: compile and start of Python",
            5,
            "s",
            _highest(scale, "large", "check_s"),
        ),
        Goal(
            "CPU per request with that registry (10 % is the noise of this measurement)",
            1.1,
            "× small registry",
            scale.ratio("large", "unary_cpu_us", "small") if scale else None,
        ),
    ]


def _to_envoy(section: Section | None, metric: str) -> float | None:
    return section.ratio(US, metric, PEER) if section else None


def _added_ms(section: Section | None, metric: str) -> float | None:
    added = section.added(US, metric) if section else None
    return None if added is None else added / 1000


def _highest(section: Section | None, row: str, metric: str) -> float | None:
    return max(section.series(row, metric), default=None) if section else None


def _highest_rss(results: Results) -> float | None:
    seen = [
        value
        for name, metric in (("main", "rss_start_mb"), ("main", "rss_end_mb"), ("soak", "rss_mb"))
        if name in results.sections
        for value in results.sections[name].series(US, metric)
    ]
    return max(seen, default=None)


def _drift(soak: Section | None) -> float | None:
    """Largest distance of any later reading from the first, in percent of the first; only a whole soak counts."""
    readings = soak.series(US, "rss_mb") if soak else []
    sent = sum(soak.series(US, "sent")) if soak else 0
    if len(readings) < 2 or sent < 1_000_000:
        return None
    return max(abs(value - readings[0]) for value in readings[1:]) / readings[0] * 100
