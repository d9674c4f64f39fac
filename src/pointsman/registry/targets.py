"""From a target's entry and the catalog's facts to its specification: the file wins, each fact keeps its source."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Protocol

from msgspec import UNSET, UnsetType

from pointsman.catalog.fact import FILE, Fact
from pointsman.core.capability import CAPABILITIES, Known, Task
from pointsman.core.document import ProviderSpec
from pointsman.core.money import ContextTier, Prices, Rates
from pointsman.core.target import ApprovalState, Lifecycle, TargetSpec, Timeouts
from pointsman.registry import values
from pointsman.registry.file import PricesEntry, RatesEntry, TargetEntry, TimeoutsEntry
from pointsman.registry.problem import Findings, Path, shown

SOON = timedelta(days=30)
"""A retirement that is nearer than this is a warning."""

_FREE = Prices(base=Rates(input=0, output=0, audio_input=0, audio_output=0), source=FILE)
_RATES = {
    "input": "input",
    "output": "output",
    "cached_input": "cache_read",
    "cache_write": "cache_write",
    "audio_input": "audio_input",
    "audio_output": "audio_output",
    "request": "request",
}


class FactSource(Protocol):
    """What the compiler asks of the catalog."""

    def lookup(self, family: str, base_url: str, model: str, today: date) -> dict[str, Fact]:
        """Public facts about a model, by the names of the registry file; empty for what is not known."""


class TargetBuilder:
    """Builds the targets of one file. Problems go to `findings`."""

    def __init__(self, findings: Findings, catalog: FactSource, today: date) -> None:
        self._findings = findings
        self._catalog = catalog
        self._today = today
        self._midnight = datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp()

    def build(
        self, name: str, entry: TargetEntry, known: ProviderSpec | None
    ) -> tuple[TargetSpec, dict[str, Fact]] | None:
        """The specification and where each fact comes from; None when the name itself cannot be used.

        `known` is its provider: None where the file has none of that name.
        """
        path: Path = ("targets", name)
        try:
            provider, model = values.target_name(name)
        except values.BadValueError as bad:
            self._bad(path, bad)
            return None
        facts: dict[str, Fact] = {}
        if known is not None:
            facts.update(self._catalog.lookup(known.family, known.base_url, model, self._today))
        self._say(facts, entry, path)
        yes, unknown = _masks(facts)
        spec = TargetSpec(
            name=name,
            provider=provider,
            model=model,
            task=_value(facts, "task", Task.CHAT),
            state=entry.state,
            lifecycle=_value(facts, "lifecycle", Lifecycle.UNKNOWN),
            retires_at=_value(facts, "retires_at", None),
            tier=None if entry.tier is UNSET else entry.tier,
            tags=self._tags(entry.tags, path),
            participates=tuple(dict.fromkeys(entry.participates)),
            capabilities=yes,
            unknown=unknown,
            context_window=_value(facts, "context_window", None),
            max_output=_value(facts, "max_output", None),
            floating=_value(facts, "floating", False),
            timeouts=self._timeouts(entry.timeouts, (*path, "timeouts")),
            prices=_value(facts, "prices", None),
        )
        if known is None or self._findings.spoilt("providers", provider):
            self._findings.spoil(path)  # what the catalog says depends on the provider
        if spec.state is ApprovalState.APPROVED and not self._findings.spoilt("targets", name):
            self._approvable(spec, entry, facts, path)
        return spec, facts

    def _say(self, facts: dict[str, Fact], entry: TargetEntry, path: Path) -> None:
        """Put what the file says over what the catalog says."""
        for field in ("task", "context_window", "max_output", "lifecycle"):
            said = getattr(entry, field)
            if said is not UNSET:
                facts[field] = Fact(said, FILE)
        if entry.floating is True:
            facts["floating"] = Fact(True, FILE)
        for name, known in entry.capabilities.items():
            state = known if isinstance(known, Known) else Known.YES if known else Known.NO
            facts[f"capabilities.{name}"] = Fact(state, FILE)
        if entry.retires_at is not UNSET:
            try:
                facts["retires_at"] = Fact(values.unix_start(entry.retires_at), FILE)
            except values.BadValueError as bad:
                self._bad((*path, "retires_at"), bad)
        if entry.prices is not UNSET:
            prices = _FREE if entry.prices == "free" else self._prices(entry.prices, (*path, "prices"))
            if prices is not None:
                facts["prices"] = Fact(prices, FILE)

    def _prices(self, entry: PricesEntry | str, path: Path) -> Prices | None:
        if isinstance(entry, str):
            return None
        base = self._rates(entry, path)
        if base.input is None:
            if entry.input is UNSET:
                self._findings.problem(
                    "bad_price", path, "the price of input tokens is missing", "add `input:`, in dollars per million"
                )
            return None
        tiers: list[ContextTier] = []
        for index, tier in enumerate(entry.tiers):
            if tiers and tier.over <= tiers[-1].over:
                self._findings.problem(
                    "bad_price", (*path, "tiers", index), "tiers must ascend by `over`", "write them in that order"
                )
            own = self._rates(tier, (*path, "tiers", index))
            merged = {f: getattr(base, f) if getattr(own, f) is None else getattr(own, f) for f in _RATES.values()}
            tiers.append(ContextTier(tier.over, Rates(**merged)))
        return Prices(base=base, tiers=tuple(tiers), source=FILE)

    def _rates(self, entry: RatesEntry, path: Path) -> Rates:
        rates: dict[str, int] = {}
        for said, field in _RATES.items():
            amount: Decimal | UnsetType = getattr(entry, said)
            if amount is not UNSET:
                try:
                    rates[field] = values.nano_dollars(Decimal(amount))
                except values.BadValueError as bad:
                    self._bad((*path, said), bad)
        return Rates(**rates)

    def _timeouts(self, entry: TimeoutsEntry | UnsetType, path: Path) -> Timeouts:
        if entry is UNSET:
            return Timeouts()
        said: dict[str, float] = {}
        for field in ("connect", "first_token", "idle", "total"):
            text = getattr(entry, field)
            if text is not UNSET:
                try:
                    said[field] = values.seconds(text)
                except values.BadValueError as bad:
                    self._bad((*path, field), bad)
        return Timeouts(**said)

    def _tags(self, tags: tuple[str, ...], path: Path) -> tuple[str, ...]:
        for index, tag in enumerate(tags):
            try:
                values.tag(tag)
            except values.BadValueError as bad:
                self._bad((*path, "tags", index), bad)
        return tuple(dict.fromkeys(tags))

    def _approvable(self, spec: TargetSpec, entry: TargetEntry, facts: dict[str, Fact], path: Path) -> None:
        """What approval takes: a price, a life ahead, and an open eye on ids that move."""
        said = f"target {shown(spec.name)}"
        self._priced(spec, said, path)
        ended = spec.retires_at is not None and spec.retires_at <= self._midnight
        if ended or spec.lifecycle is Lifecycle.RETIRED:
            when = f" since {_day(spec.retires_at)}" if ended and spec.retires_at is not None else ""
            source = _source(facts, "retires_at" if ended else "lifecycle")
            self._findings.refuse(
                "retired",
                path,
                f"{said} is approved, but the provider has retired it{when} (says {source})",
                "set `state: retired` and move its traffic to another target",
            )
        elif spec.retires_at is not None and spec.retires_at <= self._midnight + SOON.total_seconds():
            self._findings.warning(
                "retires_soon",
                path,
                f"the provider ends {said} on {_day(spec.retires_at)} (says {_source(facts, 'retires_at')})",
                "choose its replacement now",
            )
        if spec.floating and entry.floating is not True:
            self._findings.refuse(
                "floating_id",
                path,
                f"{said} is approved, but its id is an alias that the vendor may move",
                "use the dated id, or allow it with `floating: true`",
            )

    def _priced(self, spec: TargetSpec, said: str, path: Path) -> None:
        mend = (
            "add `prices: {input: …, output: …}` in dollars per million tokens, or `prices: free` for a model "
            "that you run yourself"
        )
        if spec.prices is None:
            self._findings.refuse("no_price", path, f"{said} is approved and has no price: no price, no approval", mend)
        elif spec.prices.base.output is None and spec.task is Task.CHAT:
            self._findings.refuse(
                "no_price", path, f"{said} is approved and has no price for the tokens that it writes", mend
            )

    def _bad(self, path: Path, bad: values.BadValueError) -> None:
        self._findings.problem(bad.code, path, bad.message, bad.mend)


def _value(facts: dict[str, Fact], name: str, otherwise: Any) -> Any:
    fact = facts.get(name)
    return otherwise if fact is None else fact.value


def _masks(facts: dict[str, Fact]) -> tuple[int, int]:
    """The masks of what is known to be able, and of what nobody has said."""
    yes = unknown = 0
    for bit, name in enumerate(CAPABILITIES):
        known = _value(facts, f"capabilities.{name}", Known.UNKNOWN)
        if known is Known.YES:
            yes |= 1 << bit
        elif known is Known.UNKNOWN:
            unknown |= 1 << bit
    return yes, unknown


def _source(facts: dict[str, Fact], name: str) -> str:
    """Who says a fact, in words. A lifecycle that nobody states is never `retired`."""
    return "this file" if facts[name].source == FILE else facts[name].source


def _day(unix: int) -> str:
    return datetime.fromtimestamp(unix, UTC).date().isoformat()
