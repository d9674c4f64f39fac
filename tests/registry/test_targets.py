"""A target's facts: the file before the catalog, three states of a capability, and what approval takes."""

from __future__ import annotations

from typing import get_args

import pytest

from pointsman.core.capability import CAPABILITIES, JSON_SCHEMA, REASONING, STREAMING, TOOLS
from pointsman.core.money import Rates
from pointsman.core.target import ApprovalState, Flow, Lifecycle, TargetSpec
from pointsman.registry.file import CapabilityName
from tests.registry.making import FACTS, GOOD, FakeCatalog, compiled, doubts, problems, said, target, unix

HEAD = "providers: {near: {family: openai}}\ntargets:\n"


def one(entry: str, model: str = "known") -> TargetSpec:
    return target(f"{HEAD}  near:{model}: {entry}\n", f"near:{model}")


def codes(entry: str, model: str = "known") -> list[str]:
    return [problem.code for problem in problems(f"{HEAD}  near:{model}: {entry}\n")]


def test_the_file_knows_the_capabilities_of_the_core() -> None:
    assert get_args(CapabilityName) == CAPABILITIES


def test_what_the_file_does_not_say_comes_from_the_catalog() -> None:
    spec = one("{}")
    assert (spec.context_window, spec.max_output, spec.lifecycle) == (1000, 100, Lifecycle.ACTIVE)
    assert spec.prices is not None
    assert spec.prices.base == Rates(1, 2)


def test_an_entry_may_be_left_empty() -> None:
    assert one("") == one("{}")
    assert one("").state is ApprovalState.DRAFT
    assert one("").participates == (Flow.PRIMARY, Flow.FALLBACK)


def test_what_the_file_says_goes_before_the_catalog_with_its_source() -> None:
    text = f"{HEAD}  near:known: {{max_output: 7, lifecycle: legacy, prices: {{input: 3, output: 4}}}}\n"
    spec = target(text, "near:known")
    assert (spec.context_window, spec.max_output, spec.lifecycle) == (1000, 7, Lifecycle.LEGACY)
    assert spec.prices is not None
    assert spec.prices.base == Rates(3_000_000_000, 4_000_000_000)
    facts = compiled(text).facts["near:known"]
    assert {name: fact.source for name, fact in facts.items()} == {
        "task": "https://facts.example",
        "context_window": "https://facts.example",
        "max_output": "file",
        "lifecycle": "file",
        "prices": "file",
        "capabilities.tools": "https://facts.example",
        "capabilities.json_schema": "https://facts.example",
    }
    assert facts["context_window"].observed_at == "2026-05-01"


@pytest.mark.parametrize(
    ("entry", "yes", "unknown"),
    [
        ("{}", TOOLS, ~(TOOLS | JSON_SCHEMA)),
        ("{capabilities: {tools: no}}", 0, ~(TOOLS | JSON_SCHEMA)),
        ("{capabilities: {tools: false}}", 0, ~(TOOLS | JSON_SCHEMA)),
        ("{capabilities: {tools: unknown}}", 0, ~JSON_SCHEMA),
        ("{capabilities: {json_schema: yes}}", TOOLS | JSON_SCHEMA, ~(TOOLS | JSON_SCHEMA)),
        ("{capabilities: {json_schema: unknown}}", TOOLS, ~TOOLS),
        ("{capabilities: {reasoning: true, streaming: no}}", TOOLS | REASONING, ~(TOOLS | 5 | STREAMING | REASONING)),
    ],
)
def test_a_capability_is_yes_no_or_unknown(entry: str, yes: int, unknown: int) -> None:
    """What nobody has said is unknown, and never no."""
    spec = one(entry)
    assert spec.capabilities == yes
    assert spec.unknown == unknown & (1 << len(CAPABILITIES)) - 1


def test_what_a_vendor_serves_is_asked_of_the_catalog_with_its_address() -> None:
    asked = []

    class Asked(FakeCatalog):
        def lookup(self, *args: object) -> dict[str, object]:  # type: ignore[override]  # only looks at what is asked
            asked.append(args)
            return {}

    compiled("providers: {a: {family: openai}}\ntargets: {'a:x:y': {}}", facts=Asked())
    assert [args[:3] for args in asked] == [("openai", "https://api.openai.com/v1", "x:y")]


@pytest.mark.parametrize(
    ("model", "entry", "found"),
    [
        ("unheard-of", "{state: approved}", ["no_price"]),
        ("unheard-of", "{state: approved, prices: free}", []),
        ("unheard-of", "{state: approved, prices: {input: 0, output: 0}}", []),
        ("input-only", "{state: approved}", ["no_price"]),
        ("input-only", "{state: approved, task: embedding}", []),
        ("known", "{state: approved, prices: {input: 1}}", ["no_price"]),
        ("moving", "{state: approved}", ["floating_id"]),
        ("moving", "{state: approved, floating: false}", ["floating_id"]),
        ("moving", "{state: approved, floating: true}", []),
        ("gone", "{state: approved}", ["retired"]),
        ("ended", "{state: approved}", ["retired"]),
        ("ended", "{state: approved, lifecycle: active}", []),
        ("gone", "{state: approved, retires_at: 2027-01-01}", []),
        ("known", "{state: approved, retires_at: 2026-06-01}", ["retired"]),
        ("known", "{state: approved, retires_at: 2026-06-02}", []),
        ("known", "{state: approved, retires_at: 2026-06-01T00:00:01Z}", []),
        ("known", "{state: approved, lifecycle: retired}", ["retired"]),
        ("known", "{state: approved, lifecycle: deprecated}", []),
    ],
)
def test_what_approval_takes(model: str, entry: str, found: list[str]) -> None:
    assert codes(entry, model) == found


@pytest.mark.parametrize("state", [state for state in ApprovalState if state is not ApprovalState.APPROVED])
@pytest.mark.parametrize("model", ["unheard-of", "moving", "gone", "ended"])
def test_only_approved_targets_are_judged(model: str, state: ApprovalState) -> None:
    assert codes(f"{{state: {state}}}", model) == []


def test_the_flag_of_a_floating_id_is_kept_wherever_it_comes_from() -> None:
    assert one("{state: approved, floating: true}", "moving").floating
    assert one("{floating: true}", "unheard-of").floating
    assert not one("{floating: false}", "unheard-of").floating


def test_a_retirement_says_since_when_and_by_whose_word() -> None:
    (gone,) = problems(f"{HEAD}  near:gone: {{state: approved}}\n")
    assert "since 2026-05-01 (says https://facts.example)" in gone.message
    (ended,) = problems(f"{HEAD}  near:known: {{state: approved, lifecycle: retired, retires_at: 2027-01-01}}\n")
    assert "has retired it (says this file)" in ended.message


def test_the_end_of_a_draft_is_nobodys_worry() -> None:
    assert doubts(f"{HEAD}  near:known: {{retires_at: 2026-06-10}}\n") == ()


def test_a_catalog_cannot_make_a_mistake_in_the_file_look_like_another() -> None:
    """Where the provider is not understood, nothing is said about facts that depend on it."""
    text = "providers: {near: {family: openai, base_url: nonsense}}\ntargets: {near:a: {state: approved}}\n"
    assert said(problems(text)) == [("bad_url", 1)]


def test_facts_are_not_shared_with_the_catalog() -> None:
    before = {model: dict(facts) for model, facts in FACTS.items()}
    compiled(GOOD)
    assert before == FACTS
    assert target(f"{HEAD}  near:known: {{retires_at: 2030-01-01}}\n", "near:known").retires_at == unix(2030, 1, 1)
