"""The document that a good file becomes: callers, allow sets, and one hash for one registry."""

from __future__ import annotations

import random
from typing import Any

import msgspec
import pytest

from pointsman.core.capability import TOOLS
from pointsman.core.document import document_hash
from pointsman.core.policy import RETRYABLE_BY_DEFAULT, FailureKind, Strategy
from pointsman.registry.problem import Findings
from pointsman.registry.reading import read
from tests.registry.making import GOOD, HASH, OTHER_HASH, compiled, problems, said

T = "providers: {n: {family: openai}}\ntargets: {'n:a': {}, 'n:b': {}}\n"


def test_everything_of_the_good_file_arrives() -> None:
    document = compiled(GOOD).document
    assert [spec.name for spec in document.providers] == ["home", "near"]
    assert document.providers[1].credential == "env:NEAR_KEY"
    assert [(alias.name, alias.target) for alias in document.aliases] == [("big", "near:big-2026-01-01")]
    policies = {policy.name: policy for policy in document.policies}
    assert policies["regulated"].require.capabilities == TOOLS
    assert policies["regulated"].on_failure.on == (FailureKind.TIMEOUT, FailureKind.NETWORK)
    assert policies["split"].strategy is Strategy.WEIGHTED
    assert [candidate.weight for candidate in policies["split"].candidates] == [3, 1]
    assert policies["split"].on_failure.on == RETRYABLE_BY_DEFAULT
    assert {w.name: w.policy for w in document.workflows}["support-answer"] == "regulated"
    assert document.unregistered is not None
    assert document.unregistered.provider == "home"


def test_names_nobody_registered_are_refused_unless_the_file_says_otherwise() -> None:
    assert compiled(T).document.unregistered is None


def keys(*allows: str) -> str:
    return (
        f"{T}aliases: {{x: 'n:a'}}\n".replace("'n:a': {}", "'n:a': {state: approved, prices: free}")
        + "keys:\n"
        + ("".join(f"  - {{name: k{i}, hash: 'sha256:{i:064x}', allow: {allow}}}\n" for i, allow in enumerate(allows)))
    )


def test_keys_that_may_use_the_same_names_share_one_set() -> None:
    document = compiled(keys("[x]", "[x, 'n:b']", "[x, x]", "all", "[]", "[x]")).document
    assert document.allow_sets == (("x",), ("x", "n:b"), ())
    assert [key.allow for key in document.keys] == [0, 1, 0, None, 2, 0]


def test_a_key_may_be_allowed_aliases_targets_and_workflows_and_nothing_else() -> None:
    assert said(problems(keys("[x, 'n:a', y]"))) == [("dangling_reference", 5)]
    assert said(problems(keys("[all]"))) == [("dangling_reference", 5)]


def test_one_set_that_many_keys_share_is_told_for_each_of_them() -> None:
    assert said(problems(keys("[y]", "[x]", "[y]"))) == [("dangling_reference", 5), ("dangling_reference", 7)]


def test_an_allowed_name_whose_entry_is_broken_is_not_called_unknown() -> None:
    text = keys("[x, 'n:b']").replace("'n:b': {}", "'n:b': {tier: cheap}")
    assert said(problems(text)) == [("unknown_word", 2)]


def test_policies_and_providers_have_name_spaces_of_their_own() -> None:
    text = (
        "providers: {x: {family: openai}}\ntargets: {'x:x': {state: approved, prices: free}}\n"
        "policies: {x: {candidates: ['x:x']}}\nworkflows: {x: {policy: x}}\n"
        f"keys: [{{name: x, hash: 'sha256:{HASH}', allow: [x]}}]\n"
    )
    assert problems(text) == ()


def shuffled(value: Any, rng: random.Random) -> Any:
    """The same value with the keys of every mapping in another order."""
    if isinstance(value, dict):
        items = [(key, shuffled(item, rng)) for key, item in value.items()]
        rng.shuffle(items)
        return dict(items)
    return [shuffled(item, rng) for item in value] if isinstance(value, list) else value


@pytest.mark.parametrize("seed", range(10))
def test_the_order_of_keys_in_mappings_does_not_change_the_hash(seed: int) -> None:
    plain = read(GOOD.replace("family: openai,", "family: openai, headers: {x-a: b, x-c: d},"), Findings())
    text = msgspec.json.encode(shuffled(plain, random.Random(seed)))
    assert document_hash(compiled(text).document) == document_hash(compiled(msgspec.json.encode(plain)).document)


def test_the_same_file_has_the_same_hash() -> None:
    assert document_hash(compiled(GOOD).document) == document_hash(compiled(GOOD).document)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (
            "candidates: [near:big-2026-01-01, near:small-2026-01-01]",
            "candidates: [near:small-2026-01-01, near:big-2026-01-01]",
        ),
        ("input: 0.0375", "input: 0.0376"),
        ("weight: 3", "weight: 2"),
        (OTHER_HASH, "0" * 64),
        ("observe: home", "observe: near"),
    ],
)
def test_what_means_something_else_has_another_hash(old: str, new: str) -> None:
    assert old in GOOD
    assert document_hash(compiled(GOOD.replace(old, new)).document) != document_hash(compiled(GOOD).document)


def test_words_for_people_are_not_published() -> None:
    spoken = GOOD.replace("    tier: economy", "    tier: economy\n    owner: support\n    notes: cheap")
    assert spoken != GOOD
    assert document_hash(compiled(spoken).document) == document_hash(compiled(GOOD).document)
