"""What the admin API says of targets, policies and workflows."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.control.shapes import iso
from pointsman.core.capability import CAPABILITIES, capability_names
from pointsman.core.money import Prices, Rates, format_usd
from pointsman.core.policy import PolicySpec, Requirements, WorkflowSpec
from pointsman.core.target import TargetSpec


class TargetView(msgspec.Struct, frozen=True):
    """A target with its facts. `facts` says of each where it comes from and when it was read."""

    name: str
    provider: str
    model: str
    task: str
    state: str
    lifecycle: str
    retires_at: str | None
    tier: str | None
    tags: tuple[str, ...]
    participates: tuple[str, ...]
    capabilities: dict[str, str]
    context_window: int | None
    max_output: int | None
    floating: bool
    usd_per_million: dict[str, str] | None
    prices_source: str
    prices_as_of: str
    facts: Any = None


class TargetList(msgspec.Struct, frozen=True):
    """The targets of a revision, in the order of its file."""

    revision: int
    targets: list[TargetView]


def capability_words(spec: TargetSpec) -> dict[str, str]:
    """Each capability as yes, no or unknown."""
    words = {}
    for i, name in enumerate(CAPABILITIES):
        words[name] = "yes" if spec.capabilities >> i & 1 else "unknown" if spec.unknown >> i & 1 else "no"
    return words


def _rates(rates: Rates) -> dict[str, str]:
    said = msgspec.structs.asdict(rates)
    return {name: format_usd(value) for name, value in said.items() if value is not None}


def _prices(prices: Prices | None) -> dict[str, str] | None:
    if prices is None:
        return None
    said = _rates(prices.base)
    for tier in prices.tiers:
        said.update({f"{name}_over_{tier.over}": value for name, value in _rates(tier.rates).items()})
    return said


def target_view(spec: TargetSpec, facts: Any = None) -> TargetView:
    """As the API says it."""
    return TargetView(
        spec.name,
        spec.provider,
        spec.model,
        str(spec.task),
        str(spec.state),
        str(spec.lifecycle),
        None if spec.retires_at is None else iso(spec.retires_at * 10**9),
        None if spec.tier is None else str(spec.tier),
        spec.tags,
        tuple(map(str, spec.participates)),
        capability_words(spec),
        spec.context_window,
        spec.max_output,
        spec.floating,
        _prices(spec.prices),
        spec.prices.source if spec.prices else "",
        spec.prices.as_of if spec.prices else "",
        facts,
    )


class RequireView(msgspec.Struct, frozen=True, omit_defaults=True):
    """Requirements in words."""

    tags: tuple[str, ...] = ()
    capabilities: tuple[str, ...] = ()
    unknown_capabilities: str = ""
    tiers: tuple[str, ...] = ()
    task: str | None = None
    context_window: int | None = None
    max_output: int | None = None


def require_view(require: Requirements) -> RequireView:
    """As the API says it."""
    return RequireView(
        require.tags,
        capability_names(require.capabilities),
        str(require.unknown_capabilities),
        tuple(map(str, require.tiers)),
        None if require.task is None else str(require.task),
        require.context_window,
        require.max_output,
    )


class CandidateView(msgspec.Struct, frozen=True):
    """A candidate of a policy."""

    target: str
    weight: int


class PolicyView(msgspec.Struct, frozen=True):
    """A policy."""

    name: str
    strategy: str
    candidates: list[CandidateView]
    require: RequireView
    retry: int
    fallback: bool
    on: tuple[str, ...]


class PolicyList(msgspec.Struct, frozen=True):
    """The policies of a revision."""

    revision: int
    policies: list[PolicyView]


def policy_view(spec: PolicySpec) -> PolicyView:
    """As the API says it."""
    return PolicyView(
        spec.name,
        str(spec.strategy),
        [CandidateView(c.target, c.weight) for c in spec.candidates],
        require_view(spec.require),
        spec.on_failure.retry,
        spec.on_failure.fallback,
        tuple(map(str, spec.on_failure.on)),
    )


class WorkflowView(msgspec.Struct, frozen=True):
    """A workflow."""

    name: str
    policy: str
    owner: str
    require: RequireView
    evaluators: tuple[str, ...]


class WorkflowList(msgspec.Struct, frozen=True):
    """The workflows of a revision."""

    revision: int
    workflows: list[WorkflowView]


def workflow_view(spec: WorkflowSpec) -> WorkflowView:
    """As the API says it."""
    return WorkflowView(spec.name, spec.policy, spec.owner, require_view(spec.require), spec.evaluators)
