"""A public fact about a model, with who says so and when."""

from __future__ import annotations

from typing import Any

import msgspec

FILE = "file"
"""Source of what a registry file says itself."""


class Fact(msgspec.Struct, frozen=True, gc=False):
    """`value` as the document holds it. `source` is a URL, a package with its version, or `file`.

    `observed_at` is the ISO date at which somebody looked; empty for what the file says.
    """

    value: Any
    source: str
    observed_at: str = ""
