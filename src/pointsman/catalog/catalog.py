"""The look-up: what is known about a vendor's model, each fact with its source."""

from __future__ import annotations

from datetime import date
from functools import cached_property
from typing import TYPE_CHECKING

from pointsman.catalog.fact import Fact
from pointsman.catalog.models import ModelTable
from pointsman.catalog.vendors import vendor_of
from pointsman.core.target import Lifecycle

if TYPE_CHECKING:
    from pointsman.catalog.prices import PriceList


class Catalog:
    """Bundled facts about models. Advisory: what a registry file says itself goes before all of them.

    Nothing is read until the first look-up that needs it; the price list alone costs 0.2 s of CPU and 25 MB.
    """

    @cached_property
    def _models(self) -> ModelTable:
        return ModelTable.bundled()

    @cached_property
    def _prices(self) -> PriceList:
        from pointsman.catalog.prices import PriceList

        return PriceList()

    def lookup(self, family: str, base_url: str, model: str, today: date) -> dict[str, Fact]:
        """Facts by name; one that nobody has stated is absent.

        `task`, `context_window` and `max_output` (tokens), `lifecycle`, `retires_at` (Unix seconds), `floating`,
        `prices` (those of `today`), `capabilities.<name>` (yes or no). `base_url` has to be the vendor's own host:
        what another host calls by the same name is another model.
        """
        vendor = vendor_of(base_url)
        if vendor is None:
            return {}
        facts = self._models.facts(vendor, model)
        listed = self._models.price_id(vendor, model)
        prices = self._prices.find(vendor, listed, today)
        if prices is not None:
            facts["prices"] = Fact(prices, prices.source, prices.as_of)
        if "lifecycle" not in facts and self._prices.deprecated(vendor, listed):
            facts["lifecycle"] = Fact(Lifecycle.DEPRECATED, self._prices.source)
        return facts
