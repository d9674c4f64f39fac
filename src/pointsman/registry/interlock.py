"""The interlock: a registry in which a request could reach a target that its policy forbids does not compile.

The proof uses `core.decision.refusal`, the very function that every attempt goes through later.
"""

from __future__ import annotations

import msgspec

from pointsman.core.capability import capability_names
from pointsman.core.decision import (
    Clearance,
    Numbering,
    Reason,
    Rights,
    Terms,
    clearance_of,
    refusal,
    terms_of,
    wording,
)
from pointsman.core.document import Document
from pointsman.core.need import Need
from pointsman.core.policy import PolicySpec, Requirements, Strategy
from pointsman.core.target import FALLBACK_BIT, PRIMARY_BIT, ApprovalState
from pointsman.registry.problem import Findings, Path

_MENDS: dict[Reason, str] = {
    Reason.NOT_APPROVED: "approve the target (`state: approved`), or take it out of the policy",
    Reason.RETIRED: "replace it in the policy by a target that is not retired",
    Reason.WRONG_TASK: "a policy's candidates must all do its task; use another policy for other work",
    Reason.MISSING_TAG: "choose another candidate, or have people decide to give the target the tag",
    Reason.TIER_NOT_ALLOWED: "choose a candidate of an allowed tier, or widen `require: {tiers: …}`",
    Reason.LACKS_CAPABILITY: "choose a candidate that can, or drop the requirement",
    Reason.UNKNOWN_CAPABILITY: "state it under the target's `capabilities:` once you know, or allow unknown ones",
    Reason.CONTEXT_TOO_SMALL: "choose a candidate with a larger window, or state its `context_window`",
    Reason.MAX_OUTPUT_TOO_SMALL: "choose a candidate with a larger output, or state its `max_output`",
}


class Interlock:
    """Checks one document. Problems and warnings go to `findings`."""

    def __init__(self, document: Document, findings: Findings, unix_now: float) -> None:
        self._document = document
        self._findings = findings
        self._now = unix_now
        self._tags = Numbering()
        providers = Numbering()
        self._clearances = {spec.name: clearance_of(spec, self._tags, providers) for spec in document.targets}
        self._policies = {spec.name: spec for spec in document.policies}

    def check(self) -> None:
        """Prove every way a request can take."""
        users: dict[str, list[str]] = {}
        for workflow in self._document.workflows:
            users.setdefault(workflow.policy, []).append(workflow.name)
        for policy in self._document.policies:
            self._policy(policy, users.get(policy.name, []))
        for workflow in self._document.workflows:
            if workflow.require != Requirements():
                self._workflow(workflow.name, self._policies[workflow.policy], workflow.require)
        for alias in self._document.aliases:
            self._alias(alias.name, alias.target)

    def _policy(self, policy: PolicySpec, users: list[str]) -> None:
        way = f"policy {policy.name}"
        if users:
            more = f" and {len(users) - 1} more" if len(users) > 1 else ""
            way = f"workflow {users[0]}{more} → {way}"
        path: Path = ("policies", policy.name)
        if not policy.candidates:
            return
        for index, candidate in enumerate(policy.candidates):
            place = (*path, "candidates", index)
            clearance = self._clearances.get(candidate.target)
            if clearance is not None:
                self._candidate(clearance, (policy.require,), f"{way} → candidate {clearance.name}", place)
        self._tasks(policy, way, path)
        self._flows(policy, way, path)

    def _workflow(self, name: str, policy: PolicySpec, require: Requirements) -> None:
        """A workflow's own requirements, where the policy alone does not already break them."""
        path: Path = ("workflows", name, "require")
        for candidate in policy.candidates:
            clearance = self._clearances.get(candidate.target)
            if clearance is not None:
                alone = self._reasons(clearance, (policy.require,))
                way = f"workflow {name} → policy {policy.name} → candidate {clearance.name}"
                self._candidate(clearance, (policy.require, require), way, path, known=alone)

    def _candidate(
        self,
        clearance: Clearance,
        requirements: tuple[Requirements, ...],
        way: str,
        path: Path,
        known: dict[Reason, str] | None = None,
    ) -> None:
        for reason, detail in self._reasons(clearance, requirements).items():
            if known is None or known.get(reason) != detail:
                said = f"{way}: {_said(reason, detail)}"
                self._findings.problem(reason, path, said, _MENDS[reason])
        terms = terms_of(self._tags, *requirements)
        if clearance.state is ApprovalState.APPROVED and not clearance.price_known:
            self._findings.problem(
                "no_price", path, f"{way}: has no price", "add `prices:` to the target, or take it out of the policy"
            )
        doubtful = terms.capabilities & clearance.unknown
        if doubtful and not terms.deny_unknown and known is None:
            self._findings.warning(
                "unknown_capability_allowed",
                path,
                f"{way}: nobody has said whether it has {', '.join(capability_names(doubtful))}",
                "state it under the target's `capabilities:`, or set `unknown_capabilities: deny`",
            )

    def _reasons(self, clearance: Clearance, requirements: tuple[Requirements, ...]) -> dict[Reason, str]:
        """Every reason for which the decision would refuse this candidate, and not only the first."""
        terms = terms_of(self._tags, *requirements)
        need = Need(clearance.task)
        fit = msgspec.structs.replace(clearance, servable=True, retires_at=None)
        found: dict[Reason, str] = {}
        for target, asked in (
            (clearance, Terms()),
            (fit, Terms(task=terms.task)),
            (fit, Terms(tags=terms.tags)),
            (fit, Terms(tiers=terms.tiers)),
            (fit, Terms(capabilities=terms.capabilities, deny_unknown=terms.deny_unknown)),
            (fit, Terms(context_window=terms.context_window, deny_unknown=terms.deny_unknown)),
            (fit, Terms(max_output=terms.max_output, deny_unknown=terms.deny_unknown)),
        ):
            why = refusal(target, asked, need, Rights(), self._now)
            if why is not None:
                found[why[0]] = wording(target, why, self._tags)
        return found

    def _tasks(self, policy: PolicySpec, way: str, path: Path) -> None:
        tasks = {self._clearances[c.target].task: c.target for c in policy.candidates if c.target in self._clearances}
        if len(tasks) > 1:
            said = ", ".join(f"{target} does {task}" for task, target in tasks.items())
            self._findings.problem(
                "mixed_tasks", path, f"{way}: its candidates do different work: {said}", "make a policy for each task"
            )

    def _flows(self, policy: PolicySpec, way: str, path: Path) -> None:
        """Every candidate must be eligible for each place that it can come to stand in."""
        count = len(policy.candidates)
        for index, candidate in enumerate(policy.candidates):
            clearance = self._clearances.get(candidate.target)
            if clearance is None:
                continue
            needed: list[str] = []
            may_be_first = index == 0 or policy.strategy is not Strategy.PRIORITY or not policy.on_failure.fallback
            if may_be_first and not clearance.flows & PRIMARY_BIT:
                needed.append("primary")
            may_be_later = policy.on_failure.fallback and count > 1
            may_be_later = may_be_later and (index > 0 or policy.strategy is not Strategy.PRIORITY)
            if may_be_later and not clearance.flows & FALLBACK_BIT:
                needed.append("fallback")
            if needed:
                self._findings.problem(
                    Reason.FLOW_NOT_ALLOWED,
                    (*path, "candidates", index),
                    f"{way} → candidate {clearance.name}: is not eligible as {' or '.join(needed)}",
                    "add the flow to the target's `participates:`, or take it out of the policy",
                )

    def _alias(self, name: str, target: str) -> None:
        clearance = self._clearances[target]
        for reason, detail in self._reasons(clearance, ()).items():
            self._findings.problem(
                reason, ("aliases", name), f"alias {name} → target {target}: {_said(reason, detail)}", _MENDS[reason]
            )


_WORDS: dict[Reason, str] = {
    Reason.NOT_APPROVED: "is not approved, it is",
    Reason.RETIRED: "is retired",
    Reason.WRONG_TASK: "does the wrong task:",
    Reason.MISSING_TAG: "lacks the tag",
    Reason.TIER_NOT_ALLOWED: "is of a tier that is not allowed:",
    Reason.LACKS_CAPABILITY: "is known to lack",
    Reason.UNKNOWN_CAPABILITY: "may lack (nobody has said)",
    Reason.CONTEXT_TOO_SMALL: "has too small a context window:",
    Reason.MAX_OUTPUT_TOO_SMALL: "has too small an output limit:",
}


def _said(reason: Reason, detail: str) -> str:
    return f"{_WORDS[reason]} {detail}".rstrip()
