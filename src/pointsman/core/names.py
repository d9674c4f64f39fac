"""Names: what may be called by what, and what was probably meant."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._/@+-]{0,127}")
"""Form of a provider, alias, policy, workflow or key name. Target names add `:` and the model id."""

MODEL_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,255}")
"""Form of a provider's model id."""

_MANY = 100
"""Names that are compared letter by letter at most (about 25 µs each): a mistyped name must not hold up other calls."""


def near_matches(name: str, known: Iterable[str], limit: int = 3) -> list[str]:
    """Up to `limit` known names that `name` was probably meant to be, best first. Case makes no difference.

    Large registries are first narrowed to names that begin alike or are about as long.
    """
    wanted = name.casefold()
    by_folded = {k.casefold(): k for k in known}
    close = difflib.get_close_matches(wanted, _narrowed(wanted, list(by_folded)), n=limit, cutoff=0.6)
    return [by_folded[folded] for folded in close]


def _narrowed(wanted: str, known: list[str]) -> list[str]:
    """At most `_MANY` of the names: those that share a long beginning with `wanted`, a shorter one, or its length."""
    if len(known) <= _MANY:
        return known
    for letters in (len(wanted) * 2 // 3, len(wanted) // 3, 3):
        pool = [k for k in known if k.startswith(wanted[:letters])]
        if pool:
            return pool[:_MANY]
    return [k for k in known if abs(len(k) - len(wanted)) <= 1][:_MANY]
