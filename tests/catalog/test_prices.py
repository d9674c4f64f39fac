"""The price list against the package that it reads: what it finds is the package's own word for exactly that id."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal

import pytest
from genai_prices.data_snapshot import get_snapshot
from genai_prices.types import ModelPrice, Provider, Tier, TieredPrices, Usage
from hypothesis import given
from hypothesis import strategies as st

from pointsman.catalog.prices import PriceList
from pointsman.catalog.vendors import VENDORS
from pointsman.core.money import cost_of
from pointsman.core.usage import Usage as OurUsage

TODAY = date(2026, 11, 23)
LIST = PriceList()
PROVIDERS = {provider.id: provider for provider in get_snapshot().providers}
VENDOR_IDS = sorted(set(VENDORS.values()))


@pytest.mark.parametrize("vendor", VENDOR_IDS)
def test_every_vendor_of_ours_is_one_of_the_package(vendor: str) -> None:
    assert vendor in PROVIDERS
    assert LIST.names(vendor)


@pytest.mark.parametrize("vendor", VENDOR_IDS)
def test_an_exact_id_is_the_packages_own_match(vendor: str) -> None:
    """Were another model's looser clause the first to match, the two would disagree about the price."""
    wrong = [name for name in LIST.names(vendor) if _matched(PROVIDERS[vendor], name) is not LIST.model(vendor, name)]
    assert wrong == []


@pytest.mark.parametrize("vendor", VENDOR_IDS)
def test_a_call_costs_what_the_package_says(vendor: str) -> None:
    """For every id with a price: short and long inputs, cached ones among them, to the nano-dollar."""
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    for name in LIST.names(vendor):
        ours = LIST.find(vendor, name, TODAY)
        if ours is None:
            continue
        for tokens in (1_000, 150_000, 300_000, 600_000):
            model = LIST.model(vendor, name)
            theirs = model.calc_price(
                Usage(input_tokens=tokens, cache_read_tokens=tokens // 4, output_tokens=777),
                PROVIDERS[vendor],
                genai_request_timestamp=noon,
            )
            usage = OurUsage(input_tokens=tokens, cache_read_tokens=tokens // 4, output_tokens=777)
            cost, reason = cost_of(ours, usage)
            if ours.base.output is None:
                assert reason == "no_output_price"
                continue
            assert cost is not None
            assert abs(Decimal(cost) - theirs.total_price * 10**9) <= 1, f"{vendor}:{name} at {tokens}"


@given(st.sampled_from(VENDOR_IDS), st.data(), st.text(min_size=1, max_size=8))
def test_nothing_is_matched_by_prefix(vendor: str, data: st.DataObject, more: str) -> None:
    name = data.draw(st.sampled_from(LIST.names(vendor)))
    names = set(LIST.names(vendor))
    for other in (name + more, more + name, name[:-1]):
        if other not in names:
            assert LIST.find(vendor, other, TODAY) is None


def test_fractions_of_a_nano_dollar_are_rounded_not_dropped() -> None:
    third = ModelPrice(input_mtok=Decimal("0.0833333333333333"))
    found = LIST.convert(third)
    assert found is not None
    assert found.base.input == 83_333_333


def test_a_rate_that_begins_with_its_own_tier_is_filled_from_its_base_below() -> None:
    """Two rates with different thresholds: every tier has both rates, each as of that tier."""
    price = ModelPrice(
        input_mtok=TieredPrices(base=Decimal(1), tiers=[Tier(start=100, price=Decimal(2))]),
        output_mtok=TieredPrices(base=Decimal(3), tiers=[Tier(start=200, price=Decimal(4))]),
    )
    found = LIST.convert(price)
    assert found is not None
    dollar = 1_000_000_000
    assert [(tier.over, tier.rates.input, tier.rates.output) for tier in found.tiers] == [
        (100, 2 * dollar, 3 * dollar),
        (200, 2 * dollar, 4 * dollar),
    ]


@pytest.mark.parametrize(
    "price",
    [
        ModelPrice(),
        ModelPrice(output_mtok=Decimal(1)),
        ModelPrice(input_mtok=Decimal(1), output_mtok=Decimal(1), output_reasoning_mtok=Decimal(2)),
    ],
    ids=["nothing said", "no input", "a kind of token that we cannot tell apart"],
)
def test_what_cannot_be_said_is_unknown_and_never_free(price: ModelPrice) -> None:
    assert LIST.convert(price) is None


def _matched(provider: Provider, name: str) -> object:
    return provider.find_model(name)
