"""Revision documents for tests: providers, targets with every fact stated, policies and workflows."""

from __future__ import annotations

from typing import Any

import msgspec

from pointsman.core.capability import ALL_CAPABILITIES
from pointsman.core.document import AliasSpec, Document, KeySpec, ProviderSpec, Unregistered
from pointsman.core.money import Prices, Rates
from pointsman.core.policy import Candidate, OnFailure, PolicySpec, Requirements, WorkflowSpec
from pointsman.core.target import ApprovalState, TargetSpec, Timeouts
from tests.gateway.worker import key

INPUT, OUTPUT = 2_500_000_000, 10_000_000_000
"""Prices of every target: nano-dollars per million tokens, so 2500 and 10000 nano-dollars a token."""

PRICES = Prices(Rates(input=INPUT, output=OUTPUT, cache_read=INPUT // 2), source="tests")
QUICK = Timeouts(connect=2.0, first_token=5.0, idle=5.0, total=10.0)


def cost(given: int, made: int) -> int:
    """Nano-dollars of a call to any target here."""
    return given * INPUT // 1_000_000 + made * OUTPUT // 1_000_000


def usd(nano: int) -> str:
    """Nano-dollars as the cost header writes them."""
    return f"{nano / 1e9:.9f}".rstrip("0").rstrip(".")


def provider(name: str, base_url: str, **facts: Any) -> ProviderSpec:
    """A provider of the family `openai`."""
    return ProviderSpec(name, "openai", base_url, **facts)


def target(name: str, model: str | None = None, **facts: Any) -> TargetSpec:
    """An approved target `provider:model`. `model` is what the provider is asked for, when that is something else."""
    vendor, _, own = name.partition(":")
    spec = TargetSpec(
        name,
        vendor,
        own if model is None else model,
        state=ApprovalState.APPROVED,
        capabilities=ALL_CAPABILITIES,
        context_window=100_000,
        max_output=16_000,
        prices=PRICES,
        timeouts=QUICK,
    )
    return msgspec.structs.replace(spec, **facts)


def policy(
    name: str, *targets: str, tags: tuple[str, ...] = (), on_failure: OnFailure | None = None, **facts: Any
) -> PolicySpec:
    """A policy over these targets in this order."""
    candidates = tuple(Candidate(target) for target in targets)
    return PolicySpec(name, candidates, Requirements(tags=tags), on_failure=on_failure or OnFailure(), **facts)


def document(
    *parts: ProviderSpec | TargetSpec | AliasSpec | PolicySpec | WorkflowSpec | KeySpec,
    allow_sets: tuple[tuple[str, ...], ...] = (),
    unregistered: str | None = None,
) -> Document:
    """A document of these parts. Without a key in them, one that may do everything is added."""

    def of(kind: type[Any]) -> tuple[Any, ...]:
        return tuple(part for part in parts if isinstance(part, kind))

    return Document(
        providers=of(ProviderSpec),
        targets=of(TargetSpec),
        aliases=of(AliasSpec),
        policies=of(PolicySpec),
        workflows=of(WorkflowSpec),
        allow_sets=allow_sets,
        keys=of(KeySpec) or (key(),),
        unregistered=None if unregistered is None else Unregistered(unregistered),
    )
