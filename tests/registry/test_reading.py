"""YAML is read strictly, within bounds, and text stays text."""

from __future__ import annotations

import json
import time
from decimal import Decimal
from typing import Any

import pytest

from pointsman.core.document import document_hash
from pointsman.registry.problem import Findings
from pointsman.registry.reading import Unreadable, read
from tests.registry.making import GOOD, compiled, problems, said


def plain(text: str) -> Any:
    findings = Findings()
    value = read(text, findings)
    assert [found.message for found in findings.problems] == []
    return value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("yes", "yes"),
        ("No", "No"),
        ("on", "on"),
        ("n", "n"),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("''", ""),
        ("2026-06-30", "2026-06-30"),
        ("12:30:45", "12:30:45"),
        ("1_000", "1_000"),
        ("0x1F", "0x1F"),
        ("0o17", "0o17"),
        ("017", 17),
        ("-3", -3),
        ("0.0375", Decimal("0.0375")),
        ("1e3", Decimal("1e3")),
        (".5", Decimal("0.5")),
        (".inf", ".inf"),
        (".nan", ".nan"),
        ("'1'", "1"),
        ('"true"', "true"),
        ("gpt-4.1", "gpt-4.1"),
        ("1.2.3", "1.2.3"),
        ("=", "="),
        ("<<", "<<"),
    ],
)
def test_scalars_are_those_of_yaml_1_2(text: str, value: object) -> None:
    found = plain(f"[{text}]")[0]
    assert found == value
    assert type(found) is type(value)


def test_keys_are_always_text() -> None:
    assert list(plain("{on: 1, 1: 2, 2026-01-01: 3, true: 4, null: 5}")) == ["on", "1", "2026-01-01", "true", "null"]


def test_line_endings_and_a_byte_order_mark_do_not_matter() -> None:
    same: list[str | bytes] = [GOOD, GOOD.replace("\n", "\r\n"), "\ufeff" + GOOD, GOOD.rstrip("\n"), GOOD.encode()]
    assert len({document_hash(compiled(text).document) for text in same}) == 1


def test_lines_are_right_in_a_file_from_windows() -> None:
    assert said(problems("version: 1\r\n\r\npolices: {}\r\n")) == [("unknown_key", 3)]


def test_columns_count_characters() -> None:
    (problem,) = problems("aliases: {'ключ': x, b: }\n")[-1:]
    assert (problem.line, problem.column) == (1, 22)


def test_json_is_read_as_it_is() -> None:
    text = json.dumps(plain(GOOD), default=str)
    assert compiled(text).document == compiled(GOOD).document


def test_anchors_and_merge_keys_work() -> None:
    text = "a: &x {k: 1, l: [2]}\nb: *x\nc: {<<: *x, k: 3}\nd: {<<: [{m: 4}, *x]}\n&n e: *n\n"
    assert plain(text) == {
        "a": {"k": 1, "l": [2]},
        "b": {"k": 1, "l": [2]},
        "c": {"k": 3, "l": [2]},
        "d": {"m": 4, "k": 1, "l": [2]},
        "e": "e",
    }


def test_a_mistake_behind_an_anchor_is_told_where_it_is_used() -> None:
    text = "providers: {a: {family: openai}}\ntargets:\n  a:b: &x\n    state: aproved\n  a:c: *x\n"
    assert said(problems(text)) == [("unknown_word", 4), ("unknown_word", 5)]


@pytest.mark.parametrize(
    "text",
    [
        "a0: &a0 [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"a{n}: &a{n} [{','.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 12)),
        "a0: &a0 {k: [x,x,x,x,x,x,x,x,x]}\n"
        + "".join(f"a{n}: &a{n} {{l: *a{n - 1}, m: *a{n - 1}, <<: *a{n - 1}}}\n" for n in range(1, 40)),
    ],
    ids=["lists", "merges"],
)
def test_a_file_that_multiplies_itself_is_refused_at_once(text: str) -> None:
    began = time.process_time()
    assert [problem.code for problem in problems(text)] == ["yaml_too_large"]
    assert time.process_time() - began < 2


def test_a_value_that_is_deep_by_its_anchors_breaks_nothing() -> None:
    text = "aliases:\n  a0: &a0 [x]\n" + "".join(f"  a{n}: &a{n} [*a{n - 1}]\n" for n in range(1, 2000))
    assert {problem.code for problem in problems(text)} == {"wrong_type"}


@pytest.mark.parametrize(
    "text",
    ["a: &a [*a]", "a: &a {b: *a}", "a: *b", "? [a]\n: b", "? {a: b}\n: c", "a: &a [1]\n*a : b", "--- a\n--- b"],
)
def test_what_cannot_be_read_ends_the_reading(text: str) -> None:
    findings = Findings()
    with pytest.raises(Unreadable):
        read(text, findings)
    assert len(findings.problems) == 1


@pytest.mark.parametrize(
    "tag", ["!!python/object/apply:os.system", "!!binary", "!!str", "!custom", "!!timestamp", "!", "!<tag:x,2026:y>"]
)
def test_tags_are_refused(tag: str) -> None:
    assert {problem.code for problem in problems(f"aliases: {tag} x\n")} >= {"yaml_tag"}


@pytest.mark.parametrize("character", ["\x00", "\x07", "\x1b", "\x7f", "\ud800", "\ufffe"])
def test_control_characters_are_refused_where_they_stand(character: str) -> None:
    found = problems(f"version: 1\nnotes: ab{character}\n")
    assert [problem.line for problem in found] == [2]
    assert all(problem.message.isprintable() for problem in found)


def test_nothing_printed_can_steer_a_terminal() -> None:
    found = problems('"\\e[31m\\u202Ered": {}\naliases: {"\\e[2J": "\\a"}\n')
    assert found
    assert all(str(problem).isprintable() for problem in found)


def test_a_broken_bracket_says_where_it_begins() -> None:
    (problem,) = problems("version: 1\nproviders: {\na: {family: openai\naliases: {}\n")
    assert "it begins at line 3" in problem.message
