"""List prices, read from the genai-prices package by exact model id.

The package finds a price by any of several clauses, some of which are prefixes. Here a price is found only under an id
that the package spells out: a name that merely begins like a known one has no known price.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date
from decimal import ROUND_HALF_EVEN, Decimal
from importlib.metadata import version

from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import (
    ClauseEquals,
    ClauseOr,
    MatchLogic,
    ModelInfo,
    ModelPrice,
    StartDateConstraint,
    TieredPrices,
)

from pointsman.core.money import NANO, ContextTier, Prices, Rates

PACKAGE = "genai-prices"

_UNITS: dict[str, tuple[str, int]] = {
    "input_mtok": ("input", 1),
    "output_mtok": ("output", 1),
    "cache_read_mtok": ("cache_read", 1),
    "cache_write_mtok": ("cache_write", 1),
    "input_audio_mtok": ("audio_input", 1),
    "output_audio_mtok": ("audio_output", 1),
    "requests_kcount": ("request", 1000),
}
"""The package's unit to the field of `Rates` and how many of ours one of theirs holds."""

_BESIDE = frozenset(
    {
        "web_searches_kcount",  # a tool that the vendor runs, billed beside the tokens
        "storage_searches_kcount",
        "cache_write_1h_mtok",  # asked for by its own parameter; `cache_write` is the ordinary one
        "cache_audio_read_mtok",  # cached audio is billed as cached text until usage tells the two apart
    }
)
"""Units without a place in `Rates` yet that leave the cost of an ordinary call right. Any other unknown unit makes the
whole price unknown: it would be charged for tokens that `Rates` cannot tell apart."""


class PriceList:
    """The package's data, indexed by vendor and exact id. Building one imports the package and with it pydantic."""

    def __init__(self) -> None:
        self.source = f"{PACKAGE} {version(PACKAGE)}"
        self._providers = {provider.id: provider for provider in get_snapshot().providers}
        self._indexes: dict[str, dict[str, ModelInfo]] = {}

    def find(self, vendor: str, model: str, today: date) -> Prices | None:
        """Prices in force on that day (UTC), or None where nobody can say them."""
        info = self._index(vendor).get(model)
        price = None if info is None else _in_force(info, today)
        return None if price is None else self.convert(price)

    def deprecated(self, vendor: str, model: str) -> bool:
        """Whether the package says that the vendor has deprecated the model. False is no word either way."""
        info = self._index(vendor).get(model)
        return info is not None and info.deprecated is True

    def names(self, vendor: str) -> list[str]:
        """The ids that the package spells out for a vendor, in its order."""
        return list(self._index(vendor))

    def model(self, vendor: str, name: str) -> ModelInfo:
        """The package's entry for an id that it spells out. Raises KeyError for any other."""
        return self._index(vendor)[name]

    def convert(self, price: ModelPrice) -> Prices | None:
        """The package's price as ours; None when ours cannot express it or it says no price for input."""
        units: dict[str, Decimal | TieredPrices] = {k: v for k, v in vars(price).items() if v is not None}
        if "input_mtok" not in units or units.keys() - _UNITS.keys() - _BESIDE:
            return None
        known = {name: value for name, value in units.items() if name in _UNITS}
        starts = {tier.start for value in known.values() if isinstance(value, TieredPrices) for tier in value.tiers}
        return Prices(
            base=_rates(known, 0),
            tiers=tuple(ContextTier(over=start, rates=_rates(known, start + 1)) for start in sorted(starts)),
            source=self.source,
        )

    def _index(self, vendor: str) -> dict[str, ModelInfo]:
        index = self._indexes.get(vendor)
        if index is None:
            index = self._indexes[vendor] = {}
            provider = self._providers.get(vendor)
            for info in provider.models if provider else ():
                for name in _spelled_out(info):
                    index.setdefault(name, info)
        return index


def _spelled_out(info: ModelInfo) -> Iterator[str]:
    yield from _equals(info.match)
    if info.is_match(info.id):
        yield info.id


def _equals(clause: MatchLogic) -> Iterator[str]:
    if isinstance(clause, ClauseEquals):
        yield clause.equals
    elif isinstance(clause, ClauseOr):
        for part in clause.or_:
            yield from _equals(part)


def _in_force(info: ModelInfo, today: date) -> ModelPrice | None:
    """The price of that day. None for one that changes with the hour: no single figure is right for every call."""
    if isinstance(info.prices, ModelPrice):
        return info.prices
    chosen = None
    for row in info.prices:
        if row.constraint is None:
            chosen = row.prices
        elif not isinstance(row.constraint, StartDateConstraint):
            return None
        elif row.constraint.start_date <= today:
            chosen = row.prices
    return chosen


def _rates(units: dict[str, Decimal | TieredPrices], input_tokens: int) -> Rates:
    return Rates(**{_UNITS[name][0]: _nano(_at(value, input_tokens), _UNITS[name][1]) for name, value in units.items()})


def _at(value: Decimal | TieredPrices, input_tokens: int) -> Decimal:
    if not isinstance(value, TieredPrices):
        return value
    chosen = value.base
    for tier in value.tiers:
        if input_tokens > tier.start:
            chosen = tier.price
    return chosen


def _nano(dollars: Decimal, of: int) -> int:
    """Nano-dollars, to the nearest whole one.

    Every price that a vendor prints is whole. A few of a reseller's are thirds (0.0833333333333333): those lose less
    than a nano-dollar per million tokens.
    """
    return int((dollars * NANO / of).to_integral_value(ROUND_HALF_EVEN))
