"""What a mistyped name was probably meant to be."""

from __future__ import annotations

import time

import pytest

from pointsman.core.names import MODEL_ID, NAME, near_matches

KNOWN = ["support-answer", "support-triage", "gpt-4o", "gpt-4o-mini", "openai:gpt-4o-2024-08-06", "Claude"]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("suport-answer", "support-answer"),
        ("support_triage", "support-triage"),
        ("gtp-4o", "gpt-4o"),
        ("GPT-4O", "gpt-4o"),
        ("claude", "Claude"),
        ("openai:gpt-4o-2024-08-6", "openai:gpt-4o-2024-08-06"),
    ],
)
def test_the_best_match_comes_first(typed: str, first: str) -> None:
    assert near_matches(typed, KNOWN)[0] == first


@pytest.mark.parametrize("typed", ["", "zzz", "∞" * 100])
def test_nothing_is_suggested_for_what_resembles_nothing(typed: str) -> None:
    assert near_matches(typed, KNOWN) == []


def test_no_more_than_asked_for() -> None:
    assert len(near_matches("support", [f"support-{n}" for n in range(9)], limit=2)) == 2


LARGE = [f"openai:gpt-4o-{n:05d}-preview" for n in range(20_000)] + ["support-answer", "gpt-4o"]


@pytest.mark.parametrize(
    ("typed", "first"),
    [
        ("openai:gpt-4o-17777-previw", "openai:gpt-4o-17777-preview"),
        ("support-anwser", "support-answer"),
        ("gtp-4o", "gpt-4o"),
    ],
)
def test_a_large_registry_still_gives_the_match(typed: str, first: str) -> None:
    assert near_matches(typed, LARGE)[0] == first


def test_a_mistyped_name_does_not_hold_up_other_calls() -> None:
    """Comparing all 20,000 names letter by letter would take half a second."""
    start = time.perf_counter()
    near_matches("openai:gpt-4o-x-preview", LARGE)
    assert time.perf_counter() - start < 0.15


@pytest.mark.parametrize("name", ["a", "gpt-4o", "team/app@v1+b_c.d", "A" * 128])
def test_names(name: str) -> None:
    assert NAME.fullmatch(name)
    assert MODEL_ID.fullmatch(name)


@pytest.mark.parametrize("name", ["", "-a", "a b", "a\n", "é", "a:b", "A" * 129, "../x", "a?b"])
def test_what_is_no_name(name: str) -> None:
    assert not NAME.fullmatch(name)


@pytest.mark.parametrize(
    ("model", "fits"), [("llama3:8b", True), ("a" * 256, True), ("a" * 257, False), ("a b", False)]
)
def test_model_ids(model: str, fits: bool) -> None:
    assert bool(MODEL_ID.fullmatch(model)) is fits
