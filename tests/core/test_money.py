"""What a call costs, against sums done by hand."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.money import ContextTier, Prices, Rates, cost_of, format_usd
from pointsman.core.usage import Usage

USD = 1_000_000_000
"""Nano-dollars; a rate of 3 * USD is $3 per million tokens."""

PLAIN = Prices(Rates(input=3 * USD, output=15 * USD))
CACHED = Prices(Rates(input=3 * USD, output=15 * USD, cache_read=USD * 3 // 10, cache_write=USD * 15 // 4))
AUDIO = Prices(Rates(input=5 * USD // 2, output=10 * USD, audio_input=40 * USD, audio_output=80 * USD))
TIERED = Prices(
    Rates(input=2 * USD, output=10 * USD, cache_read=USD // 5),
    tiers=(
        ContextTier(200_000, Rates(input=4 * USD, output=20 * USD, cache_read=2 * USD // 5)),
        ContextTier(500_000, Rates(input=8 * USD, output=40 * USD)),
    ),
)
SMALL = Prices(Rates(input=37_500_000, output=150_000_000))
PER_CALL = Prices(Rates(input=USD, output=USD, request=5_000_000))

CASES: list[tuple[str, Prices, Usage, int]] = [
    ("nothing", PLAIN, Usage(), 0),
    ("a million in", PLAIN, Usage(1_000_000), 3 * USD),
    ("a million out", PLAIN, Usage(0, 1_000_000), 15 * USD),
    ("one token in", PLAIN, Usage(1), 3_000),
    ("one token out", PLAIN, Usage(0, 1), 15_000),
    ("in and out", PLAIN, Usage(1_000, 500), 3_000_000 + 7_500_000),
    ("reasoning is part of the output", PLAIN, Usage(100, 500, reasoning_tokens=400), 300_000 + 7_500_000),
    ("cents of a cent", SMALL, Usage(1), 38),
    ("rounded once, at the total", SMALL, Usage(1, 1), 188),
    ("half rounds up", Prices(Rates(input=500_000, output=0)), Usage(1), 1),
    ("less than half rounds down", Prices(Rates(input=499_999, output=0)), Usage(1), 0),
    ("free is a price", Prices(Rates(input=0, output=0)), Usage(10**6, 10**6), 0),
    ("cached", CACHED, Usage(1_000, 0, cache_read_tokens=800), 200 * 3_000 + 800 * 300),
    ("all cached", CACHED, Usage(1_000, 0, cache_read_tokens=1_000), 300_000),
    ("cache written", CACHED, Usage(1_000, 0, cache_write_tokens=1_000), 3_750_000),
    (
        "read, written, plain, output",
        CACHED,
        Usage(1_000, 10, cache_read_tokens=500, cache_write_tokens=300),
        500 * 300 + 300 * 3_750 + 200 * 3_000 + 10 * 15_000,
    ),
    ("cached, no price of its own: as input", PLAIN, Usage(1_000, cache_read_tokens=800), 3_000_000),
    ("written, no price of its own: as input", PLAIN, Usage(1_000, cache_write_tokens=800), 3_000_000),
    ("free cache", Prices(Rates(input=USD, output=0, cache_read=0)), Usage(10, cache_read_tokens=10), 0),
    ("more cached than read is not a credit", CACHED, Usage(100, cache_read_tokens=200), 60_000),
    ("audio in", AUDIO, Usage(1_000, 0, audio_input_tokens=400), 600 * 2_500 + 400 * 40_000),
    ("audio out", AUDIO, Usage(0, 1_000, audio_output_tokens=900), 100 * 10_000 + 900 * 80_000),
    ("audio out beyond all output is not a credit", AUDIO, Usage(0, 0, audio_output_tokens=10), 800_000),
    (
        "cheap audio is no credit either",
        Prices(Rates(input=0, output=10 * USD, audio_output=USD)),
        Usage(0, 0, audio_output_tokens=10),
        10_000,
    ),
    ("only audio needs no price for text", Prices(Rates(0, None, audio_output=USD)), Usage(0, 5, 0, 0, 0, 0, 5), 5_000),
    ("at the tier's edge", TIERED, Usage(200_000, 10), 200_000 * 2_000 + 10 * 10_000),
    ("one beyond: the whole call is dearer", TIERED, Usage(200_001, 10), 200_001 * 4_000 + 10 * 20_000),
    ("cached ones count for the tier", TIERED, Usage(200_001, 0, cache_read_tokens=200_001), 200_001 * 400),
    ("the last tier", TIERED, Usage(500_001, 1), 500_001 * 8_000 + 40_000),
    ("a tier's cache without a price: its input", TIERED, Usage(500_001, 0, cache_read_tokens=1), 500_001 * 8_000),
    ("a fee per call", PER_CALL, Usage(1_000, 1_000), 2_000_000 + 5_000_000),
    ("a fee even for nothing", PER_CALL, Usage(), 5_000_000),
]


@pytest.mark.parametrize(("prices", "usage", "nano"), [case[1:] for case in CASES], ids=[case[0] for case in CASES])
def test_cost(prices: Prices, usage: Usage, nano: int) -> None:
    assert cost_of(prices, usage) == (nano, "")


@pytest.mark.parametrize(
    ("prices", "usage", "reason"),
    [
        (None, Usage(1, 1), "no_price"),
        (None, None, "no_price"),
        (PLAIN, None, "no_usage"),
        (Prices(Rates()), Usage(), "no_input_price"),
        (Prices(Rates(output=1)), Usage(0, 1), "no_input_price"),
        (Prices(Rates(input=1)), Usage(1, 1), "no_output_price"),
        (PLAIN, Usage(10, 0, audio_input_tokens=1), "no_audio_price"),
        (PLAIN, Usage(10, 10, audio_output_tokens=1), "no_audio_price"),
        (Prices(Rates(0, None, audio_output=1)), Usage(0, 5, audio_output_tokens=4), "no_output_price"),
        (Prices(Rates(1, 1), (ContextTier(10, Rates(output=1)),)), Usage(11), "no_input_price"),
    ],
)
def test_an_unknown_cost_is_none_with_a_reason_and_never_zero(
    prices: Prices | None, usage: Usage | None, reason: str
) -> None:
    assert cost_of(prices, usage) == (None, reason)


def test_a_target_without_an_output_price_still_has_a_cost_when_nothing_was_put_out() -> None:
    """Embedding models have no output price."""
    assert cost_of(Prices(Rates(input=USD // 50)), Usage(1_000)) == (20_000, "")


rate = st.integers(0, 200 * USD)
maybe = st.one_of(st.none(), rate)
tokens = st.integers(0, 2_000_000)
rates = st.builds(Rates, rate, rate, maybe, maybe, rate, rate, maybe)
usages = st.builds(Usage, *[tokens] * 7)
whole_usages = st.tuples(*[st.integers(0, 300_000)] * 6).map(
    lambda n: Usage(sum(n[:4]), n[4] + n[5], n[0], n[1], 0, n[2], n[5])
)
"""Usages whose parts do fit into their wholes."""


@given(rates, st.lists(st.builds(ContextTier, tokens, rates), max_size=2), usages)
def test_no_usage_whatever_costs_less_than_nothing(base: Rates, tiers: list[ContextTier], usage: Usage) -> None:
    nano, reason = cost_of(Prices(base, tuple(sorted(tiers, key=lambda tier: tier.over))), usage)
    assert reason == ""
    assert nano is not None
    assert nano >= 0


@given(rates, whole_usages)
def test_every_token_is_billed_once_and_the_sum_is_rounded_once(base: Rates, usage: Usage) -> None:
    """The exact sum in fractions, every kind of token at its own rate, is within half a nano-dollar."""
    assert base.input is not None
    assert base.output is not None
    assert base.audio_input is not None
    assert base.audio_output is not None
    plain = usage.input_tokens - usage.cache_read_tokens - usage.cache_write_tokens - usage.audio_input_tokens
    exact = (
        Fraction(plain * base.input, 10**6)
        + Fraction(usage.cache_read_tokens * (base.input if base.cache_read is None else base.cache_read), 10**6)
        + Fraction(usage.cache_write_tokens * (base.input if base.cache_write is None else base.cache_write), 10**6)
        + Fraction(usage.audio_input_tokens * base.audio_input, 10**6)
        + Fraction((usage.output_tokens - usage.audio_output_tokens) * base.output, 10**6)
        + Fraction(usage.audio_output_tokens * base.audio_output, 10**6)
        + (base.request or 0)
    )
    nano, _ = cost_of(Prices(base), usage)
    assert nano is not None
    assert abs(nano - exact) <= Fraction(1, 2)


@pytest.mark.parametrize(
    ("nano", "text"),
    [
        (0, "0"),
        (1, "0.000000001"),
        (10, "0.00000001"),
        (12_500, "0.0000125"),
        (USD, "1"),
        (10 * USD, "10"),
        (100 * USD, "100"),
        (USD + 1, "1.000000001"),
        (USD // 2, "0.5"),
        (-USD // 4, "-0.25"),
        (-3 * USD, "-3"),
        (10**18 + 1, "1000000000.000000001"),
    ],
)
def test_dollars_are_written_in_full(nano: int, text: str) -> None:
    assert format_usd(nano) == text


@given(st.integers(-(10**20), 10**20))
def test_dollars_say_exactly_the_amount(nano: int) -> None:
    text = format_usd(nano)
    assert Fraction(text) * USD == nano
    assert "e" not in text.lower()
    assert not text.endswith(".")
