"""What the catalog says of models, against figures taken by hand from the vendors' pages."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, date, datetime

import pytest

from pointsman.catalog import Catalog
from pointsman.core.capability import Known, Task
from pointsman.core.money import ContextTier, Prices, Rates, cost_of
from pointsman.core.target import Lifecycle
from pointsman.core.usage import Usage

TODAY = date(2026, 11, 23)
OPENAI = "https://api.openai.com/v1"
ANTHROPIC = "https://api.anthropic.com/v1"
GOOGLE = "https://generativelanguage.googleapis.com/v1beta/openai"
MISTRAL = "https://api.mistral.ai/v1"
GROQ = "https://api.groq.com/openai/v1"
XAI = "https://api.x.ai/v1"
DEEPSEEK = "https://api.deepseek.com"
PERPLEXITY = "https://api.perplexity.ai"
FIREWORKS = "https://api.fireworks.ai/inference/v1"


@pytest.fixture(scope="module")
def catalog() -> Catalog:
    return Catalog()


def prices(catalog: Catalog, base_url: str, model: str, today: date = TODAY) -> Prices | None:
    fact = catalog.lookup("openai", base_url, model, today).get("prices")
    assert fact is None or isinstance(fact.value, Prices)
    return None if fact is None else fact.value


# Nano-dollars per million tokens: $1 is 1_000_000_000.
@pytest.mark.parametrize(
    ("base_url", "model", "base"),
    [
        (OPENAI, "gpt-4o-2024-08-06", Rates(2_500_000_000, 10_000_000_000, 1_250_000_000)),
        (OPENAI, "gpt-4o-2024-05-13", Rates(5_000_000_000, 15_000_000_000)),
        (OPENAI, "gpt-4o-mini-2024-07-18", Rates(150_000_000, 600_000_000, 75_000_000)),
        (OPENAI, "gpt-4.1-2025-04-14", Rates(2_000_000_000, 8_000_000_000, 500_000_000)),
        (OPENAI, "gpt-4.1-nano-2025-04-14", Rates(100_000_000, 400_000_000, 25_000_000)),
        (OPENAI, "gpt-5-nano-2025-08-07", Rates(50_000_000, 400_000_000, 5_000_000)),
        (OPENAI, "o3-2025-04-16", Rates(2_000_000_000, 8_000_000_000, 500_000_000)),
        (OPENAI, "text-embedding-3-small", Rates(20_000_000)),
        (OPENAI, "text-embedding-3-large", Rates(130_000_000)),
        (
            OPENAI,
            "gpt-audio-2025-08-28",
            Rates(2_500_000_000, 10_000_000_000, audio_input=32_000_000_000, audio_output=64_000_000_000),
        ),
        (
            ANTHROPIC,
            "claude-opus-4-5-20251101",
            Rates(5_000_000_000, 25_000_000_000, 500_000_000, 6_250_000_000),
        ),
        (
            ANTHROPIC,
            "claude-haiku-4-5-20251001",
            Rates(1_000_000_000, 5_000_000_000, 100_000_000, 1_250_000_000),
        ),
        (
            GOOGLE,
            "gemini-2.5-flash",
            Rates(300_000_000, 2_500_000_000, 30_000_000, audio_input=1_000_000_000),
        ),
        (GROQ, "llama-3.1-8b-instant", Rates(50_000_000, 80_000_000)),
        (FIREWORKS, "accounts/fireworks/models/gpt-oss-120b", Rates(150_000_000, 600_000_000, 15_000_000)),
        # Dollars a thousand calls beside the tokens: $14 is 14_000_000 nano-dollars a call.
        (PERPLEXITY, "sonar-pro", Rates(3_000_000_000, 15_000_000_000, request=14_000_000)),
    ],
)
def test_a_list_price_is_exact(catalog: Catalog, base_url: str, model: str, base: Rates) -> None:
    found = prices(catalog, base_url, model)
    assert found is not None
    assert found.base == base
    assert found.tiers == ()
    assert found.source.startswith("genai-prices ")


def test_a_long_input_has_its_own_tier_with_every_rate_filled(catalog: Catalog) -> None:
    found = prices(catalog, GOOGLE, "gemini-2.5-pro")
    assert found is not None
    assert (found.base.input, found.base.output) == (1_250_000_000, 10_000_000_000)
    (tier,) = found.tiers
    assert (tier.over, tier.rates.input, tier.rates.output) == (200_000, 2_500_000_000, 15_000_000_000)
    assert tier.rates.cache_read == 250_000_000


def test_a_rate_without_tiers_is_the_same_in_every_tier(catalog: Catalog) -> None:
    found = prices(catalog, ANTHROPIC, "claude-sonnet-4-5-20250929")
    assert found is not None
    assert found.tiers == (ContextTier(200_000, Rates(6_000_000_000, 22_500_000_000, 600_000_000, 7_500_000_000)),)


def test_a_boundary_that_belongs_to_the_dearer_side_is_kept(catalog: Catalog) -> None:
    """xAI bills the long rates from 200,000 tokens on; one token fewer is still the short ones."""
    found = prices(catalog, XAI, "grok-4.20-0309-reasoning")
    assert found is not None
    assert found.rates_for(199_999) == found.base
    assert found.rates_for(200_000) != found.base


def test_a_price_follows_its_date(catalog: Catalog) -> None:
    """OpenAI lowered GPT-5.6 Terra from $2.50 and $15 to $2 and $12 on 2026-07-30."""
    before = prices(catalog, OPENAI, "gpt-5.6-terra", date(2026, 7, 29))
    after = prices(catalog, OPENAI, "gpt-5.6-terra", date(2026, 7, 30))
    assert before is not None
    assert after is not None
    assert (before.base.input, before.base.output) == (2_500_000_000, 15_000_000_000)
    assert (after.base.input, after.base.output) == (2_000_000_000, 12_000_000_000)


def test_what_a_call_costs_comes_out_right(catalog: Catalog) -> None:
    """1,000 input tokens of which 400 cached, 500 output: 600 x $2.50 + 400 x $1.25 + 500 x $10 per million."""
    found = prices(catalog, OPENAI, "gpt-4o-2024-08-06")
    usage = Usage(input_tokens=1000, output_tokens=500, cache_read_tokens=400)
    assert cost_of(found, usage) == (7_000_000, "")


@pytest.mark.parametrize(
    ("base_url", "model", "window", "output", "task"),
    [
        (OPENAI, "gpt-4o-2024-08-06", 128_000, 16_384, Task.CHAT),
        (OPENAI, "gpt-4o-2024-05-13", 128_000, 4_096, Task.CHAT),
        (OPENAI, "gpt-4.1-2025-04-14", 1_047_576, 32_768, Task.CHAT),
        (OPENAI, "o3-2025-04-16", 200_000, 100_000, Task.CHAT),
        (OPENAI, "gpt-5.4-2026-03-05", 1_050_000, 128_000, Task.CHAT),
        (OPENAI, "text-embedding-3-small", 8_191, None, Task.EMBEDDING),
        (ANTHROPIC, "claude-opus-4-8", 1_000_000, 128_000, Task.CHAT),
        (GOOGLE, "gemini-2.5-flash", 1_048_576, 65_536, Task.CHAT),
        (GROQ, "llama-3.3-70b-versatile", 131_072, 32_768, Task.CHAT),
    ],
)
def test_windows_and_tasks(
    catalog: Catalog, base_url: str, model: str, window: int, output: int | None, task: Task
) -> None:
    facts = catalog.lookup("openai", base_url, model, TODAY)
    assert facts["context_window"].value == window
    assert (facts["max_output"].value if "max_output" in facts else None) == output
    assert facts["task"].value is task


@pytest.mark.parametrize(
    ("base_url", "model", "capability", "known"),
    [
        (OPENAI, "gpt-4o-2024-08-06", "image_input", Known.YES),
        (OPENAI, "gpt-4o-2024-08-06", "json_schema", Known.YES),
        (OPENAI, "gpt-4o-2024-08-06", "reasoning", Known.NO),
        (OPENAI, "gpt-4o-2024-05-13", "json_schema", None),
        (OPENAI, "gpt-4-turbo-2024-04-09", "json_schema", Known.NO),
        (OPENAI, "o3-2025-04-16", "reasoning", Known.YES),
        (OPENAI, "o3-mini-2025-01-31", "image_input", Known.NO),
        (OPENAI, "text-embedding-3-small", "streaming", Known.NO),
        (ANTHROPIC, "claude-haiku-4-5-20251001", "pdf_input", Known.YES),
        (GOOGLE, "gemini-2.5-flash", "audio_input", Known.YES),
        (GROQ, "openai/gpt-oss-120b", "image_input", Known.NO),
        (GROQ, "llama-3.3-70b-versatile", "json_schema", None),
        (MISTRAL, "mistral-large-latest", "image_input", None),
    ],
)
def test_capabilities_are_yes_no_or_absent(
    catalog: Catalog, base_url: str, model: str, capability: str, known: Known | None
) -> None:
    fact = catalog.lookup("openai", base_url, model, TODAY).get(f"capabilities.{capability}")
    assert (None if fact is None else fact.value) is known


def test_an_end_date_is_the_start_of_its_day(catalog: Catalog) -> None:
    facts = catalog.lookup("openai", OPENAI, "gpt-5-2025-08-07", TODAY)
    assert facts["lifecycle"].value is Lifecycle.DEPRECATED
    assert facts["retires_at"].value == datetime(2026, 12, 11, tzinfo=UTC).timestamp()
    assert facts["retires_at"].source == "https://developers.openai.com/api/docs/deprecations"
    assert facts["retires_at"].observed_at == "2026-07-30"


def test_a_model_that_the_table_does_not_have_is_deprecated_when_the_price_list_says_so(catalog: Catalog) -> None:
    facts = catalog.lookup("openai", "https://api.cerebras.ai/v1", "zai-glm-4.7", TODAY)
    assert facts["lifecycle"].value is Lifecycle.DEPRECATED
    assert facts["lifecycle"].source.startswith("genai-prices ")


@pytest.mark.parametrize(
    ("base_url", "model", "floating"),
    [
        (OPENAI, "gpt-4o", True),
        (OPENAI, "gpt-4o-2024-08-06", False),
        (ANTHROPIC, "claude-sonnet-4-5", True),
        (ANTHROPIC, "claude-sonnet-4-6", False),
        (MISTRAL, "mistral-large-latest", True),
        (MISTRAL, "mistral-large-2512", False),
    ],
)
def test_aliases_of_the_vendor_are_told_from_fixed_ids(
    catalog: Catalog, base_url: str, model: str, floating: bool
) -> None:
    assert catalog.lookup("openai", base_url, model, TODAY)["floating"].value is floating


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        (OPENAI, "gpt-4o-2024-08-06-evil"),
        (OPENAI, "gpt-4o-2024-08-0"),
        (OPENAI, "GPT-4o-2024-08-06"),
        (OPENAI, "gpt-5-nano-2031-01-01"),
        (OPENAI, "ft:gpt-4o-2024-08-06:acme::abc123"),
        (OPENAI, "gpt-4.5-preview-anything"),
        (OPENAI, "claude-sonnet-4-6"),
        (OPENAI, ""),
        (ANTHROPIC, "claude-haiku-4-5-20991231"),
        (ANTHROPIC, "claude-3-opus-of-my-own"),
        (GOOGLE, "my-gemini-1.5-flash-tuned"),
        (GROQ, "gpt-4o-2024-08-06"),
    ],
)
def test_a_name_that_merely_resembles_a_known_one_gets_nothing(catalog: Catalog, base_url: str, model: str) -> None:
    assert catalog.lookup("openai", base_url, model, TODAY) == {}


@pytest.mark.parametrize(
    "base_url",
    [
        "http://127.0.0.1:8000/v1",
        "http://localhost/v1",
        "http://api.openai.com/v1",
        "https://api.openai.com:8443/v1",
        "https://api.openai.com.example.net/v1",
        "https://example.net/api.openai.com/v1",
        "https://api.openai.com@example.net/v1",
        "https://eu.api.openai.com/v1",
        "https://acme.openai.azure.com/openai/v1",
        "https://api.openai.com:port/v1",
        "https://[api.openai.com/v1",
        "api.openai.com",
        "",
    ],
)
def test_a_host_that_is_not_the_vendors_own_gets_nothing(catalog: Catalog, base_url: str) -> None:
    """A local server's gpt-4o is not OpenAI's."""
    assert catalog.lookup("openai", base_url, "gpt-4o-2024-08-06", TODAY) == {}


@pytest.mark.parametrize("base_url", ["https://api.openai.com", "https://API.OpenAI.com:443/v1/", OPENAI])
def test_the_vendors_own_host_is_known_however_it_is_written(catalog: Catalog, base_url: str) -> None:
    assert "prices" in catalog.lookup("openai", base_url, "gpt-4o-2024-08-06", TODAY)


def test_a_price_that_hangs_on_the_hour_is_unknown(catalog: Catalog) -> None:
    """DeepSeek charges double at peak: no single figure is right for every call."""
    facts = catalog.lookup("openai", DEEPSEEK, "deepseek-v4-pro", TODAY)
    assert facts["context_window"].value == 1_000_000
    assert "prices" not in facts


@pytest.mark.parametrize(
    ("base_url", "model"),
    [
        (PERPLEXITY, "sonar-deep-research"),  # reasoning and citation tokens have prices of their own
        (OPENAI, "gpt-image-1"),  # image tokens as well
        (OPENAI, "whisper-1"),  # by the hour
        (OPENAI, "omni-moderation-latest"),  # says nothing; that is not free
    ],
)
def test_a_price_that_rates_cannot_express_is_unknown(catalog: Catalog, base_url: str, model: str) -> None:
    assert prices(catalog, base_url, model) is None


def test_no_fact_is_without_a_source(catalog: Catalog) -> None:
    facts = catalog.lookup("openai", OPENAI, "gpt-5-2025-08-07", TODAY)
    assert len(facts) == 14
    assert all(fact.source for fact in facts.values())
    assert all(fact.observed_at for name, fact in facts.items() if name != "prices")


def test_importing_and_missing_cost_no_heavy_import() -> None:
    """Registries of local models alone never pay for the price list and the pydantic that comes with it."""
    program = (
        "import sys; from datetime import date; from pointsman.catalog import Catalog\n"
        "Catalog().lookup('openai', 'http://127.0.0.1:9100/v1', 'gpt-4o', date(2026, 1, 1))\n"
        "print([name for name in ('genai_prices', 'pydantic', 'yaml') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
