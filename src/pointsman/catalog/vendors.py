"""Whose host a base URL names. Facts are about what a vendor serves from its own host, and nothing else."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from urllib.parse import urlsplit

_HTTPS = (None, 443)

VENDORS: Mapping[str, str] = MappingProxyType(
    {
        "api.anthropic.com": "anthropic",
        "api.arcee.ai": "arcee",
        "api.avian.io": "avian",
        "api.cerebras.ai": "cerebras",
        "api.cohere.ai": "cohere",
        "api.cohere.com": "cohere",
        "api.deepseek.com": "deepseek",
        "api.fireworks.ai": "fireworks",
        "api.groq.com": "groq",
        "api.minimax.io": "minimax",
        "api.mistral.ai": "mistral",
        "api.moonshot.ai": "moonshotai",
        "api.novita.ai": "novita",
        "api.openai.com": "openai",
        "api.perplexity.ai": "perplexity",
        "api.together.ai": "together",
        "api.together.xyz": "together",
        "api.x.ai": "x-ai",
        "api.z.ai": "zai",
        "generativelanguage.googleapis.com": "google",
        "inference.baseten.co": "baseten",
        "openrouter.ai": "openrouter",
    }
)
"""Host to vendor, spelled as genai-prices and models.json spell it. A vendor's regional hosts are left out on purpose:
some charge more there."""


def vendor_of(base_url: str) -> str | None:
    """The vendor whose own host this is; None for any other host, another scheme or another port."""
    try:
        parts = urlsplit(base_url)
        port = parts.port
    except ValueError:
        return None
    if parts.scheme != "https" or port not in _HTTPS:
        return None
    return VENDORS.get(parts.hostname or "")
