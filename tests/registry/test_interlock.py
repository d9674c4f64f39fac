"""A registry in which a request could reach a target that its policy forbids does not compile."""

from __future__ import annotations

import pytest

from tests.registry.making import doubts, problems
from tests.registry.test_problems import INTERLOCK_CODES

FILE = """\
providers: {{near: {{family: openai}}}}
targets:
  near:main:
    {{state: approved, prices: free, tags: [a, b], tier: premium, context_window: 1000, max_output: 100,
    capabilities: {{tools: yes, reasoning: yes}}}}
  near:odd: {odd}
policies:
  p: {{candidates: [near:main, near:odd], {policy}}}
workflows:
  w: {{policy: p, {workflow}}}
"""
FREE = "state: approved, prices: free"

REQUIREMENTS = [
    ("tags: [a]", f"{{{FREE}}}", "missing_tag", "lacks the tag a"),
    ("tags: [a, b]", f"{{{FREE}, tags: [a]}}", "missing_tag", "lacks the tag b"),
    ("tiers: [premium]", f"{{{FREE}, tier: economy}}", "tier_not_allowed", "not allowed: economy"),
    ("tiers: [premium]", f"{{{FREE}}}", "tier_not_allowed", "not allowed: no tier"),
    ("capabilities: [tools]", f"{{{FREE}, capabilities: {{tools: no}}}}", "lacks_capability", "known to lack tools"),
    (
        "capabilities: [tools, reasoning], unknown_capabilities: deny",
        f"{{{FREE}, capabilities: {{tools: yes}}}}",
        "unknown_capability",
        "may lack (nobody has said) reasoning",
    ),
    ("context_window: 500", f"{{{FREE}, context_window: 499}}", "context_too_small", "499 tokens"),
    (
        "context_window: 500, unknown_capabilities: deny",
        f"{{{FREE}}}",
        "context_too_small",
        "nobody has said how large its context window is",
    ),
    ("max_output: 50", f"{{{FREE}, max_output: 49}}", "max_output_too_small", "49 tokens"),
    (
        "max_output: 50, unknown_capabilities: deny",
        f"{{{FREE}}}",
        "max_output_too_small",
        "nobody has said how much it can write",
    ),
]
STATES = [
    ("{state: draft}", "not_approved", "it is draft"),
    ("{state: suspended, prices: free}", "not_approved", "it is suspended"),
    ("{state: rejected}", "not_approved", "it is rejected"),
    ("{state: retired}", "retired", "is retired"),
    (f"{{{FREE}, retires_at: 2026-05-01}}", "retired", "is retired"),
]


def found(odd: str, policy: str = "", workflow: str = "") -> list[tuple[str, str, str]]:
    told = problems(FILE.format(odd=odd, policy=policy, workflow=workflow))
    return [(problem.code, problem.where, problem.message) for problem in told]


@pytest.mark.parametrize(("require", "odd", "code", "words"), REQUIREMENTS)
def test_a_candidate_that_breaks_its_policy_is_refused_with_the_path(
    require: str, odd: str, code: str, words: str
) -> None:
    ((told, where, message),) = found(odd, policy=f"require: {{{require}}}")
    assert (told, where) == (code, "policies.p.candidates[1]")
    assert message.startswith("workflow w → policy p → candidate near:odd: ")
    assert words in message


@pytest.mark.parametrize(("require", "odd", "code", "words"), REQUIREMENTS)
def test_a_candidate_that_breaks_its_workflow_is_refused_with_the_path(
    require: str, odd: str, code: str, words: str
) -> None:
    ((told, where, message),) = found(odd, workflow=f"require: {{{require}}}")
    assert (told, where) == (code, "workflows.w.require")
    assert message.startswith("workflow w → policy p → candidate near:odd: ")
    assert words in message


@pytest.mark.parametrize(("require", "odd", "code", "words"), REQUIREMENTS)
def test_what_the_policy_breaks_already_is_not_said_again_for_the_workflow(
    require: str, odd: str, code: str, words: str
) -> None:
    told = found(odd, policy=f"require: {{{require}}}", workflow=f"require: {{{require}}}")
    assert [one[:2] for one in told] == [(code, "policies.p.candidates[1]")]
    assert words in told[0][2]


@pytest.mark.parametrize(("odd", "code", "words"), STATES)
def test_a_candidate_that_is_not_approved_or_retired_is_refused(odd: str, code: str, words: str) -> None:
    told = [one for one in found(odd) if one[1].startswith("policies")]
    assert [one[:2] for one in told] == [(code, "policies.p.candidates[1]")]
    assert words in told[0][2]


@pytest.mark.parametrize(("odd", "code", "words"), STATES)
def test_an_alias_to_a_target_that_is_not_approved_or_retired_is_refused(odd: str, code: str, words: str) -> None:
    text = FILE.format(odd=odd, policy="", workflow="").replace(", near:odd]", "]")
    told = [one for one in problems(text + "aliases:\n  x: near:odd\n") if one.where == "aliases.x"]
    assert [(one.code, one.line) for one in told] == [(code, 12)]
    assert told[0].message.startswith("alias x → target near:odd: ")
    assert words in told[0].message


def test_a_candidate_without_a_price_is_refused_with_the_path() -> None:
    told = [one for one in found("{state: approved}") if one[1].startswith("policies")]
    assert told == [
        ("no_price", "policies.p.candidates[1]", "workflow w → policy p → candidate near:odd: has no price")
    ]


def test_all_that_is_wrong_with_one_candidate_is_told() -> None:
    require = (
        "tags: [a], tiers: [premium], capabilities: [tools, reasoning], unknown_capabilities: deny, "
        "context_window: 500, max_output: 50"
    )
    odd = "{state: draft, tier: economy, capabilities: {tools: no}, context_window: 4, max_output: 4}"
    assert {one[0] for one in found(odd, policy=f"require: {{{require}}}")} == {
        "not_approved",
        "missing_tag",
        "tier_not_allowed",
        "lacks_capability",
        "unknown_capability",
        "context_too_small",
        "max_output_too_small",
    }


def test_a_policy_of_another_task_is_refused() -> None:
    told = found(f"{{{FREE}}}", policy="require: {task: embedding}")
    assert [one[:2] for one in told] == [
        ("wrong_task", "policies.p.candidates[0]"),
        ("wrong_task", "policies.p.candidates[1]"),
    ]


def test_candidates_of_different_tasks_are_refused() -> None:
    told = found(f"{{{FREE}, task: embedding}}")
    assert [one[:2] for one in told] == [("mixed_tasks", "policies.p")]
    assert "near:main does chat, near:odd does embedding" in told[0][2]


def test_requirements_that_contradict_each_other_let_nobody_pass() -> None:
    told = found(f"{{{FREE}, tier: premium}}", "require: {tiers: [premium]}", "require: {tiers: [economy]}")
    assert [one[:2] for one in told] == [("tier_not_allowed", "workflows.w.require")] * 2
    told = found(f"{{{FREE}}}", "require: {task: chat}", "require: {task: embedding}")
    assert [one[:2] for one in told] == [("wrong_task", "workflows.w.require")] * 2


FLOWS = [
    # strategy, fallback, flows of the first and of the second candidate → places refused
    ("priority", True, "primary, fallback", "primary, fallback", []),
    ("priority", True, "primary", "fallback", []),
    ("priority", True, "fallback", "fallback", [0]),
    ("priority", True, "primary", "primary", [1]),
    ("priority", True, "primary", "judge", [1]),
    ("priority", False, "primary", "primary", []),
    ("priority", False, "primary", "fallback", [1]),
    ("weighted", True, "primary, fallback", "primary, fallback", []),
    ("weighted", True, "primary", "primary, fallback", [0]),
    ("weighted", True, "primary, fallback", "fallback", [1]),
    ("weighted", True, "mirror", "judge", [0, 1]),
    ("weighted", False, "primary", "primary", []),
    ("weighted", False, "primary", "fallback", [1]),
]


@pytest.mark.parametrize(("strategy", "fallback", "first", "second", "refused"), FLOWS)
def test_a_candidate_is_eligible_for_each_place_it_can_come_to(
    strategy: str, fallback: bool, first: str, second: str, refused: list[int]
) -> None:
    text = f"""\
providers: {{near: {{family: openai}}}}
targets:
  near:one: {{{FREE}, participates: [{first}]}}
  near:two: {{{FREE}, participates: [{second}]}}
policies:
  p:
    candidates: [near:one, near:two]
    strategy: {strategy}
    on_failure: {{fallback: {str(fallback).lower()}}}
"""
    told = [(one.code, one.where) for one in problems(text)]
    assert told == [("flow_not_allowed", f"policies.p.candidates[{place}]") for place in refused]


def test_an_only_candidate_has_to_be_eligible_as_primary() -> None:
    text = FILE.format(odd=f"{{{FREE}, participates: [FLOW]}}", policy="", workflow="").replace("near:main, ", "")
    assert [one.code for one in problems(text.replace("FLOW", "fallback"))] == ["flow_not_allowed"]
    assert problems(text.replace("FLOW", "primary")) == ()


def test_an_alias_leads_to_a_target_that_can_come_first() -> None:
    """A call of an alias has one candidate and no fallback: a target for fallbacks alone would never answer it."""
    text = f"providers: {{n: {{family: openai}}}}\ntargets: {{'n:a': {{{FREE}, participates: [fallback]}}}}\n"
    assert [one.code for one in problems(text + "aliases: {x: 'n:a'}")] == ["flow_not_allowed"]


def test_a_policy_that_nobody_uses_is_proved_too() -> None:
    text = FILE.format(odd="{state: draft}", policy="", workflow="").partition("workflows:")[0]
    (told,) = problems(text)
    assert told.message.startswith("policy p → candidate near:odd: ")


def test_a_path_says_how_many_workflows_take_it() -> None:
    text = FILE.format(odd="{state: draft}", policy="", workflow="") + "  v: {policy: p}\n  u: {policy: p}\n"
    (told,) = problems(text)
    assert told.message.startswith("workflow u and 2 more → policy p → ")


def test_workflows_that_ask_for_the_same_are_each_told_at_their_own_line() -> None:
    text = FILE.format(odd=f"{{{FREE}, tags: [a]}}", policy="", workflow="require: {tags: [b]}")
    told = problems(text + "  v: {policy: p, require: {tags: [b]}}\n")
    assert [(one.code, one.where, one.line) for one in told] == [
        ("missing_tag", "workflows.w.require", 10),
        ("missing_tag", "workflows.v.require", 11),
    ]


def test_a_doubt_about_a_capability_is_told_for_policies_and_workflows() -> None:
    asked = "require: {capabilities: [tools]}"
    for policy, workflow, where in ((asked, "", "policies.p.candidates[1]"), ("", asked, "workflows.w.require")):
        text = FILE.format(odd=f"{{{FREE}}}", policy=policy, workflow=workflow)
        assert problems(text) == ()
        assert [(one.code, one.where) for one in doubts(text)] == [("unknown_capability_allowed", where)]


def test_every_code_of_the_interlock_is_provoked_here() -> None:
    here = {code for _, _, code, _ in REQUIREMENTS} | {code for _, code, _ in STATES}
    assert here | {"wrong_task", "mixed_tasks", "flow_not_allowed"} == INTERLOCK_CODES
