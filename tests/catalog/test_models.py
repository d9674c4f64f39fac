"""The bundled table of models is well formed, row by row."""

from __future__ import annotations

import json
from datetime import date
from importlib.resources import files

import msgspec
import pytest
from genai_prices.data_snapshot import get_snapshot

from pointsman.catalog.models import ModelTable, Row
from pointsman.catalog.prices import PriceList
from pointsman.catalog.vendors import VENDORS
from pointsman.core.capability import CAPABILITIES, Task

TABLE = ModelTable.bundled()
ROWS = [pytest.param(row, id=f"{row.vendor}:{row.id}") for row in TABLE.rows.values()]
PRICED_AS = [row for row in TABLE.rows.values() if row.price_as]


def test_no_model_has_two_rows() -> None:
    text = files("pointsman.catalog").joinpath("models.json").read_text(encoding="utf-8")
    assert len(json.loads(text)["models"]) == len(TABLE.rows)


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_well_formed(row: Row) -> None:
    assert row.vendor in VENDORS.values()
    assert row.id == row.id.strip() != ""
    assert {*row.yes, *row.no} <= set(CAPABILITIES)
    assert len({*row.yes, *row.no}) == len(row.yes) + len(row.no), "a capability is said once"
    assert all(number is None or number > 0 for number in (row.context_window, row.max_output))
    if row.context_window is not None and row.max_output is not None:
        assert row.max_output <= row.context_window
    assert row.task is Task.CHAT or "streaming" in row.no
    stated = {name for name in Row.__struct_fields__ if getattr(row, name) not in (None, ())}
    assert set(row.but) <= stated, "a source is named for a field that is there"
    assert {row.said, *row.but.values()} <= set(TABLE.sources)


def test_every_source_is_an_address_with_the_day_on_which_it_was_read() -> None:
    for said in TABLE.sources.values():
        assert said.source.startswith("https://")
        assert date.fromisoformat(said.observed_at) <= date(2026, 11, 23)


def test_every_source_is_used() -> None:
    used = {name for row in TABLE.rows.values() for name in (row.said, *row.but.values())}
    assert used == set(TABLE.sources)


@pytest.mark.parametrize("row", PRICED_AS, ids=lambda row: f"{row.vendor}:{row.id}")
def test_an_id_priced_as_another_is_so_by_the_package_too(row: Row) -> None:
    """The row only spells out what the package says by a prefix."""
    prices = PriceList()
    (provider,) = (provider for provider in get_snapshot().providers if provider.id == row.vendor)
    matched = provider.find_model(row.id)
    assert matched is not None
    assert matched.id == row.price_as
    assert prices.find(row.vendor, row.id, date(2026, 11, 23)) is None, (
        "the package spells it out by now: drop the row's word"
    )
    assert prices.find(row.vendor, row.price_as, date(2026, 11, 23)) is not None


def test_a_table_with_an_unknown_key_is_refused() -> None:
    data = b'{"sources": {}, "models": [{"vendor": "openai", "id": "x", "said": "y", "contxt_window": 1}]}'
    with pytest.raises(msgspec.ValidationError, match="contxt_window"):
        ModelTable(data)
