"""The table of provider families. A new family is one file here and one line below."""

from __future__ import annotations

from pointsman.providers import openai
from pointsman.providers.contract import Family

FAMILIES: dict[str, Family] = {
    openai.name: openai,
}
