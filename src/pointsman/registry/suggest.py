"""What a mistyped word was probably meant to be, at a bounded price."""

from __future__ import annotations

from collections.abc import Iterable

from pointsman.core.names import near_matches
from pointsman.registry.problem import shown

_BUDGET = 40


class Suggest:
    """Near matches for messages. Only the first few are worked out: a file full of mistakes must stay cheap."""

    def __init__(self) -> None:
        self._left = _BUDGET

    def of(self, name: str, known: Iterable[str], otherwise: str) -> str:
        """A mend: the near matches of `name` among `known`, or `otherwise`."""
        if self._left <= 0 or len(name) > 256:
            return otherwise
        self._left -= 1
        near = near_matches(name, known)
        return (
            f"did you mean {' or '.join(f'`{shown(n)}`' for n in near)}? Otherwise {otherwise}" if near else otherwise
        )
