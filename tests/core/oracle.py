"""What the design says about who may serve, written plainly: sets and ifs over the specs, no masks, no shortcuts.

It shares no code with `core.decision`. The two are held against each other by test_decision_property.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from pointsman.core.capability import CAPABILITIES
from pointsman.core.need import Need
from pointsman.core.policy import Requirements
from pointsman.core.target import TargetSpec

WELL, COOLING, DOWN = "well", "cooling", "down"


class Case(msgspec.Struct, frozen=True):
    """Everything a decision depends on. `conditions` and `secrets` (can its credential be had) go with `targets`."""

    targets: tuple[TargetSpec, ...]
    conditions: tuple[str, ...]
    secrets: tuple[bool, ...]
    requires: tuple[Requirements, ...]
    fallback: bool
    key_providers: tuple[str, ...]
    key_tags: tuple[str, ...]
    need: Need
    unix_now: float


def names_of(mask: int) -> set[str]:
    """Capability names of a stored mask."""
    return {name for place, name in enumerate(CAPABILITIES) if mask & 2**place}


def breaks(target: TargetSpec, secret: bool, case: Case) -> str | None:
    """The first rule of the reason table that the target breaks, health and flows aside."""
    if target.state == "retired" or target.lifecycle == "retired":
        return "retired"
    if target.retires_at is not None and target.retires_at <= case.unix_now:
        return "retired"
    if target.state != "approved":
        return "not_approved"
    if not secret:
        return "credential_missing"
    if target.task != case.need.task:
        return "wrong_task"
    if any(require.task is not None and require.task != target.task for require in case.requires):
        return "wrong_task"
    if any(tag not in target.tags for require in case.requires for tag in require.tags):
        return "missing_tag"
    if any(require.tiers and target.tier not in require.tiers for require in case.requires):
        return "tier_not_allowed"
    if case.key_providers and target.provider not in case.key_providers:
        return "key_provider"
    if any(tag not in target.tags for tag in case.key_tags):
        return "key_tag"
    return _cannot(target, case) or _too_small(target, case)


def _cannot(target: TargetSpec, case: Case) -> str | None:
    wanted = names_of(case.need.capabilities)
    for require in case.requires:
        wanted |= names_of(require.capabilities)
    able, unknown = names_of(target.capabilities), names_of(target.unknown)
    if wanted - able - unknown:
        return "lacks_capability"
    if wanted - able and denies_unknown(case):
        return "unknown_capability"
    return None


def _too_small(target: TargetSpec, case: Case) -> str | None:
    for reason, limit, asked, required in (
        (
            "context_too_small",
            target.context_window,
            case.need.input_tokens + case.need.max_output,
            [require.context_window for require in case.requires],
        ),
        (
            "max_output_too_small",
            target.max_output,
            case.need.max_output,
            [require.max_output for require in case.requires],
        ),
    ):
        for least in required:
            if least and limit is None and denies_unknown(case):
                return reason
            if least and limit is not None and limit < least:
                return reason
        if limit is not None and asked > limit:
            return reason
    return None


def denies_unknown(case: Case) -> bool:
    """Whether any of the requirements refuses what nobody has stated."""
    return any(require.unknown_capabilities == "deny" for require in case.requires)


class Verdict(msgspec.Struct):
    """What must come out: the order, the flow of its head, and the reason for everyone else."""

    order: list[str]
    head_flow: str
    dropped: dict[str, str]


def verdict(case: Case) -> Verdict:
    """The decision, for a policy that keeps its own order."""
    dropped: dict[str, str] = {}
    well: list[TargetSpec] = []
    cooling: list[TargetSpec] = []
    for target, condition, secret in zip(case.targets, case.conditions, case.secrets, strict=True):
        broken = breaks(target, secret, case)
        if broken is not None:
            dropped[target.name] = broken
        elif condition == DOWN:
            dropped[target.name] = "down"
        else:
            (cooling if condition == COOLING else well).append(target)
    order = _places(well, case.fallback)
    if order:
        dropped |= {target.name: "cooling_down" for target in cooling}
        waiting = well
    else:
        order = _places(cooling, case.fallback)
        waiting = well + cooling
    served = {target.name for target in order}
    for target in waiting:
        if target.name not in served:
            dropped[target.name] = "fallback_off" if "fallback" in target.participates else "flow_not_allowed"
    reached = "primary" if order and "primary" in order[0].participates else "fallback"
    return Verdict([target.name for target in order], reached, dropped)


def _places(targets: Sequence[TargetSpec], fallback: bool) -> list[TargetSpec]:
    """First a primary (or, with none, a fallback), then the fallbacks."""
    first = next((target for target in targets if "primary" in target.participates), None)
    later = [target for target in targets if target is not first and "fallback" in target.participates]
    if not fallback:
        later = []
    return later if first is None else [first, *later]
