"""Public facts about models: prices, windows, capabilities, end dates, each with its source and date."""

from pointsman.catalog.catalog import Catalog
from pointsman.catalog.fact import Fact

__all__ = ["Catalog", "Fact"]
