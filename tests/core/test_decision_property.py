"""For random registries, policies, keys, requests and outages: nobody serves who may not, and all are accounted for.

The judge is `tests.core.oracle`, which knows nothing of masks. Cases are drawn by a seed, each rule broken by few of
the candidates: with evenly drawn facts nearly all would fail the first rule, and the later ones would never be reached.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from pointsman.core.capability import ALL_CAPABILITIES, Task
from pointsman.core.decision import Condition, Decision, Plan, Reason
from pointsman.core.need import Need
from pointsman.core.policy import Requirements, UnknownCapabilities
from pointsman.core.target import ApprovalState, Flow, Lifecycle, TargetSpec, Tier
from pointsman.routing.strategies import weighted
from tests.core import oracle
from tests.core.making import NOW, Yard, decided, names, reasons

CONDITIONS = {oracle.WELL: Condition.OPEN, oracle.COOLING: Condition.COOLING_DOWN, oracle.DOWN: Condition.DOWN}
PROVIDERS = ("north", "south", "east")
TAGS = ("regulated-ok", "final-answer", "eu-only", "internal")
LIMITS = (None, 100, 1000, 1001)
FLOWS: list[tuple[Flow, ...]] = [
    (Flow.PRIMARY, Flow.FALLBACK),
    (Flow.PRIMARY, Flow.FALLBACK, Flow.MIRROR),
    (Flow.PRIMARY,),
    (Flow.FALLBACK,),
    (Flow.MIRROR, Flow.JUDGE),
]


class Draw:
    """Random facts, most of them harmless."""

    def __init__(self, rng: random.Random) -> None:
        self.rng = rng

    def mostly(self, usual: Any, others: Sequence[Any], odd: float = 0.1) -> Any:
        return self.rng.choice(others) if self.rng.random() < odd else usual

    def bits(self, each: float) -> int:
        return sum(1 << bit for bit in range(8) if self.rng.random() < each)

    def some(self, words: tuple[str, ...], each: float) -> tuple[str, ...]:
        return tuple(word for word in words if self.rng.random() < each)

    def target(self, index: int) -> TargetSpec:
        provider = self.rng.choice(PROVIDERS)
        able = ALL_CAPABILITIES & ~self.bits(0.15)
        return TargetSpec(
            name=f"{provider}:m{index}",
            provider=provider,
            model=f"m{index}",
            task=self.mostly(Task.CHAT, [Task.EMBEDDING], 0.05),
            state=self.mostly(ApprovalState.APPROVED, list(ApprovalState)),
            lifecycle=self.mostly(Lifecycle.ACTIVE, list(Lifecycle)),
            retires_at=self.mostly(None, [int(NOW) - 1, int(NOW), int(NOW) + 1]),
            tier=self.mostly(Tier.PREMIUM, [None, *Tier], 0.4),
            tags=self.some(TAGS, 0.85),
            participates=self.mostly(FLOWS[0], FLOWS, 0.6),
            capabilities=able,
            unknown=self.bits(0.5) & ~able,
            context_window=self.rng.choice(LIMITS),
            max_output=self.rng.choice(LIMITS),
        )

    def requirements(self) -> Requirements:
        return Requirements(
            tags=self.some(TAGS, 0.15),
            capabilities=self.bits(0.1),
            unknown_capabilities=self.rng.choice(list(UnknownCapabilities)),
            tiers=self.mostly((), [(Tier.PREMIUM,), (Tier.ECONOMY,), (Tier.PREMIUM, Tier.STANDARD)], 0.4),
            task=self.mostly(None, list(Task), 0.2),
            context_window=self.mostly(None, [100, 1000], 0.3),
            max_output=self.mostly(None, [100, 1000], 0.2),
        )

    def case(self, count: int) -> oracle.Case:
        return oracle.Case(
            targets=tuple(self.target(index) for index in range(count)),
            conditions=tuple(self.mostly(oracle.WELL, list(CONDITIONS), 0.5) for _ in range(count)),
            secrets=tuple(self.mostly(True, [False], 0.05) for _ in range(count)),
            requires=tuple(self.requirements() for _ in range(self.rng.randrange(3))),
            fallback=self.rng.random() < 0.6,
            key_providers=self.mostly((), [PROVIDERS[:1], PROVIDERS[:2], ("west",)], 0.4),
            key_tags=self.some(TAGS, 0.05),
            need=Need(
                task=self.mostly(Task.CHAT, [Task.EMBEDDING], 0.05),
                capabilities=self.bits(0.1),
                input_tokens=self.mostly(0, [1, 900, 1000], 0.4),
                max_output=self.mostly(0, [1, 100, 101], 0.4),
            ),
            unix_now=NOW,
        )


cases = st.builds(lambda seed, count: Draw(random.Random(seed)).case(count), st.integers(0, 2**63), st.integers(1, 5))


def decide_by_masks(case: oracle.Case, order: Any = None, weights: tuple[int, ...] | None = None) -> Decision:
    """The decision of the product for a case."""
    yard = Yard()
    running = [
        yard.target(target, CONDITIONS[condition], credentialed=secret)
        for target, condition, secret in zip(case.targets, case.conditions, case.secrets, strict=True)
    ]
    plain = yard.plan(*running, require=case.requires, fallback=case.fallback)
    weights = weights or plain.weights
    plan = Plan(plain.policy, plain.candidates, weights, plain.terms, plain.on_failure, order, plain.tags)
    return decided(plan, case.need, yard.rights(case.key_providers, case.key_tags))


RANDOM = settings(max_examples=1000, deadline=None)


@RANDOM
@given(cases)
def test_the_decision_is_what_the_design_says(case: oracle.Case) -> None:
    decision = decide_by_masks(case)
    expected = oracle.verdict(case)
    assert names(decision) == expected.order
    assert {name: reason for name, (reason, _) in reasons(decision).items()} == expected.dropped
    if expected.order:
        assert decision.head_flow == expected.head_flow


@RANDOM
@given(cases, st.integers(0, 2**63))
def test_nobody_serves_who_may_not_and_everybody_is_accounted_for_once(case: oracle.Case, seed: int) -> None:
    """Whatever order a strategy gives: the places hold, and order and dropped together are the candidates."""
    rng = random.Random(seed)
    weights = tuple(rng.choice([0, 1, 5]) for _ in case.targets)
    decision = decide_by_masks(case, weighted(rng.random), weights)
    by_name = {t.name: (t, c, s) for t, c, s in zip(case.targets, case.conditions, case.secrets, strict=True)}
    accounted = Counter([*names(decision), *(dropped.target for dropped in decision.dropped)])
    assert accounted == Counter(list(by_name))
    for place, name in enumerate(names(decision)):
        target, condition, secret = by_name[name]
        assert oracle.breaks(target, secret, case) is None
        assert condition != oracle.DOWN
        if place or decision.head_flow is Flow.FALLBACK:
            assert case.fallback
            assert "fallback" in target.participates
        else:
            assert "primary" in target.participates
    assert bool(decision.order) == bool(oracle.verdict(case).order)


def test_the_random_cases_reach_every_rule_and_every_length_of_order() -> None:
    """A judge is worth as much as what comes before him: no rule may go untried."""
    seen: Counter[str] = Counter()
    rng = random.Random(7)
    for _ in range(1000):
        verdict = oracle.verdict(Draw(rng).case(rng.randint(1, 5)))
        seen.update(set(verdict.dropped.values()))
        seen[f"order of {len(verdict.order)}"] += 1
        seen[f"head as {verdict.head_flow}"] += bool(verdict.order)
    wanted = [*Reason, *(f"order of {n}" for n in range(4)), "head as primary", "head as fallback"]
    assert {name: seen[name] for name in wanted if seen[name] < 5} == {}
