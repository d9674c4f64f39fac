"""The interlock: a registry in which a request could reach a target that its policy forbids does not compile.

The proof uses `core.decision.refusal`, the very function that every attempt goes through later.
"""

from __future__ import annotations

from collections.abc import Iterator

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
from pointsman.core.target import FALLBACK_BIT, PRIMARY_BIT
from pointsman.registry.problem import Findings, Path, shown

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
    """Checks one document. Problems and warnings go to `findings`.

    Targets of which only half was understood are passed over: what would be said about them may not be true.
    """

    def __init__(self, document: Document, findings: Findings, unix_now: float) -> None:
        self._document = document
        self._findings = findings
        self._now = unix_now
        self._tags = Numbering()
        providers = Numbering()
        self._clearances = {
            spec.name: clearance_of(spec, self._tags, providers)
            for spec in document.targets
            if not findings.spoilt("targets", spec.name)
        }
        self._policies = {spec.name: spec for spec in document.policies}

    def check(self) -> None:
        """Prove every way a request can take."""
        users: dict[str, list[str]] = {}
        for workflow in self._document.workflows:
            users.setdefault(workflow.policy, []).append(workflow.name)
        for policy in self._document.policies:
            self._policy(policy, users.get(policy.name, []))
        own: dict[tuple[str, Requirements], tuple[_Objection, ...]] = {}
        for workflow in self._document.workflows:
            if workflow.require != Requirements():
                # Workflows often share a policy and ask for the same: that is proved once.
                asked = workflow.policy, workflow.require
                if asked not in own:
                    own[asked] = tuple(self._beside(self._policies[workflow.policy], workflow.require))
                self._workflow(workflow.name, workflow.policy, own[asked])
        for alias in self._document.aliases:
            self._alias(alias.name, alias.target)

    def _policy(self, policy: PolicySpec, users: list[str]) -> None:
        way = f"policy {shown(policy.name)}"
        if users:
            more = f" and {len(users) - 1} more" if len(users) > 1 else ""
            way = f"workflow {shown(users[0])}{more} → {way}"
        path: Path = ("policies", policy.name)
        terms = terms_of(self._tags, policy.require)
        for index, candidate in enumerate(policy.candidates):
            clearance = self._clearances.get(candidate.target)
            if clearance is not None:
                place = (*path, "candidates", index)
                said = f"{way} → candidate {shown(clearance.name)}"
                for objection in self._objections(clearance, terms):
                    self._say(objection, said, place)
                if clearance.servable and not clearance.price_known:
                    self._findings.refuse("no_price", place, f"{said}: has no price", _NO_PRICE)
        self._tasks(policy, way, path)
        if not self._findings.spoilt("policies", policy.name):
            self._flows(policy, way, path)

    def _beside(self, policy: PolicySpec, require: Requirements) -> Iterator[_Objection]:
        """What a workflow's own requirements find beside what the policy's already do."""
        alone = terms_of(self._tags, policy.require)
        both = terms_of(self._tags, policy.require, require)
        for candidate in policy.candidates:
            clearance = self._clearances.get(candidate.target)
            if clearance is not None:
                said = {(o.reason, o.detail) for o in self._objections(clearance, alone)}
                for objection in self._objections(clearance, both):
                    if (objection.reason, objection.detail) not in said:
                        yield objection

    def _workflow(self, name: str, policy: str, objections: tuple[_Objection, ...]) -> None:
        for objection in objections:
            way = f"workflow {shown(name)} → policy {shown(policy)} → candidate {shown(objection.target)}"
            self._say(objection, way, ("workflows", name, "require"))

    def _say(self, objection: _Objection, way: str, path: Path) -> None:
        if objection.reason is None:
            self._findings.warning(
                "unknown_capability_allowed",
                path,
                f"{way}: nobody has said whether it has {objection.detail}",
                "state it under the target's `capabilities:`, or set `unknown_capabilities: deny`",
            )
            return
        reason = objection.reason
        said = f"{way}: {_WORDS[reason]} {objection.detail}".rstrip()
        if objection.detail == "unknown" and reason in _UNSTATED:
            said = f"{way}: {_UNSTATED[reason]}"
        self._findings.refuse(str(reason), path, said, _MENDS[reason])

    def _objections(self, clearance: Clearance, terms: Terms) -> Iterator[_Objection]:
        """Every reason for which the decision would refuse this candidate, and then every doubt."""
        need = Need(clearance.task)
        if refusal(clearance, terms, need, Rights(), self._now) is not None:
            for reason, detail in self._reasons(clearance, terms, need).items():
                yield _Objection(clearance.name, reason, detail)
        doubtful = terms.capabilities & clearance.unknown
        if doubtful and not terms.deny_unknown:
            yield _Objection(clearance.name, None, ", ".join(capability_names(doubtful)))

    def _reasons(self, clearance: Clearance, terms: Terms, need: Need) -> dict[Reason, str]:
        """The decision stops at the first reason; here each requirement is tried alone, so that all are told."""
        fit = msgspec.structs.replace(clearance, servable=True, retires_at=None)
        found: dict[Reason, str] = {}
        for target, asked in (
            (clearance, Terms()),
            (fit, Terms(task=terms.task)),
            (fit, Terms(tags=terms.tags)),
            (fit, Terms(tiers=terms.tiers)),
            (fit, Terms(capabilities=terms.capabilities & clearance.lacking)),
            (fit, Terms(capabilities=terms.capabilities & clearance.unknown, deny_unknown=terms.deny_unknown)),
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
            said = ", ".join(f"{shown(target)} does {task}" for task, target in tasks.items())
            self._findings.refuse(
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
                self._findings.refuse(
                    str(Reason.FLOW_NOT_ALLOWED),
                    (*path, "candidates", index),
                    f"{way} → candidate {shown(clearance.name)}: is not eligible as {' or '.join(needed)}",
                    _FLOW,
                )

    def _alias(self, name: str, target: str) -> None:
        clearance = self._clearances.get(target)
        if clearance is None:
            return
        way, path = f"alias {shown(name)} → target {shown(target)}", ("aliases", name)
        for objection in self._objections(clearance, Terms()):
            self._say(objection, way, path)
        if not clearance.flows & PRIMARY_BIT:
            self._findings.refuse(
                str(Reason.FLOW_NOT_ALLOWED), path, f"{way}: is not eligible as primary, and nothing else can be", _FLOW
            )


class _Objection(msgspec.Struct, frozen=True, gc=False):
    """What speaks against a candidate: a reason and what exactly is amiss. Without a reason it is a doubt."""

    target: str
    reason: Reason | None
    detail: str


_NO_PRICE = "add `prices:` to the target, or take it out of the policy"
_FLOW = "add the flow to the target's `participates:`, or take it out here"
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
_UNSTATED: dict[Reason, str] = {
    Reason.CONTEXT_TOO_SMALL: "nobody has said how large its context window is",
    Reason.MAX_OUTPUT_TOO_SMALL: "nobody has said how much it can write",
}
