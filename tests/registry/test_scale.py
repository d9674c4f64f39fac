"""A registry of 10,000 targets, 10,000 workflows and 100,000 keys compiles while somebody waits, mistakes or not."""

from __future__ import annotations

import random
import time
from functools import cache

import pytest
from bench.scale import large_config

from pointsman.registry import RegistryInvalid
from tests.house.source import ROOT
from tests.registry.making import HASH, compiled, problems

MANY = 10_000


@cache
def large(targets: int = MANY, workflows: int = MANY, keys: int = 100_000) -> str:
    """The bench's registry. Its words in capitals are filled in as the bench does."""
    small = (ROOT / "bench" / "pointsman.yaml").read_text(encoding="utf-8")
    small = small.replace("UNARY_PORT", "8001").replace("STREAM_PORT", "8002").replace("KEY_HASH", HASH)
    return large_config(small, targets=targets, workflows=workflows, keys=keys)


def cpu(text: str) -> tuple[float, int]:
    """CPU seconds of a compilation, and how many problems it finds."""
    began = time.process_time()
    try:
        compiled(text)
        found = 0
    except RegistryInvalid as invalid:
        found = len(invalid.problems)
    return time.process_time() - began, found


def with_mistakes(text: str, old: str, new: str, count: int) -> str:
    """The text with `count` of its occurrences of `old`, spread over it, replaced."""
    parts = text.split(old)
    places = set(random.Random(1).sample(range(1, len(parts)), count))
    return parts[0] + "".join((new if place in places else old) + part for place, part in enumerate(parts) if place)


@pytest.mark.slow
@pytest.mark.xdist_group("scale")
def test_a_large_registry_compiles_within_seconds() -> None:
    """It takes 3 s on a machine where this was measured; the bound leaves room for slow ones, not for squares."""
    seconds, found = cpu(large())
    assert found == 0
    assert seconds < 20


@pytest.mark.slow
@pytest.mark.xdist_group("scale")
@pytest.mark.parametrize(
    ("old", "new"),
    [
        (", team: team", ", taem: team"),
        ("allow: [bench-answer]", "allow: [bench-answr]"),
        ("state: approved, tier", "state: draft, tier"),
    ],
    ids=["keys", "references", "interlock"],
)
def test_a_thousand_mistakes_in_a_large_registry_are_told_within_seconds(old: str, new: str) -> None:
    seconds, found = cpu(with_mistakes(large(), old, new, 1000))
    assert found == 1000
    assert seconds < 30


@pytest.mark.parametrize(
    "pair",
    [
        pytest.param((large(500, 500, 2000), large(2000, 2000, 8000)), id="all of it"),
        pytest.param(
            tuple(with_mistakes(large(10, 10, n), "allow: [bench-answer]", "allow: [x]", n) for n in (1000, 4000)),
            id="mistakes in keys",
        ),
    ],
)
def test_four_times_as_much_takes_about_four_times_as_long(pair: tuple[str, str]) -> None:
    """The best of three, so that a busy machine is not taken for a square."""
    small, big = (min(cpu(text)[0] for _ in range(3)) for text in pair)
    assert big < 8 * small + 0.1


def entries(count: int) -> str:
    return "providers: {n: {family: openai}}\ntargets:\n" + "".join(
        f"  n:m{number}: {{state: approved, prices: free, tags: [a]}}\n" for number in range(count)
    )


def test_a_policy_with_thousands_of_candidates_compiles() -> None:
    names = ", ".join(f"n:m{number}" for number in range(3000))
    text = f"{entries(3000)}policies: {{p: {{candidates: [{names}]}}}}\nworkflows: {{w: {{policy: p}}}}\n"
    seconds, found = cpu(text)
    assert found == 0
    assert seconds < 5


def test_thousands_of_workflows_that_ask_for_the_same_are_proved_once() -> None:
    """And each of them is told what is wrong, up to the bound of what is told at all."""
    names = ", ".join(f"n:m{number}" for number in range(100))
    text = f"{entries(100)}policies: {{p: {{candidates: [{names}]}}}}\nworkflows:\n"
    many = "".join(f"  w{number}: {{policy: p, require: {{tags: [TAG]}}}}\n" for number in range(2000))
    seconds, found = cpu(text + many.replace("TAG", "a"))
    assert found == 0
    assert seconds < 5
    assert problems(text + many.replace("TAG", "b"))[0].code == "too_many_problems"
