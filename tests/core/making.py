"""Running targets and plans for tests of the decision, made from the same specs that a revision stores."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.decision import (
    Clearance,
    Condition,
    Decision,
    Numbering,
    Plan,
    Rights,
    clearance_of,
    decide,
    terms_of,
)
from pointsman.core.need import Need
from pointsman.core.policy import OnFailure, Requirements
from pointsman.core.target import ApprovalState, TargetSpec

NOW = 1_800_000_000.0
"""The wall clock of these tests, in Unix seconds."""


class Running:
    """A target whose health is whatever a test says. Implements `core.decision.Choosable`."""

    def __init__(self, clearance: Clearance, condition: Condition = Condition.OPEN) -> None:
        self.clearance = clearance
        self._condition = condition

    def condition(self, now: float) -> Condition:
        """The same at any time."""
        return self._condition


def spec(name: str = "sim:a", **facts: Any) -> TargetSpec:
    """An approved target that has every capability unless `facts` say otherwise."""
    facts.setdefault("state", ApprovalState.APPROVED)
    facts.setdefault("capabilities", 0xFF)
    provider, _, model = name.partition(":")
    return TargetSpec(name=name, provider=provider, model=model, **facts)


class Yard:
    """One revision's worth of numbering, with the targets, plans and decisions made of it."""

    def __init__(self) -> None:
        self.tags = Numbering()
        self.providers = Numbering()

    def target(self, facts: TargetSpec, condition: Condition = Condition.OPEN, *, credentialed: bool = True) -> Running:
        """A running target."""
        clearance = clearance_of(facts, self.tags, self.providers)
        if not credentialed:
            clearance = msgspec.structs.replace(clearance, servable=False, credentialed=False)
        return Running(clearance, condition)

    def plan(self, *targets: Running, require: tuple[Requirements, ...] = (), fallback: bool = True) -> Plan:
        """A policy over `targets`, in their order."""
        return Plan(
            policy="p",
            candidates=targets,
            weights=(1,) * len(targets),
            terms=terms_of(self.tags, *require),
            on_failure=OnFailure(fallback=fallback),
            order=None,
            tags=self.tags,
        )

    def rights(self, providers: tuple[str, ...] = (), tags: tuple[str, ...] = ()) -> Rights:
        """What a key may be served by."""
        return Rights(self.providers.mask(providers), self.tags.mask(tags))


def decided(plan: Plan, need: Need | None = None, rights: Rights | None = None) -> Decision:
    """The decision at `NOW`."""
    return decide(plan, need or Need(), rights or Rights(), 0.0, NOW)


def names(decision: Decision) -> list[str]:
    """The order, by name."""
    return [target.clearance.name for target in decision.order]


def reasons(decision: Decision) -> dict[str, tuple[str, str]]:
    """Reason and detail of every dropped candidate."""
    return {dropped.target: (str(dropped.reason), dropped.detail) for dropped in decision.dropped}
