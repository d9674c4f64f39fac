"""Money as integers, and what a call costs.

The unit is the nano-dollar (1e-9 USD). Prices are held in nano-dollars per *million* tokens, so that every published
price is a whole number ($0.0375 per million tokens is 37,500,000), and a cost is rounded once, at its total.
An unknown cost is None with a reason; it is never zero.
"""

from __future__ import annotations

import msgspec

from pointsman.core.usage import Usage

NANO = 1_000_000_000
MILLION = 1_000_000


class Rates(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Nano-dollars per million tokens of each kind; `request` is nano-dollars per call. None: no such price."""

    input: int | None = None
    output: int | None = None
    cache_read: int | None = None
    cache_write: int | None = None
    audio_input: int | None = None
    audio_output: int | None = None
    request: int | None = None


class ContextTier(msgspec.Struct, frozen=True, gc=False):
    """Rates that hold for the whole call once its input exceeds `over` tokens."""

    over: int
    rates: Rates


class Prices(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What a target costs, with where the figures come from and the date they were read.

    `tiers` ascend by `over`. `source` and `as_of` (ISO date) go into reports, never into arithmetic.
    """

    base: Rates
    tiers: tuple[ContextTier, ...] = ()
    source: str = ""
    as_of: str = ""

    def rates_for(self, input_tokens: int) -> Rates:
        """The rates of a call with that many input tokens (cached ones included)."""
        chosen = self.base
        for tier in self.tiers:
            if input_tokens > tier.over:
                chosen = tier.rates
        return chosen


def cost_of(prices: Prices | None, usage: Usage | None) -> tuple[int | None, str]:
    """Cost in nano-dollars and, where it is None, the reason why it is unknown.

    Cached, cache-written and audio tokens are subsets of the input (audio output of the output): each token is
    billed once. A cached token without a price of its own is billed as input, as providers without cache prices do.
    """
    if prices is None:
        return None, "no_price"
    if usage is None:
        return None, "no_usage"
    rates = prices.base if not prices.tiers else prices.rates_for(usage.input_tokens)
    if rates.input is None:
        return None, "no_input_price"
    plain = usage.input_tokens
    written = usage.output_tokens
    total = 0
    if usage.has_subsets:
        for tokens, rate, fallback in (
            (usage.cache_read_tokens, rates.cache_read, rates.input),
            (usage.cache_write_tokens, rates.cache_write, rates.input),
            (usage.audio_input_tokens, rates.audio_input, None),
        ):
            if tokens:
                rate = fallback if rate is None else rate
                if rate is None:
                    return None, "no_audio_price"
                plain -= tokens
                total += tokens * rate
        if usage.audio_output_tokens:
            if rates.audio_output is None:
                return None, "no_audio_price"
            written = max(written - usage.audio_output_tokens, 0)
            total += usage.audio_output_tokens * rates.audio_output
    total += max(plain, 0) * rates.input
    if written:
        if rates.output is None:
            return None, "no_output_price"
        total += written * rates.output
    return (total + MILLION // 2) // MILLION + (rates.request or 0), ""


def format_usd(nano: int) -> str:
    """Nano-dollars as decimal dollars without an exponent and without trailing zeros: 12500 → '0.0000125'."""
    sign = "-" if nano < 0 else ""
    whole, part = divmod(abs(nano), NANO)
    return f"{sign}{whole}.{part:09d}".rstrip("0").rstrip(".") if part else f"{sign}{whole}"
