"""Vendors for a first registry file: the variable that holds their key, their address, and a target or two.

Ids are dated ones where a vendor has them. Prices are given only where the catalog has none to give.
"""

from __future__ import annotations

import msgspec


class StarterTarget(msgspec.Struct, frozen=True):
    """A model to begin with. `lines` go into its entry as they stand; `note` is said above it."""

    model: str
    tier: str
    lines: tuple[str, ...] = ()
    note: str = ""


class Starter(msgspec.Struct, frozen=True):
    """A vendor that speaks OpenAI. `base_url` empty: the address of the family. Its best target comes first."""

    variable: str
    provider: str
    targets: tuple[StarterTarget, ...]
    base_url: str = ""


LOCAL_URL = "http://127.0.0.1:9100/v1"
LOCAL_MODEL = "smollm2-135m-instruct"

STARTERS: tuple[Starter, ...] = (
    Starter(
        "OPENAI_API_KEY",
        "openai",
        (StarterTarget("gpt-5.4-2026-03-05", "premium"), StarterTarget("gpt-5.4-mini-2026-03-17", "economy")),
    ),
    Starter(
        "GEMINI_API_KEY",
        "google",
        (StarterTarget("gemini-3.5-flash", "standard"), StarterTarget("gemini-3.1-flash-lite", "economy")),
        "https://generativelanguage.googleapis.com/v1beta/openai",
    ),
    Starter(
        "MISTRAL_API_KEY",
        "mistral",
        (StarterTarget("mistral-large-2512", "premium"), StarterTarget("mistral-small-2603", "economy")),
        "https://api.mistral.ai/v1",
    ),
    Starter(
        "XAI_API_KEY",
        "xai",
        (
            StarterTarget("grok-4.20-0309-reasoning", "premium"),
            StarterTarget("grok-4.20-0309-non-reasoning", "standard"),
        ),
        "https://api.x.ai/v1",
    ),
    Starter(
        "DEEPSEEK_API_KEY",
        "deepseek",
        (
            StarterTarget(
                "deepseek-v4-pro",
                "standard",
                ("prices: {input: 1.32, cached_input: 0.044, output: 3.96}",),
                "DeepSeek's prices change with the hour: these are the dearest of the day, so costs are never too low.",
            ),
        ),
        "https://api.deepseek.com/v1",
    ),
    Starter(
        "GROQ_API_KEY",
        "groq",
        (StarterTarget("openai/gpt-oss-120b", "standard"), StarterTarget("openai/gpt-oss-20b", "economy")),
        "https://api.groq.com/openai/v1",
    ),
    Starter("CEREBRAS_API_KEY", "cerebras", (StarterTarget("gpt-oss-120b", "standard"),), "https://api.cerebras.ai/v1"),
    Starter(
        "TOGETHER_API_KEY",
        "together",
        (StarterTarget("openai/gpt-oss-120b", "standard"),),
        "https://api.together.xyz/v1",
    ),
    Starter(
        "FIREWORKS_API_KEY",
        "fireworks",
        (
            StarterTarget("accounts/fireworks/models/gpt-oss-120b", "standard"),
            StarterTarget("accounts/fireworks/models/gpt-oss-20b", "economy"),
        ),
        "https://api.fireworks.ai/inference/v1",
    ),
    Starter(
        "OPENROUTER_API_KEY",
        "openrouter",
        (StarterTarget("openai/gpt-oss-120b", "standard"),),
        "https://openrouter.ai/api/v1",
    ),
)

LATER: tuple[str, ...] = ("ANTHROPIC_API_KEY", "AZURE_OPENAI_API_KEY", "COHERE_API_KEY")
"""Keys of vendors whose families this version cannot call yet; named so that nobody looks for them in vain."""
