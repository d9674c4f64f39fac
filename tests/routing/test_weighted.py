"""The weighted strategy gives each candidate its share, in the first place and in the fallbacks."""

from __future__ import annotations

import math
import random
from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pointsman.core.decision import Numbering, Plan, Terms
from pointsman.core.policy import OnFailure, Strategy
from pointsman.routing.strategies import Order, order_of, weighted


class Candidate:
    """All that a strategy knows of a target: which one it is."""

    def __init__(self, name: str) -> None:
        self.name = name


def plan_of(weights: dict[str, int]) -> Plan:
    candidates = tuple(Candidate(name) for name in weights)
    return Plan("p", candidates, tuple(weights.values()), Terms(), OnFailure(), None, Numbering())


def drawn(order: Order, plan: Plan, kept: str | None = None) -> str:
    """The names in the order of one draw."""
    left: list[Any] = [c for c in plan.candidates if kept is None or c.name in kept]
    return "".join(candidate.name for candidate in order(left, plan))


def shares(weights: dict[str, int], kept: str | None = None, draws: int = 20_000) -> Counter[str]:
    """How often each order came out."""
    order, plan = weighted(random.Random(11).random), plan_of(weights)
    return Counter(drawn(order, plan, kept) for _ in range(draws))


def close(count: int, share: float, draws: int = 20_000) -> bool:
    """Within four standard deviations of the share: the seed is fixed, so this never flickers."""
    return abs(count - share * draws) <= 4 * math.sqrt(draws * share * (1 - share))


@pytest.mark.parametrize(
    "weights",
    [{"a": 1, "b": 1}, {"a": 9, "b": 1}, {"a": 1, "b": 2, "c": 3}, {"a": 95, "b": 4, "c": 1}, {"a": 0, "b": 3}],
)
def test_the_first_place_goes_by_weight(weights: dict[str, int]) -> None:
    firsts: Counter[str] = Counter()
    for order, count in shares(weights).items():
        firsts[order[0]] += count
    for name, weight in weights.items():
        assert close(firsts[name], weight / sum(weights.values()))


def test_two_equal_targets_get_half_each_and_each_is_the_others_fallback() -> None:
    seen = shares({"a": 1, "b": 1})
    assert set(seen) == {"ab", "ba"}
    assert close(seen["ab"], 0.5)


def test_fallbacks_are_drawn_by_weight_among_those_that_remain() -> None:
    """A draw without replacement: P(a then b) = 1/6 · 2/5."""
    seen = shares({"a": 1, "b": 2, "c": 3})
    total = 6
    weights = {"a": 1, "b": 2, "c": 3}
    assert len(seen) == 6
    for order, count in seen.items():
        first, second = weights[order[0]], weights[order[1]]
        assert close(count, first / total * second / (total - first))


def test_shares_of_what_is_kept_do_not_depend_on_what_was_dropped() -> None:
    seen = shares({"a": 1, "b": 70, "c": 3}, kept="ac")
    assert set(seen) == {"ac", "ca"}
    assert close(seen["ca"], 3 / 4)


@pytest.mark.parametrize(
    ("weights", "orders"),
    [
        ({"a": 0, "b": 1, "c": 0, "d": 0}, {"bacd"}),
        ({"a": 0, "b": 0, "c": 0}, {"abc"}),
        ({"a": 0, "b": 1, "c": 1}, {"bca", "cba"}),
    ],
)
def test_weight_zero_comes_last_in_the_order_of_the_policy(weights: dict[str, int], orders: set[str]) -> None:
    assert set(shares(weights, draws=500)) == orders


@pytest.mark.parametrize("point", [0.0, 0.5, 1 - 2**-53])
def test_the_ends_of_the_scale_choose_nobody_without_weight(point: float) -> None:
    for weights in ({"a": 0, "b": 1, "c": 0}, {"a": 0, "b": 10**12 + 1, "c": 3, "d": 0}):
        assert drawn(weighted(lambda: point), plan_of(weights))[0] in "bc"
        assert drawn(weighted(lambda: point), plan_of(weights))[-1] in "acd"


@given(st.lists(st.integers(0, 1000), min_size=1, max_size=8), st.integers(0, 2**32))
def test_everybody_is_drawn_once_and_the_list_given_is_left_alone(weights: list[int], seed: int) -> None:
    plan = plan_of({f"t{n}": weight for n, weight in enumerate(weights)})
    kept = list(plan.candidates)
    order = weighted(random.Random(seed).random)(kept, plan)
    assert sorted(map(id, order)) == sorted(map(id, plan.candidates))
    assert kept == list(plan.candidates)
    zero = [plan.weights[plan.candidates.index(target)] == 0 for target in order]
    assert zero == sorted(zero)


def test_every_strategy_has_its_function_and_priority_needs_none() -> None:
    assert {strategy: order_of(strategy) is None for strategy in Strategy} == {
        Strategy.PRIORITY: True,
        Strategy.WEIGHTED: False,
    }
