"""The reference page of the catalog names the facts that there are, and no others."""

from __future__ import annotations

import re
from datetime import date

from pointsman.catalog import Catalog
from pointsman.catalog.models import ModelTable
from tests.house.source import ROOT

HOSTS = {
    "openai": "https://api.openai.com/v1",
    "anthropic": "https://api.anthropic.com/v1",
    "google": "https://generativelanguage.googleapis.com/v1beta/openai",
}


def test_every_kind_of_fact_has_a_row() -> None:
    page = (ROOT / "docs" / "reference" / "catalog.md").read_text(encoding="utf-8")
    documented = set(re.findall(r"^\| [^|]+ \| `(\w+)` \|", page, flags=re.MULTILINE))
    catalog = Catalog()
    given = {
        name.partition(".")[0]
        for vendor, model in ModelTable.bundled().rows
        if vendor in HOSTS
        for name in catalog.lookup("openai", HOSTS[vendor], model, date(2026, 11, 23))
    }
    assert documented == given
