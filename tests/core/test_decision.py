"""Why a target may serve or not, one rule at a time. The whole is held against an oracle in test_decision_property."""

from __future__ import annotations

from typing import Any

import pytest

from pointsman.core import capability as cap
from pointsman.core.capability import Task
from pointsman.core.decision import NO_TASK, Condition, Numbering, Reason, terms_of
from pointsman.core.need import Need
from pointsman.core.policy import Requirements, UnknownCapabilities
from pointsman.core.target import ApprovalState, Flow, Lifecycle, Tier
from tests.core.making import NOW, Yard, decided, names, reasons, spec

DENY = UnknownCapabilities.DENY

REFUSED: list[tuple[str, dict[str, Any], dict[str, Any], Need, Reason, str]] = [
    ("draft", {"state": ApprovalState.DRAFT}, {}, Need(), Reason.NOT_APPROVED, "draft"),
    ("proposed", {"state": ApprovalState.PROPOSED}, {}, Need(), Reason.NOT_APPROVED, "proposed"),
    ("suspended", {"state": ApprovalState.SUSPENDED}, {}, Need(), Reason.NOT_APPROVED, "suspended"),
    ("rejected", {"state": ApprovalState.REJECTED}, {}, Need(), Reason.NOT_APPROVED, "rejected"),
    ("retired by us", {"state": ApprovalState.RETIRED}, {}, Need(), Reason.RETIRED, ""),
    ("retired by the provider", {"lifecycle": Lifecycle.RETIRED}, {}, Need(), Reason.RETIRED, ""),
    ("end date is now", {"retires_at": int(NOW)}, {}, Need(), Reason.RETIRED, ""),
    ("end date long past", {"retires_at": 1}, {}, Need(), Reason.RETIRED, ""),
    ("retired beats unapproved", {"state": ApprovalState.DRAFT, "retires_at": 1}, {}, Need(), Reason.RETIRED, ""),
    ("embeds, asked to chat", {"task": Task.EMBEDDING}, {}, Need(), Reason.WRONG_TASK, "embedding"),
    ("chats, asked to embed", {}, {}, Need(Task.EMBEDDING), Reason.WRONG_TASK, "chat"),
    ("policy of other work", {}, {"task": Task.EMBEDDING}, Need(), Reason.WRONG_TASK, "chat"),
    ("no tags", {}, {"tags": ("eu", "ok")}, Need(), Reason.MISSING_TAG, "eu, ok"),
    ("one of two tags", {"tags": ("eu",)}, {"tags": ("eu", "ok")}, Need(), Reason.MISSING_TAG, "ok"),
    ("wrong tier", {"tier": Tier.ECONOMY}, {"tiers": (Tier.PREMIUM,)}, Need(), Reason.TIER_NOT_ALLOWED, "economy"),
    ("no tier", {}, {"tiers": (Tier.PREMIUM,)}, Need(), Reason.TIER_NOT_ALLOWED, "no tier"),
    ("cannot", {"capabilities": cap.STREAMING}, {}, Need(capabilities=cap.TOOLS), Reason.LACKS_CAPABILITY, "tools"),
    (
        "names only what is amiss",
        {"capabilities": cap.TOOLS},
        {"capabilities": cap.JSON_SCHEMA},
        Need(capabilities=cap.TOOLS | cap.IMAGE_INPUT),
        Reason.LACKS_CAPABILITY,
        "json_schema, image_input",
    ),
    (
        "unknown, denied",
        {"capabilities": 0, "unknown": cap.TOOLS},
        {"unknown_capabilities": DENY},
        Need(capabilities=cap.TOOLS),
        Reason.UNKNOWN_CAPABILITY,
        "tools",
    ),
    (
        "a known no beats an unknown",
        {"capabilities": 0, "unknown": cap.TOOLS},
        {"unknown_capabilities": DENY},
        Need(capabilities=cap.TOOLS | cap.AUDIO_INPUT),
        Reason.LACKS_CAPABILITY,
        "audio_input",
    ),
    (
        "input and output exceed the window by one",
        {"context_window": 1000},
        {},
        Need(input_tokens=901, max_output=100),
        Reason.CONTEXT_TOO_SMALL,
        "1000 tokens",
    ),
    (
        "window below the policy's",
        {"context_window": 1000},
        {"context_window": 1001},
        Need(),
        Reason.CONTEXT_TOO_SMALL,
        "1000 tokens",
    ),
    (
        "window required, unknown and denied",
        {},
        {"context_window": 1, "unknown_capabilities": DENY},
        Need(),
        Reason.CONTEXT_TOO_SMALL,
        "unknown",
    ),
    (
        "output beyond the limit by one",
        {"max_output": 100},
        {},
        Need(max_output=101),
        Reason.MAX_OUTPUT_TOO_SMALL,
        "100 tokens",
    ),
    (
        "limit below the policy's",
        {"max_output": 100},
        {"max_output": 101},
        Need(),
        Reason.MAX_OUTPUT_TOO_SMALL,
        "100 tokens",
    ),
    (
        "limit required, unknown and denied",
        {},
        {"max_output": 1, "unknown_capabilities": DENY},
        Need(),
        Reason.MAX_OUTPUT_TOO_SMALL,
        "unknown",
    ),
]


@pytest.mark.parametrize(
    ("facts", "require", "need", "reason", "detail"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED]
)
def test_a_target_is_refused(
    facts: dict[str, Any], require: dict[str, Any], need: Need, reason: Reason, detail: str
) -> None:
    yard = Yard()
    plan = yard.plan(yard.target(spec(**facts)), require=(Requirements(**require),))
    decision = decided(plan, need)
    assert decision.order == []
    assert reasons(decision) == {"sim:a": (reason, detail)}


ALLOWED: list[tuple[str, dict[str, Any], dict[str, Any], Need]] = [
    ("ends in a second", {"retires_at": int(NOW) + 1}, {}, Need()),
    ("deprecated still serves", {"lifecycle": Lifecycle.DEPRECATED}, {}, Need()),
    ("more tags than required", {"tags": ("a", "b")}, {"tags": ("b",)}, Need()),
    ("one of the tiers", {"tier": Tier.ECONOMY}, {"tiers": (Tier.PREMIUM, Tier.ECONOMY)}, Need()),
    ("unknown, allowed", {"capabilities": 0, "unknown": cap.TOOLS}, {}, Need(capabilities=cap.TOOLS)),
    ("unknown but not needed", {"capabilities": 0, "unknown": 0xFF}, {"unknown_capabilities": DENY}, Need()),
    ("just fits the window", {"context_window": 1000}, {}, Need(input_tokens=900, max_output=100)),
    ("window of the policy's size", {"context_window": 1000}, {"context_window": 1000}, Need()),
    ("unknown window", {}, {"context_window": 10**6}, Need(input_tokens=10**7)),
    (
        "a window that nobody requires may be unknown",
        {},
        {"unknown_capabilities": DENY},
        Need(input_tokens=9, max_output=9),
    ),
    ("output at the limit", {"max_output": 100}, {"max_output": 100}, Need(max_output=100)),
    ("the same work twice", {"task": Task.EMBEDDING}, {"task": Task.EMBEDDING}, Need(Task.EMBEDDING)),
]


@pytest.mark.parametrize(("facts", "require", "need"), [row[1:] for row in ALLOWED], ids=[row[0] for row in ALLOWED])
def test_a_target_may_serve(facts: dict[str, Any], require: dict[str, Any], need: Need) -> None:
    yard = Yard()
    decision = decided(yard.plan(yard.target(spec(**facts)), require=(Requirements(**require),)), need)
    assert names(decision) == ["sim:a"]
    assert decision.dropped == ()


def test_a_target_without_its_secret_is_refused_and_says_so() -> None:
    yard = Yard()
    decision = decided(yard.plan(yard.target(spec(), credentialed=False)))
    assert reasons(decision) == {"sim:a": ("credential_missing", "")}


@pytest.mark.parametrize(
    ("providers", "tags", "expected"),
    [
        ((), (), None),
        (("sim",), (), None),
        (("other", "sim"), ("eu",), None),
        (("other",), (), ("key_provider", "")),
        (("nobody-has-this",), (), ("key_provider", "")),
        ((), ("eu", "gold"), ("key_tag", "gold")),
        (("other",), ("gold",), ("key_provider", "")),
    ],
)
def test_the_rights_of_a_key_hold(
    providers: tuple[str, ...], tags: tuple[str, ...], expected: tuple[str, str] | None
) -> None:
    yard = Yard()
    decision = decided(yard.plan(yard.target(spec(tags=("eu",)))), rights=yard.rights(providers, tags))
    assert reasons(decision) == ({} if expected is None else {"sim:a": expected})


PRIMARY, FALLBACK, MIRROR = (Flow.PRIMARY,), (Flow.FALLBACK,), (Flow.MIRROR,)
BOTH = (Flow.PRIMARY, Flow.FALLBACK)


@pytest.mark.parametrize(
    ("flows", "fallback", "order", "head", "dropped"),
    [
        ([BOTH, BOTH], True, "ab", Flow.PRIMARY, {}),
        ([BOTH, BOTH], False, "a", Flow.PRIMARY, {"b": "fallback_off"}),
        ([FALLBACK, BOTH], True, "ba", Flow.PRIMARY, {}),
        ([FALLBACK, PRIMARY], False, "b", Flow.PRIMARY, {"a": "fallback_off"}),
        ([PRIMARY, PRIMARY], True, "a", Flow.PRIMARY, {"b": "flow_not_allowed"}),
        ([PRIMARY, PRIMARY], False, "a", Flow.PRIMARY, {"b": "flow_not_allowed"}),
        ([FALLBACK, FALLBACK], True, "ab", Flow.FALLBACK, {}),
        ([FALLBACK], True, "a", Flow.FALLBACK, {}),
        ([FALLBACK], False, "", None, {"a": "fallback_off"}),
        ([MIRROR], True, "", None, {"a": "flow_not_allowed"}),
        ([MIRROR, FALLBACK], True, "b", Flow.FALLBACK, {"a": "flow_not_allowed"}),
        ([PRIMARY], False, "a", Flow.PRIMARY, {}),
        ([()], True, "", None, {"a": "flow_not_allowed"}),
    ],
)
def test_places_go_to_targets_of_the_right_flow(
    flows: list[tuple[Flow, ...]], fallback: bool, order: str, head: Flow | None, dropped: dict[str, str]
) -> None:
    yard = Yard()
    targets = [yard.target(spec(name, participates=flow)) for name, flow in zip("ab", flows, strict=False)]
    decision = decided(yard.plan(*targets, fallback=fallback))
    assert "".join(names(decision)) == order
    assert {name: reason for name, (reason, _) in reasons(decision).items()} == dropped
    if head is not None:
        assert decision.head_flow is head


OPEN, COOLING, DOWN = Condition.OPEN, Condition.COOLING_DOWN, Condition.DOWN


@pytest.mark.parametrize(
    ("flows", "conditions", "fallback", "order", "dropped"),
    [
        ([BOTH, BOTH], [DOWN, OPEN], True, "b", {"a": "down"}),
        ([BOTH, BOTH], [DOWN, DOWN], True, "", {"a": "down", "b": "down"}),
        ([BOTH, BOTH], [COOLING, OPEN], True, "b", {"a": "cooling_down"}),
        ([BOTH, BOTH], [COOLING, COOLING], True, "ab", {}),
        ([BOTH, BOTH], [COOLING, DOWN], True, "a", {"b": "down"}),
        ([PRIMARY, FALLBACK], [COOLING, OPEN], True, "b", {"a": "cooling_down"}),
        ([PRIMARY, FALLBACK], [COOLING, OPEN], False, "a", {"b": "fallback_off"}),
        ([PRIMARY, MIRROR], [COOLING, OPEN], True, "a", {"b": "flow_not_allowed"}),
        ([BOTH, MIRROR], [DOWN, COOLING], True, "", {"a": "down", "b": "flow_not_allowed"}),
    ],
)
def test_health_decides_last(
    flows: list[tuple[Flow, ...]], conditions: list[Condition], fallback: bool, order: str, dropped: dict[str, str]
) -> None:
    """A target that is down never serves; a cooling one serves when no well one has a place."""
    yard = Yard()
    targets = [
        yard.target(spec(name, participates=flow), condition)
        for name, flow, condition in zip("ab", flows, conditions, strict=True)
    ]
    decision = decided(yard.plan(*targets, fallback=fallback))
    assert "".join(names(decision)) == order
    assert {name: reason for name, (reason, _) in reasons(decision).items()} == dropped


def test_a_strategy_orders_what_is_kept_and_nothing_else() -> None:
    yard = Yard()
    a, b, c = (yard.target(spec(name), OPEN if name != "b" else DOWN) for name in "abc")
    seen: list[list[str]] = []

    def backwards(kept: list[Any], plan: object) -> list[Any]:
        seen.append([target.clearance.name for target in kept])
        return kept[::-1]

    plan = yard.plan(a, b, c)
    plan = type(plan)(plan.policy, plan.candidates, plan.weights, plan.terms, plan.on_failure, backwards, plan.tags)
    assert names(decided(plan)) == ["c", "a"]
    assert seen == [["a", "c"]]


def test_requirements_that_hold_together_are_the_strictest_of_each() -> None:
    tags = Numbering()
    terms = terms_of(
        tags,
        Requirements(tags=("a",), capabilities=cap.TOOLS, tiers=(Tier.PREMIUM, Tier.STANDARD), context_window=10),
        Requirements(tags=("b",), capabilities=cap.STREAMING, tiers=(Tier.STANDARD,), max_output=5, task=Task.CHAT),
        Requirements(unknown_capabilities=DENY, context_window=7),
    )
    assert tags.words(terms.tags) == "a, b"
    assert terms.capabilities == cap.TOOLS | cap.STREAMING
    assert terms.deny_unknown
    assert (terms.tiers, terms.task, terms.context_window, terms.max_output) == ((Tier.STANDARD,), Task.CHAT, 10, 5)


def test_requirements_that_contradict_each_other_let_nothing_pass() -> None:
    """An empty set of allowed tiers is not the same as any tier."""
    tiers = (Requirements(tiers=(Tier.PREMIUM,)), Requirements(tiers=(Tier.ECONOMY,)), Requirements(tiers=()))
    assert terms_of(Numbering(), *tiers).tiers == ()
    assert terms_of(Numbering(), Requirements()).tiers is None
    tasks = (Requirements(task=Task.CHAT), Requirements(task=Task.EMBEDDING))
    assert terms_of(Numbering(), *tasks).task == NO_TASK
    yard = Yard()
    premium = yard.target(spec(tier=Tier.PREMIUM))
    assert reasons(decided(yard.plan(premium, require=tiers))) == {"sim:a": ("tier_not_allowed", "premium")}
    assert reasons(decided(yard.plan(premium, require=tasks))) == {"sim:a": ("wrong_task", "chat")}


def test_every_reason_is_tried_here() -> None:
    tried = {row[4] for row in REFUSED} | {
        Reason.CREDENTIAL_MISSING,
        Reason.KEY_PROVIDER,
        Reason.KEY_TAG,
        Reason.FLOW_NOT_ALLOWED,
        Reason.FALLBACK_OFF,
        Reason.DOWN,
        Reason.COOLING_DOWN,
    }
    assert tried == set(Reason)


def test_more_tags_than_a_machine_word_has_bits() -> None:
    yard = Yard()
    many = tuple(f"t{i}" for i in range(300))
    decision = decided(yard.plan(yard.target(spec(tags=many[:-1])), require=(Requirements(tags=many),)))
    assert reasons(decision) == {"sim:a": ("missing_tag", "t299")}
