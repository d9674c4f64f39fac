"""Whatever is done to a file, the compiler says what is wrong with it, and what it lets pass holds."""

from __future__ import annotations

from typing import Any

import msgspec
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from pointsman.core.capability import CAPABILITIES, Task
from pointsman.core.decision import Condition, Numbering, Plan, Rights, clearance_of, decide, refusal, terms_of
from pointsman.core.document import Document
from pointsman.core.need import Need
from pointsman.core.policy import FailureKind
from pointsman.core.target import ApprovalState, Flow, Lifecycle, Tier
from pointsman.registry import Problem, RegistryInvalid
from pointsman.registry.problem import Findings
from pointsman.registry.reading import read
from tests.registry.making import GOOD, TODAY, compiled, unix

NOW = unix(TODAY.year, TODAY.month, TODAY.day)
LINES = GOOD.splitlines()
PLAIN = read(GOOD, Findings())
BOUNDS = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])

fragments = st.one_of(
    st.sampled_from(LINES),
    st.sampled_from(
        ["  ", "- ", "key: ", "{", "}", "[", "]", "&a ", "*a", "<<: ", "!!str ", "---", "#", '"', "'", "|", "? "]
    ),
    st.text(max_size=12),
)
edits = st.tuples(
    st.sampled_from(["delete", "replace", "insert", "double", "cut", "indent"]),
    st.integers(0, len(LINES) - 1),
    fragments,
)
scalars = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**20), 10**20),
    st.decimals(allow_nan=False, allow_infinity=False),
    st.text(max_size=8),
    st.sampled_from(
        ["free", "all", "yes", "unknown", "near", "regulated", "near:big-2026-01-01", "home:embedder", "1s"]
    ),
)
values = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)


def edited(todo: list[tuple[str, int, str]]) -> str:
    lines = list(LINES)
    for what, place, text in todo:
        place %= len(lines)
        match what:
            case "delete":
                lines[place] = ""
            case "replace":
                lines[place] = text
            case "insert":
                lines.insert(place, text)
            case "double":
                lines.insert(place, lines[place])
            case "cut":
                lines[place] = lines[place][: len(lines[place]) // 2]
            case _:
                lines[place] = " " + lines[place]
    return "\n".join(lines)


def told_well(text: str | bytes) -> None:
    """The file compiles, or every problem has its place in the file and words that can be printed."""
    words = text if isinstance(text, str) else text.decode("utf-8", "replace")
    wrong: tuple[Problem, ...] | None = None
    try:
        found = compiled(text).warnings
    except RegistryInvalid as invalid:
        wrong, found = invalid.problems, (*invalid.problems, *invalid.warnings)
    assert wrong is None or wrong
    last = max(len(words.splitlines()), 1)
    for problem in found:
        assert 1 <= problem.line <= last, problem
        assert problem.column >= 1
        assert str(problem).isprintable()
        assert "cannot be decoded" not in problem.message


@BOUNDS
@given(st.lists(edits, min_size=1, max_size=4))
def test_an_edited_file_is_compiled_or_told_well(todo: list[tuple[str, int, str]]) -> None:
    told_well(edited(todo))


@BOUNDS
@given(st.text(max_size=60))
def test_any_text_is_told_well(text: str) -> None:
    told_well(text)


@BOUNDS
@given(st.binary(max_size=60))
def test_any_bytes_are_told_well(data: bytes) -> None:
    told_well(data)


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    inner: list[tuple[Any, ...]] = []
    if isinstance(value, dict):
        inner = [place for key, item in value.items() for place in places(item, (*path, key))]
    elif isinstance(value, list):
        inner = [place for index, item in enumerate(value) for place in places(item, (*path, index))]
    return [path, *inner]


PLACES = places(PLAIN)[1:]


def put(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    """A copy of `value` with another one at `path`."""
    if not path:
        return new
    if isinstance(value, dict):
        return {key: put(item, path[1:], new) if key == path[0] else item for key, item in value.items()}
    return [put(item, path[1:], new) if index == path[0] else item for index, item in enumerate(value)]


@BOUNDS
@given(st.sampled_from(PLACES), values)
@example(("keys",), [1, {"name": 1}, None])
@example(("version",), "1")
@example(("targets", "near:big-2026-01-01", "prices", "input"), "1_000")
def test_any_value_in_any_place_is_told_well(place: tuple[Any, ...], new: Any) -> None:
    told_well(msgspec.json.encode(put(PLAIN, place, new)))


@BOUNDS
@given(st.sampled_from(PLACES), st.text(max_size=5), values)
def test_any_further_key_is_told_well(place: tuple[Any, ...], key: str, new: Any) -> None:
    there: Any = PLAIN
    for part in place:
        there = there[part]
    told_well(msgspec.json.encode(put(PLAIN, place, {**there, key: new} if isinstance(there, dict) else {key: new})))


# -- what passes holds ----------------------------------------------------------------------------------------------

tags = st.lists(st.sampled_from(["a", "b"]), max_size=2)


def word(kind: type[Any], *often: str) -> st.SearchStrategy[str]:
    """A word of an enumeration, and mostly one that lets a registry compile."""
    words = [str(one) for one in kind]
    return st.sampled_from([*often * len(words), *words])


entries = st.fixed_dictionaries(
    {"state": word(ApprovalState, "approved", "approved"), "prices": st.just("free")},
    optional={
        "tags": tags,
        "tier": word(Tier),
        "task": word(Task, "chat"),
        "lifecycle": word(Lifecycle, "active"),
        "participates": st.lists(word(Flow, "primary", "fallback"), min_size=1, max_size=3),
        "context_window": st.sampled_from([100, 200]),
        "max_output": st.sampled_from([10, 20]),
        "retires_at": st.sampled_from(["2026-05-31", "2026-06-01", "2026-06-02", "2027-01-01"]),
        "capabilities": st.dictionaries(st.sampled_from(CAPABILITIES), st.sampled_from(["yes", "no", "unknown"])),
    },
)
requires = st.fixed_dictionaries(
    {},
    optional={
        "tags": tags,
        "tiers": st.lists(word(Tier), max_size=2),
        "capabilities": st.lists(st.sampled_from(CAPABILITIES), max_size=1),
        "unknown_capabilities": st.sampled_from(["allow", "deny"]),
        "task": word(Task, "chat"),
        "context_window": st.sampled_from([100, 200]),
        "max_output": st.sampled_from([10, 20]),
    },
)
NAMES = [f"n:{letter}" for letter in "abcd"]
policies = st.fixed_dictionaries(
    {"candidates": st.lists(st.sampled_from(NAMES), min_size=1, max_size=3, unique=True)},
    optional={
        "require": requires,
        "strategy": st.sampled_from(["priority", "weighted"]),
        "on_failure": st.fixed_dictionaries(
            {}, optional={"fallback": st.booleans(), "on": st.lists(word(FailureKind), max_size=2)}
        ),
    },
)
workflows = st.fixed_dictionaries({"policy": st.sampled_from("pq")}, optional={"require": requires})
registries = st.fixed_dictionaries(
    {
        "providers": st.just({"n": {"family": "openai"}}),
        "targets": st.fixed_dictionaries(dict.fromkeys(NAMES, entries)),
        "policies": st.fixed_dictionaries(dict.fromkeys("pq", policies)),
        "workflows": st.dictionaries(st.sampled_from("uvw"), workflows, min_size=1),
        "aliases": st.dictionaries(st.sampled_from("xyz"), st.sampled_from(NAMES), max_size=1),
    }
)


class Running(msgspec.Struct, frozen=True):
    """A target in good health."""

    clearance: Any

    def condition(self, now: float) -> Condition:
        return Condition.OPEN


def plans(document: Document) -> list[tuple[Plan, Task]]:
    """How the gateway would run every workflow and alias, with the task of its first candidate."""
    numbering, providers = Numbering(), Numbering()
    running = {spec.name: Running(clearance_of(spec, numbering, providers)) for spec in document.targets}
    by_name = {policy.name: policy for policy in document.policies}
    found = []
    for workflow in document.workflows:
        policy = by_name[workflow.policy]
        candidates = tuple(running[candidate.target] for candidate in policy.candidates)
        terms = terms_of(numbering, policy.require, workflow.require)
        weights = (1,) * len(candidates)
        found.append(Plan(policy.name, candidates, weights, terms, policy.on_failure, None, numbering))
    for alias in document.aliases:
        direct = msgspec.structs.replace(document.policies[0].on_failure, fallback=False)
        found.append(Plan("", (running[alias.target],), (1,), terms_of(numbering), direct, None, numbering))
    return [(plan, plan.candidates[0].clearance.task) for plan in found]


def proved(document: Document) -> None:
    for plan, task in plans(document):
        for candidate in plan.candidates:
            assert refusal(candidate.clearance, plan.terms, Need(task), Rights(), NOW) is None
        decision = decide(plan, Need(task), Rights(), 0.0, NOW)
        assert decision.order
        expected = plan.candidates if plan.on_failure.fallback else plan.candidates[:1]
        assert decision.order == list(expected)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much])
@given(registries)
def test_every_candidate_of_what_compiles_may_serve(registry: dict[str, Any]) -> None:
    """For the terms of its workflow and an empty need; and a healthy plan uses every candidate in its order."""
    try:
        document = compiled(msgspec.json.encode(registry)).document
    except RegistryInvalid:
        return
    proved(document)


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(registries)
def test_what_is_refused_is_refused_for_a_reason(registry: dict[str, Any]) -> None:
    """The interlock is no stricter than the decision: with nothing to say about candidates, a file compiles."""
    whole = {name: {"state": "approved", "prices": "free"} for name in NAMES}
    easy = {name: {"candidates": policy["candidates"]} for name, policy in registry["policies"].items()}
    plain = {name: {"policy": workflow["policy"]} for name, workflow in registry["workflows"].items()}
    text = msgspec.json.encode({**registry, "targets": whole, "policies": easy, "workflows": plain})
    proved(compiled(text).document)


def test_enough_random_registries_compile() -> None:
    """Otherwise the property above would hold for want of registries."""
    seen = {"compiled": 0, "refused": 0}

    @settings(max_examples=300, deadline=None, database=None, derandomize=True, suppress_health_check=list(HealthCheck))
    @given(registries)
    def count(registry: dict[str, Any]) -> None:
        try:
            compiled(msgspec.json.encode(registry))
            seen["compiled"] += 1
        except RegistryInvalid:
            seen["refused"] += 1

    count()
    assert seen["compiled"] >= 10
    assert seen["refused"] >= 10
