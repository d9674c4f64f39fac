"""How eligible candidates are ordered. A strategy is a pure function over what `decide` has kept.

None stands for the policy's own order (`priority`): the fastest strategy is the one that does nothing.
"""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any

from pointsman.core.decision import Plan
from pointsman.core.policy import Strategy

Order = Callable[[list[Any], Plan], list[Any]]


def weighted(rng: Callable[[], float] = random.random) -> Order:
    """Draw without replacement, each draw in proportion to the weights of what is left.

    The first place therefore gets its exact share among the eligible candidates, and so does each fallback among
    those that remain. Candidates of weight 0 come last, in the order of the policy.
    """

    def order(kept: list[Any], plan: Plan) -> list[Any]:
        weight_of = dict(zip(map(id, plan.candidates), plan.weights, strict=True))
        left = list(kept)
        drawn: list[Any] = []
        while left:
            total = sum(weight_of[id(t)] for t in left)
            if not total:
                return drawn + left
            point = rng() * total
            chosen = left[0]
            for target in left:
                weight = weight_of[id(target)]
                if weight:
                    chosen = target
                    point -= weight
                    if point < 0:
                        break
            left.remove(chosen)
            drawn.append(chosen)
        return drawn

    return order


def order_of(strategy: Strategy) -> Order | None:
    """The function of a strategy; None keeps the order of the policy."""
    return STRATEGIES[strategy]


STRATEGIES: dict[Strategy, Order | None] = {
    Strategy.PRIORITY: None,
    Strategy.WEIGHTED: weighted(),
}
