"""Routing rules: what every candidate must satisfy, which candidates in what order, and what happens on failure."""

from __future__ import annotations

import enum

import msgspec

from pointsman.core.capability import Task
from pointsman.core.target import Tier


class UnknownCapabilities(enum.StrEnum):
    """What a policy makes of a capability that nobody has stated."""

    ALLOW = "allow"
    DENY = "deny"


class Strategy(enum.StrEnum):
    """How eligible candidates are ordered."""

    PRIORITY = "priority"
    WEIGHTED = "weighted"


class FailureKind(enum.StrEnum):
    """Why an attempt failed. Routing, records and error bodies use this one list."""

    RATE_LIMITED = "rate_limited"
    OVERLOADED = "overloaded"
    SERVER_ERROR = "server_error"
    TIMEOUT = "timeout"
    NETWORK = "network"
    TRUNCATED = "truncated"
    EMPTY = "empty"
    INVALID_OUTPUT = "invalid_output"
    AUTH = "auth"
    NOT_FOUND = "not_found"
    CONTEXT_EXCEEDED = "context_exceeded"
    CONTENT_FILTERED = "content_filtered"
    INVALID_REQUEST = "invalid_request"


RETRYABLE_BY_DEFAULT: tuple[FailureKind, ...] = (
    FailureKind.RATE_LIMITED,
    FailureKind.OVERLOADED,
    FailureKind.SERVER_ERROR,
    FailureKind.TIMEOUT,
    FailureKind.NETWORK,
    FailureKind.TRUNCATED,
    FailureKind.EMPTY,
    FailureKind.INVALID_OUTPUT,
)


class Requirements(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """What every candidate has to be, whatever the request asks for.

    `capabilities` is a mask. `tiers` empty means any. `context_window` and `max_output` are minimum tokens.
    """

    tags: tuple[str, ...] = ()
    capabilities: int = 0
    unknown_capabilities: UnknownCapabilities = UnknownCapabilities.ALLOW
    tiers: tuple[Tier, ...] = ()
    task: Task | None = None
    context_window: int | None = None
    max_output: int | None = None


class OnFailure(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """Failure handling of a policy. `retry` counts further attempts at the same target."""

    retry: int = 1
    fallback: bool = True
    on: tuple[FailureKind, ...] = RETRYABLE_BY_DEFAULT


class Candidate(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A target a policy may choose, with its share under the `weighted` strategy."""

    target: str
    weight: int = 1


class PolicySpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A policy as a revision stores it."""

    name: str
    candidates: tuple[Candidate, ...]
    require: Requirements = Requirements()
    strategy: Strategy = Strategy.PRIORITY
    on_failure: OnFailure = OnFailure()


class WorkflowSpec(msgspec.Struct, frozen=True, gc=False, omit_defaults=True):
    """A named unit of application work. `require` holds beside the policy's own requirements."""

    name: str
    policy: str
    owner: str = ""
    require: Requirements = Requirements()
    evaluators: tuple[str, ...] = ()
