"""Names: what may be called by what, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]{0,127}")
"""Form of a provider, alias, policy, workflow or key name. Target names add `:` and the model id."""

MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}")
"""Form of a provider's model id."""

_MANY = 2000


def near_matches(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` known names that `name` was probably meant to be, best first.

    Very large registries are narrowed to names that share the first letters, so that a mistyped name stays cheap.
    """
    pool = list(known)
    if len(pool) > _MANY:
        start = name[:3].casefold()
        pool = [k for k in pool if k[:3].casefold() == start][:_MANY]
    return difflib.get_close_matches(name, pool, n=limit, cutoff=0.6)
