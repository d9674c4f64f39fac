"""Every mistake has its code and its own line, and nothing else is said beside it."""

from __future__ import annotations

import pytest

from pointsman.registry import reading
from pointsman.registry.problem import MOST
from tests.registry.codes import codes
from tests.registry.making import GOOD, HASH, OTHER_HASH, compiled, doubts, expected, problems, said

# A file's comments say what is expected of it: `# !code` on the line that the problem must name.
P = "providers: {near: {family: openai, credential: env:A, base_url: 'https://near.example/v1'}}\n"
T = f"{P}targets:\n  near:a: {{state: approved, prices: free}}\n"
K = f"{T}keys:\n"

FILES = {
    "unknown key at the top": f"{T}polices: {{}}  # !unknown_key",
    "unknown key in an entry": f"{P}targets:\n  near:a:\n    stat: approved  # !unknown_key",
    "unknown capability": f"{P}targets:\n  near:a:\n    capabilities:\n      tool: yes  # !unknown_key",
    "text where a mapping belongs": f"{P}targets: near:a  # !wrong_type",
    "list where a mapping belongs": f"{P}targets:\n  near:a: []  # !wrong_type",
    "mapping where a list belongs": f"{P}targets:\n  near:a:\n    tags: {{a: b}}  # !wrong_type",
    "number where text belongs": f"{P}targets:\n  near:a:\n    notes: 12  # !wrong_type",
    "text where a number belongs": f"{P}targets:\n  near:a:\n    max_output: many  # !wrong_type",
    "fraction where a whole number belongs": f"{P}targets:\n  near:a:\n    max_output: 1.5  # !wrong_type",
    "text where true or false belongs": f"{P}targets:\n  near:a:\n    floating: 'true'  # !wrong_type",
    "version as text": "version: '1'  # !wrong_type",
    "version of another format": "version: 2  # !wrong_type",
    "version as a truth": "version: true  # !wrong_type",
    "one allowed name without its list": f"{K}  - {{name: a, hash: 'sha256:{HASH}', allow: near:a}}  # !wrong_type",
    "no value": f"{P}targets:\n  near:a:\n    tier:  # !no_value",
    "no value in a list": f"{P}targets:\n  near:a:\n    tags:\n      - a\n      -  # !no_value",
    "missing key": "providers:\n  near:  # !missing_key\n    region: eu",
    "missing keys of one entry": f"{K}  - {{team: a}}  # !missing_key missing_key missing_key",
    "unknown state": f"{P}targets:\n  near:a:\n    state: aproved  # !unknown_word",
    "unknown family": "providers:\n  a:\n    family: opnai  # !unknown_word",
    "unknown word for prices": f"{P}targets:\n  near:a:\n    prices: gratis  # !wrong_type",
    "family of a later version": "providers:\n  a:\n    family: anthropic  # !not_yet_supported",
    "strategy of a later version": f"{T}policies:\n  p:\n    candidates: [near:a]\n"
    "    strategy: cheapest  # !not_yet_supported",
    "mirror": f"{T}policies:\n  p:\n    candidates: [near:a]\n    mirror: []  # !not_yet_supported",
    "evaluators": f"{T}policies: {{p: {{candidates: [near:a]}}}}\nworkflows:\n  w:\n    policy: p\n"
    "    evaluators: []  # !not_yet_supported",
    "limits of a key": f"{K}  - name: a\n    hash: 'sha256:{HASH}'\n    allow: all\n"
    "    limits: {}  # !not_yet_supported",
    "zero tokens": f"{P}targets:\n  near:a:\n    max_output: 0  # !out_of_range",
    "too many tokens": f"{P}targets:\n  near:a:\n    context_window: 1000000001  # !out_of_range",
    "huge number": f"{P}targets:\n  near:a:\n    context_window: {'9' * 39}  # !out_of_range",
    "absurd number": f"{P}targets:\n  near:a:\n    context_window: {'9' * 5000}  # !out_of_range out_of_range",
    "no candidates": f"{T}policies:\n  p:\n    candidates: []  # !out_of_range",
    "no flow": f"{P}targets:\n  near:a:\n    participates: []  # !out_of_range",
    "too many retries": f"{T}policies:\n  p:\n    candidates: [near:a]\n    on_failure:\n"
    "      retry: 6  # !out_of_range",
    "bad provider name": "providers:\n  a b:  # !bad_name\n    family: openai",
    "bad alias name": f"{T}aliases:\n  'a:b': near:a  # !bad_name",
    "bad policy name": f"{T}policies:\n  -p: {{candidates: [near:a]}}  # !bad_name",
    "bad workflow name": f"{T}policies: {{p: {{candidates: [near:a]}}}}\nworkflows:\n  é: {{policy: p}}  # !bad_name",
    "name that is too long": f"{T}aliases:\n  {'a' * 129}: near:a  # !bad_name",
    "bad tag of a target": f"{P}targets:\n  near:a:\n    tags:\n      - good\n      - not good  # !bad_name",
    "bad tag of a policy": f"{T}policies:\n  p:\n    candidates: [near:a]\n    require:\n      tags: ['']  # !bad_name",
    "bad tag of a key": f"{K}  - {{name: a, hash: 'sha256:{HASH}', allow: all, require_tags: [a, '-']}}  # !bad_name",
    "target without provider": f"{P}targets:\n  a:  # !bad_target_name\n    state: draft",
    "target without model": f"{P}targets:\n  'near:':  # !bad_target_name\n    state: draft",
    "target of an unknown provider": f"{P}targets:\n  nea:a:  # !dangling_reference\n    state: approved",
    "alias to nothing": f"{T}aliases:\n  b: near:b  # !dangling_reference",
    "policy of nothing": f"{T}policies:\n  p:\n    candidates:\n      - near:a\n      - near:b  # !dangling_reference",
    "workflow of nothing": f"{T}policies: {{p: {{candidates: [near:a]}}}}\nworkflows:\n  w:\n"
    "    policy: q  # !dangling_reference",
    "key for nothing": f"{K}  - name: a\n    hash: 'sha256:{HASH}'\n    allow: [near:a, b]  # !dangling_reference",
    "key of an unknown provider": f"{K}  - name: a\n    hash: 'sha256:{HASH}'\n    allow: all\n"
    "    providers: [far]  # !dangling_reference",
    "observing an unknown provider": f"{T}unregistered:\n  observe: far  # !dangling_reference",
    "alias of an alias": f"{T}aliases:\n  b: near:a\n  c: b  # !alias_of_alias",
    "alias of itself": f"{T}aliases:\n  b: b  # !alias_of_alias",
    "aliases in a ring": f"{T}aliases:\n  b: c  # !alias_of_alias\n  c: b  # !alias_of_alias",
    "candidate twice": f"{T}policies:\n  p:\n    candidates:\n      - near:a\n      - near:a  # !duplicate_candidate",
    "alias named like a workflow": f"{T}policies: {{p: {{candidates: [near:a]}}}}\nworkflows: {{w: {{policy: p}}}}\n"
    "aliases:\n  w: near:a  # !duplicate_name",
    "alias named like a target": f"{T}aliases:\n  near:a: near:a  # !bad_name duplicate_name",
    "two keys of one name": f"{K}  - {{name: a, hash: 'sha256:{HASH}', allow: all}}\n"
    f"  - {{name: a, hash: 'sha256:{OTHER_HASH}', allow: all}}  # !duplicate_name",
    "two names for one key": f"{K}  - {{name: a, hash: 'sha256:{HASH}', allow: all}}\n"
    f"  - {{name: b, hash: 'sha256:{HASH}', allow: all}}  # !duplicate_hash",
    "key twice in a mapping": f"{T}aliases:\n  b: near:a\n  b: near:a  # !duplicate_key",
    "section twice": f"{T}targets:  # !duplicate_key\n  near:b: {{state: draft}}\naliases: {{c: near:a}}",
    "bad duration": f"{P}targets:\n  near:a:\n    timeouts:\n      connect: 5 s  # !bad_duration",
    "duration without unit": f"{P}targets:\n  near:a:\n    timeouts:\n      connect: 5  # !bad_duration",
    "duration of nothing": f"{P}targets:\n  near:a:\n    timeouts:\n      idle: 0s  # !bad_duration",
    "duration beyond a day": f"{P}targets:\n  near:a:\n    timeouts:\n      total: 25h  # !bad_duration",
    "bad date": f"{P}targets:\n  near:a:\n    retires_at: 2026-02-30  # !bad_date",
    "date in other words": f"{K}  - name: a\n    hash: 'sha256:{HASH}'\n    allow: all\n"
    "    expires: 30.6.2027  # !bad_date",
    "instant without zone": f"{P}targets:\n  near:a:\n    retires_at: 2027-01-01T00:00:00  # !bad_date",
    "key instead of its hash": f"{K}  - name: a\n    allow: all\n    hash: pm-abcdef  # !bad_hash",
    "upper-case hash": f"{K}  - name: a\n    allow: all\n    hash: 'sha256:{HASH.upper()}'  # !bad_hash",
    "secret instead of a reference": "providers:\n  a:\n    family: openai\n    credential: sk-abc  # !bad_credential",
    "metadata address": "providers:\n  a:\n    family: openai\n    base_url: http://169.254.169.254/  # !bad_url",
    "proxy with a path": "providers:\n  a:\n    family: openai\n    proxy: http://proxy.example/x  # !bad_url",
    "secret header": "providers:\n  a:\n    family: openai\n    headers:\n      Authorization: x  # !bad_header",
    "header twice": "providers:\n  a:\n    family: openai\n    headers:\n      x-a: x\n      X-A: y  # !bad_header",
    "price below nothing": f"{P}targets:\n  near:a:\n    state: approved\n    prices:\n"
    "      input: -1  # !bad_price\n      output: 1",
    "price too fine": f"{P}targets:\n  near:a:\n    prices:\n      input: 0.0000000001  # !bad_price",
    "prices without input": f"{P}targets:\n  near:a:\n    state: approved\n    prices: {{output: 1}}  # !bad_price",
    "tiers out of order": f"{P}targets:\n  near:a:\n    prices:\n      input: 1\n      tiers:\n"
    "        - {over: 2, input: 1}\n        - {over: 2, input: 2}  # !bad_price",
    "approved without a price": f"{P}targets:\n  near:a: {{state: approved}}  # !no_price",
    "approved without a price for output": f"{P}targets:\n  near:a:  # !no_price\n    state: approved\n"
    "    prices: {input: 1}",
    "approved and retired": f"{P}targets:\n  near:gone: {{state: approved}}  # !retired",
    "approved alias of the vendor": f"{P}targets:\n  near:moving: {{state: approved}}  # !floating_id",
    "YAML tag": f"{P}targets:\n  near:a:\n    notes: !!str 1  # !yaml_tag",
    "merge of text": f"{P}targets:\n  near:a:\n    <<: text\n    state: draft\naliases: {{}}  # !yaml_merge",
    "syntax": "providers:\n  a: {family: openai\naliases: {}  # !yaml_syntax",
    "two documents": "version: 1\n---  # !several_documents\nversion: 1",
    "alias before its anchor": "aliases:\n  a: *b  # !yaml_anchor\n  c: &b x",
    "mapping as a key": "aliases:\n  {a: b}: c  # !yaml_key",
}

# What a comment in the file cannot say: bytes, files without room for a comment, limits that are lowered here.
BYTES: dict[str, tuple[bytes, list[tuple[str, int]]]] = {
    "nothing": (b"", [("empty_file", 1)]),
    "a comment": (b"# nothing\n", [("empty_file", 1)]),
    "a marker": (b"---\n", [("empty_file", 1)]),
    "Latin-1": ("version: 1\nnotes: é".encode("latin-1"), [("not_utf8", 2)]),
    "UTF-16": ("version: 1".encode("utf-16"), [("not_utf8", 1)]),
    "NUL": (b"version: 1\naliases: {a: \x00}\n", [("yaml_syntax", 2)]),
    "tab": (b"providers:\n\ta: {}\n", [("yaml_syntax", 2)]),
    "deep": (b"version: 1\naliases: " + b"[" * 40 + b"]" * 40, [("yaml_too_deep", 2)]),
    "very deep": (b"[" * 100_000, [("yaml_too_deep", 1)]),
    "a list": (b"- version: 1\n", [("wrong_type", 1)]),
    "a word": (b"version\n", [("wrong_type", 1)]),
    "JSON with a mistake": (b'{"version": 1,\n "providers": {"a": {"family": "opnai"}}}', [("unknown_word", 2)]),
}

INTERLOCK_CODES = {"not_approved", "retired", "wrong_task", "missing_tag", "tier_not_allowed", "lacks_capability"} | {
    "unknown_capability",
    "context_too_small",
    "max_output_too_small",
    "flow_not_allowed",
    "mixed_tasks",
}
"""Held by test_interlock."""
ELSEWHERE = {
    "file_too_large",
    "yaml_too_large",
    "too_many_problems",
    "credential_not_set",
    "plain_http",
    "retires_soon",
    "unknown_capability_allowed",
}
"""Held by tests of their own, below."""


def marked(text: str) -> list[tuple[str, int]]:
    return sorted(expected(text), key=lambda one: (one[1], one[0]))


def test_the_good_file_is_good() -> None:
    assert problems(GOOD) == ()
    assert doubts(GOOD) == ()


@pytest.mark.parametrize("text", FILES.values(), ids=FILES)
def test_a_mistake_is_told_with_its_code_at_its_line(text: str) -> None:
    found = problems(text)
    assert sorted(said(found), key=lambda one: (one[1], one[0])) == marked(text), "\n".join(map(str, found))
    assert all(problem.mend and problem.message and problem.source == "registry.yaml" for problem in found)


@pytest.mark.parametrize(("data", "codes"), BYTES.values(), ids=BYTES)
def test_a_file_that_is_no_registry_is_told_so(data: bytes, codes: list[tuple[str, int]]) -> None:
    assert said(problems(data)) == codes


def test_every_code_is_provoked_by_a_test() -> None:
    here = {code for text in FILES.values() for code, _ in expected(text)}
    here |= {code for _, found in BYTES.values() for code, _ in found}
    assert here | INTERLOCK_CODES | ELSEWHERE == codes()


def test_a_file_that_is_too_large_is_not_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_BYTES", 100)
    assert said(problems(GOOD)) == [("file_too_large", 1)]


def test_a_file_with_too_many_values_is_not_read_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reading, "MAX_NODES", 20)
    assert said(problems(GOOD)) == [("yaml_too_large", 6)]


def test_problems_without_end_are_told_up_to_a_number() -> None:
    found = problems("aliases:\n" + "".join(f"  a{number}: b\n" for number in range(MOST + 5)))
    assert len(found) == MOST + 1
    assert found[0].code == "too_many_problems"


def test_a_credential_that_is_not_set_is_a_doubt() -> None:
    assert said(doubts(GOOD, env={})) == [("credential_not_set", 3)]
    assert doubts(GOOD, env={"NEAR_KEY": "x"}) == ()


def test_a_credential_that_travels_unencrypted_is_a_doubt() -> None:
    text = "providers:\n  a: {family: openai, credential: env:A, base_url: 'http://HOST/v1'}"
    assert said(doubts(text.replace("HOST", "api.example"))) == [("plain_http", 2)]
    assert doubts(text.replace("HOST", "127.0.0.1:80")) == ()


def test_an_end_that_is_near_is_a_doubt() -> None:
    text = f"{P}targets:\n  near:a: {{state: approved, prices: free, retires_at: DAY}}\n"
    assert said(doubts(text.replace("DAY", "2026-07-01"))) == [("retires_soon", 3)]
    assert doubts(text.replace("DAY", "2026-07-02")) == ()


def test_a_capability_that_nobody_has_stated_is_a_doubt() -> None:
    text = f"{T}policies:\n  p: {{candidates: [near:a], require: {{capabilities: [tools]}}}}\n"
    assert said(doubts(text)) == [("unknown_capability_allowed", 5)]


def test_doubts_do_not_keep_a_file_from_compiling() -> None:
    assert compiled(GOOD, env={}).document == compiled(GOOD).document


def test_mistakes_of_every_kind_are_told_at_once_in_the_order_of_the_file() -> None:
    """Entries that are wrong neither hide others nor shift their lines; no second message follows from a first."""
    text = f"""\
version: 1
providers:
  near: {{family: openai, base_url: 'https://near.example/v1'}}
  side: {{family: openai, regin: eu}}  # !unknown_key
  odd: {{family: openai, credential: sk-abc}}  # !bad_credential
  later: {{family: gemini}}  # !not_yet_supported
targets:
  near:a: {{state: approved, prices: free, tags: [regulated-ok]}}
  near:b: {{state: aproved, prices: free}}  # !unknown_word
  near:c: {{state: approved, prices: {{input: -1}}}}  # !bad_price
  near:d: {{state: draft, timeouts: {{idle: soon}}}}  # !bad_duration
  near:g: {{state: proposed, tags: [regulated-ok]}}
  odd:e: {{state: approved}}
  far:f: {{state: approved}}  # !dangling_reference
aliases:
  one: near:a
  one: near:b  # !duplicate_key
  two: near:z  # !dangling_reference
policies:
  p:
    candidates: [near:b, 7, near:d, near:z, near:g, near:a]  # !dangling_reference not_approved wrong_type
    require: {{tags: [regulated-ok], tiers: [cheap]}}  # !unknown_word
workflows:
  w: {{policy: p, require: {{tags: [final]}}}}  # !missing_tag missing_tag
  v: {{policy: q}}  # !dangling_reference
keys:
  - {{name: 5, hash: 'sha256:{HASH}', allow: all}}  # !wrong_type
  - {{name: b, hash: 'sha256:{OTHER_HASH}', allow: [w, x]}}  # !dangling_reference
  - {{name: b, hash: oops, allow: all, expires: never}}  # !bad_date bad_hash duplicate_name
"""
    found = problems(text)
    assert sorted(said(found), key=lambda one: (one[1], one[0])) == marked(text), "\n".join(map(str, found))
    assert [(p.line, p.column) for p in found] == sorted((p.line, p.column) for p in found)
    lines = text.splitlines()
    places = {(p.code, p.where): lines[p.line - 1][p.column - 1 :].split(":")[0].split(",")[0] for p in found}
    assert places["unknown_key", "providers.side.regin"] == "regin"
    assert places["bad_credential", "providers.odd.credential"] == "credential"
    assert places["bad_duration", 'targets["near:d"].timeouts.idle'] == "idle"
    assert places["wrong_type", "policies.p.candidates[1]"] == "7"
    assert places["dangling_reference", "policies.p.candidates[3]"] == "near"
    assert places["not_approved", "policies.p.candidates[4]"] == "near"
    assert places["dangling_reference", "keys[1].allow[1]"] == "x]}  # !dangling_reference"


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("polices: {}", "did you mean `policies` or"),
        (f"{P}targets:\n  near:a: {{sate: draft}}", "did you mean `state`?"),
        (f"{P}targets:\n  near:a: {{state: aproved}}", "did you mean `approved` or"),
        (f"{P}targets:\n  nera:a: {{}}", "did you mean `near`?"),
        (f"{T}aliases:\n  b: near:A", "did you mean `near:a`?"),
        (
            f"{T}aliases: {{quick: near:a}}\n{K[len(T) :]}  - {{name: a, hash: 'sha256:{HASH}', allow: [quikc]}}",
            "`quick`",
        ),
    ],
)
def test_a_mistyped_word_gets_what_was_probably_meant(text: str, mend: str) -> None:
    assert any(mend in problem.mend for problem in problems(text))


def test_a_long_row_of_aliases_is_shown_in_part() -> None:
    """Many aliases, each pointing to the next, must not write all of them out for each of them."""
    found = problems("aliases:\n" + "".join(f"  a{n}: a{n + 1}\n" for n in range(3000)))
    assert max(len(problem.message) for problem in found) < 200
