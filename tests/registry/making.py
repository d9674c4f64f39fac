"""Registry files for tests, facts that are known here alone, and the look at what a file's compilation says."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import Any

from pointsman.catalog.fact import Fact
from pointsman.core.capability import Known, Task
from pointsman.core.money import Prices, Rates
from pointsman.core.target import Lifecycle, TargetSpec
from pointsman.registry import Compiled, Problem, RegistryInvalid, compile_registry

TODAY = date(2026, 6, 1)
HASH = "0123456789abcdef" * 4
OTHER_HASH = "fedcba9876543210" * 4

GOOD = f"""\
version: 1
providers:
  near: {{family: openai, base_url: "https://near.example/v1", credential: "env:NEAR_KEY"}}
  home: {{family: openai, base_url: "http://127.0.0.1:9000/v1"}}
targets:
  near:big-2026-01-01:
    state: approved
    tier: premium
    tags: [regulated-ok, final-answer]
    participates: [primary, fallback]
    timeouts: {{connect: 2s, first_token: 500ms, idle: 1m, total: 2h}}
    context_window: 128000
    max_output: 16384
    capabilities: {{streaming: yes, tools: true, json_schema: no, reasoning: unknown}}
    prices: {{input: 2.50, output: 10, cached_input: 1.25, tiers: [{{over: 200000, input: 5}}]}}
  near:small-2026-01-01:
    state: approved
    tier: economy
    tags: [regulated-ok]
    max_output: 10000
    capabilities: {{tools: yes}}
    prices: {{input: 0.0375, output: "0.15"}}
  home:embedder: {{state: approved, task: embedding, prices: free}}
  home:draft:
aliases:
  big: near:big-2026-01-01
policies:
  regulated:
    require: {{tags: [regulated-ok], capabilities: [tools], unknown_capabilities: deny}}
    strategy: priority
    candidates: [near:big-2026-01-01, near:small-2026-01-01]
    on_failure: {{retry: 2, fallback: true, on: [timeout, network]}}
  split:
    strategy: weighted
    candidates: [{{target: near:big-2026-01-01, weight: 3}}, near:small-2026-01-01]
  vectors: {{candidates: [home:embedder], require: {{task: embedding}}}}
workflows:
  support-answer: {{policy: regulated, owner: support, require: {{max_output: 10000, tiers: [premium, economy]}}}}
  small-talk: {{policy: split}}
  index: {{policy: vectors}}
keys:
  - name: support-bot
    team: support
    hash: "sha256:{HASH}"
    allow: [support-answer, big, near:small-2026-01-01]
    providers: [near]
    require_tags: [regulated-ok]
    expires: 2027-06-30
  - {{name: admin, hash: "sha256:{OTHER_HASH}", allow: all}}
unregistered: {{observe: home}}
"""
"""A file that uses everything and compiles without a doubt."""


class FakeCatalog(dict[str, dict[str, Any]]):
    """Model id → facts by name, as the catalog gives them."""

    def lookup(self, family: str, base_url: str, model: str, today: date) -> dict[str, Fact]:
        """Facts about `model`, all from one made-up source."""
        return {name: Fact(value, "https://facts.example", "2026-05-01") for name, value in self.get(model, {}).items()}


def unix(year: int, month: int, day: int) -> int:
    """The first second of a day, UTC."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


FACTS = FakeCatalog(
    {
        "known": {
            "task": Task.CHAT,
            "context_window": 1000,
            "max_output": 100,
            "lifecycle": Lifecycle.ACTIVE,
            "prices": Prices(Rates(1, 2), source="https://facts.example"),
            "capabilities.tools": Known.YES,
            "capabilities.json_schema": Known.NO,
        },
        "moving": {"floating": True, "prices": Prices(Rates(1, 2))},
        "gone": {"retires_at": unix(2026, 5, 1), "prices": Prices(Rates(1, 2))},
        "ended": {"lifecycle": Lifecycle.RETIRED, "prices": Prices(Rates(1, 2))},
        "input-only": {"prices": Prices(Rates(1))},
    }
)


def compiled(text: str | bytes, *, facts: FakeCatalog = FACTS, env: Mapping[str, str] | None = None) -> Compiled:
    """The registry of a file that must compile."""
    return compile_registry(text, source="registry.yaml", catalog=facts, today=TODAY, env=env)


def problems(text: str | bytes) -> tuple[Problem, ...]:
    """What is wrong with a file; nothing when it compiles."""
    try:
        compiled(text)
    except RegistryInvalid as invalid:
        return invalid.problems
    return ()


def doubts(text: str | bytes, env: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    """The warnings about a file, whether it compiles or not."""
    try:
        return compiled(text, env=env).warnings
    except RegistryInvalid as invalid:
        return invalid.warnings


def target(text: str, name: str) -> TargetSpec:
    """A target of a file that must compile."""
    return next(spec for spec in compiled(text).document.targets if spec.name == name)


def said(found: tuple[Problem, ...]) -> list[tuple[str, int]]:
    """Codes with their lines."""
    return [(problem.code, problem.line) for problem in found]


def expected(text: str) -> list[tuple[str, int]]:
    """The codes that a file's own comments (`# !code other_code`) expect on their lines."""
    found = []
    for number, line in enumerate(text.splitlines(), 1):
        if marked := re.search(r"# !([a-z_ ]+)$", line):
            found += [(code, number) for code in marked[1].split()]
    return sorted(found, key=lambda one: (one[1], one[0]))
