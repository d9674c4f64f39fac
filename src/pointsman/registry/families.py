"""The wire families a provider may belong to: rows, not branches."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import msgspec


class Family(msgspec.Struct, frozen=True):
    """How a family is reached when the file does not say. `base_url` None: the file has to say."""

    base_url: str | None = None


FAMILIES: Mapping[str, Family] = MappingProxyType({"openai": Family(base_url="https://api.openai.com/v1")})
"""Families this version can call. A vendor that speaks one of them needs its base_url and nothing else."""

LATER_FAMILIES = ("anthropic", "gemini", "bedrock", "vertex", "azure")
"""Families of the design that this version cannot call yet; named so that the refusal can say so."""
