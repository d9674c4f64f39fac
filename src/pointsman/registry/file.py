"""The file as people send it. What is stored is `core.document`; `build` turns the one into the other.

The descriptions here are the reference: docs/reference/registry-file.md and the JSON Schema are held to them.
Absent values are `UNSET`, so that "not said" (ask the catalog) stays apart from every value that can be said.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from pointsman.core.capability import Known, Task
from pointsman.core.policy import FailureKind, Strategy, UnknownCapabilities
from pointsman.core.target import ApprovalState, Flow, Lifecycle, Tier

CapabilityName = Literal[
    "streaming",
    "tools",
    "json_schema",
    "image_input",
    "audio_input",
    "pdf_input",
    "reasoning",
    "audio_output",
]
"""The names of `core.capability.CAPABILITIES`; a test holds the two together."""

Tokens = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Amount = Annotated[Decimal, Meta(extra_json_schema={"type": ["number", "string"], "minimum": 0})]
_DATE = r"^\d{4}-\d{2}-\d{2}(T\d{2}:\d{2}(:\d{2})?(Z|[+-]\d{2}:\d{2}))?$"
DateText = Annotated[str, Meta(extra_json_schema={"pattern": _DATE})]


class Sent(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Base of everything in the file: unknown keys are errors."""


Duration = Annotated[
    str,
    Meta(
        extra={"code": "bad_duration", "mend": "write a duration with its unit, such as 500ms, 2s, 1m or 2h"},
        extra_json_schema={"pattern": r"^\d+(\.\d+)?(ms|s|m|h)$"},
    ),
]


class TimeoutsEntry(Sent, frozen=True):
    """How long each phase of an upstream call may take: `500ms`, `2s`, `1m`, `2h`."""

    connect: (
        Annotated[Duration, Meta(description="Until the connection stands, TLS included. Default 5s.")] | UnsetType
    ) = UNSET
    first_token: (
        Annotated[Duration, Meta(description="From the request to the first content token of a stream. Default 60s.")]
        | UnsetType
    ) = UNSET
    idle: Annotated[Duration, Meta(description="The longest silence inside an answer. Default 60s.")] | UnsetType = (
        UNSET
    )
    total: Annotated[Duration, Meta(description="The whole call. Default 600s.")] | UnsetType = UNSET


class RatesEntry(Sent, frozen=True):
    """Prices in US dollars per million tokens, exact decimals. `request` is dollars per call."""

    input: Annotated[Amount, Meta(description="Input tokens.")] | UnsetType = UNSET
    output: Annotated[Amount, Meta(description="Output tokens.")] | UnsetType = UNSET
    cached_input: Annotated[Amount, Meta(description="Input tokens read from the provider's cache.")] | UnsetType = (
        UNSET
    )
    cache_write: Annotated[Amount, Meta(description="Input tokens written to the provider's cache.")] | UnsetType = (
        UNSET
    )
    audio_input: Annotated[Amount, Meta(description="Audio input tokens.")] | UnsetType = UNSET
    audio_output: Annotated[Amount, Meta(description="Audio output tokens.")] | UnsetType = UNSET
    request: Annotated[Amount, Meta(description="Dollars per call, whatever its tokens.")] | UnsetType = UNSET


class PriceTierEntry(RatesEntry, frozen=True, kw_only=True):
    """Rates of the whole call once its input exceeds `over` tokens. Rates not said here are those of the base."""

    over: Annotated[int, Meta(ge=1, le=1_000_000_000, description="Input tokens above which this tier holds.")]


class PricesEntry(RatesEntry, frozen=True):
    """What a target costs."""

    tiers: Annotated[tuple[PriceTierEntry, ...], Meta(description="Dearer (or cheaper) rates of long inputs.")] = ()


class ProviderEntry(Sent, frozen=True):
    """A vendor account or endpoint."""

    family: Annotated[str, Meta(description="How it is reached and spoken to. This version knows `openai`.")]
    base_url: Annotated[str, Meta(description="Address of the API. Default: that of the family.")] | UnsetType = UNSET
    credential: (
        Annotated[
            str,
            Meta(
                description="Reference to the secret: `env:NAME` or `file:PATH`. Never the secret itself.",
                extra_json_schema={"pattern": r"^(env:[A-Za-z_][A-Za-z0-9_]*|file:.+)$"},
            ),
        ]
        | UnsetType
    ) = UNSET
    region: Annotated[str, Meta(description="Where the provider processes the data.")] | UnsetType = UNSET
    ca_file: (
        Annotated[str, Meta(description="PEM file of the authorities to trust instead of the system's.")] | UnsetType
    ) = UNSET
    proxy: Annotated[str, Meta(description="Egress proxy, `http://host:port`.")] | UnsetType = UNSET
    stream_usage: Annotated[
        bool,
        Meta(description="Whether the gateway may ask for usage in streams (`stream_options.include_usage`)."),
    ] = True
    headers: Annotated[
        dict[str, str],
        Meta(description="Further static headers for every call. Secrets are refused: they belong in `credential`."),
    ] = {}


class TargetEntry(Sent, frozen=True):
    """A provider's exact model. What is not said comes from the catalog."""

    state: Annotated[ApprovalState, Meta(description="Our word on it. Only `approved` is served.")] = (
        ApprovalState.DRAFT
    )
    tier: Annotated[Tier, Meta(description="Cost class.")] | UnsetType = UNSET
    tags: Annotated[tuple[str, ...], Meta(description="Statements of policy that people decide.")] = ()
    participates: Annotated[tuple[Flow, ...], Meta(min_length=1, description="The flows it may serve in.")] = (
        Flow.PRIMARY,
        Flow.FALLBACK,
    )
    timeouts: Annotated[TimeoutsEntry, Meta(description="Limits of each phase.")] | UnsetType = UNSET
    task: (
        Annotated[Task, Meta(description="The kind of work. Default: the catalog's word, else `chat`.")] | UnsetType
    ) = UNSET
    capabilities: Annotated[
        dict[CapabilityName, bool | Known],
        Meta(description="What it can do: `yes`, `no` or `unknown` each."),
    ] = {}
    context_window: Annotated[Tokens, Meta(description="Tokens of input and output together.")] | UnsetType = UNSET
    max_output: Annotated[Tokens, Meta(description="Most output tokens of one answer.")] | UnsetType = UNSET
    prices: (
        Annotated[
            PricesEntry | Literal["free"],
            Meta(description="Dollars per million tokens, or `free` for a model that you run yourself."),
        ]
        | UnsetType
    ) = UNSET
    lifecycle: Annotated[Lifecycle, Meta(description="The provider's word on the model.")] | UnsetType = UNSET
    retires_at: (
        Annotated[DateText, Meta(description="When the provider ends it: from the start of that day (UTC).")]
        | UnsetType
    ) = UNSET
    floating: (
        Annotated[
            bool,
            Meta(description="Say `true` to approve a vendor alias that may change under you (`gpt-4o`)."),
        ]
        | UnsetType
    ) = UNSET
    owner: Annotated[str, Meta(description="Who answers for the approval. For people; not published.")] = ""
    notes: Annotated[str, Meta(description="Free text for people; not published.")] = ""


class RequireEntry(Sent, frozen=True):
    """What every candidate has to be, whatever the request asks for."""

    tags: Annotated[tuple[str, ...], Meta(description="Tags that must all be carried.")] = ()
    capabilities: Annotated[tuple[CapabilityName, ...], Meta(description="Capabilities that must all be there.")] = ()
    unknown_capabilities: Annotated[
        UnknownCapabilities, Meta(description="Whether a capability nobody has stated may pass.")
    ] = UnknownCapabilities.ALLOW
    tiers: Annotated[tuple[Tier, ...], Meta(description="Cost classes allowed. Empty: any.")] = ()
    task: Annotated[Task, Meta(description="The kind of work.")] | UnsetType = UNSET
    context_window: Annotated[Tokens, Meta(description="Least context window, in tokens.")] | UnsetType = UNSET
    max_output: Annotated[Tokens, Meta(description="Least output limit, in tokens.")] | UnsetType = UNSET


class CandidateEntry(Sent, frozen=True):
    """A target with its share under the `weighted` strategy."""

    target: Annotated[str, Meta(description="Name of the target.")]
    weight: Annotated[int, Meta(ge=1, le=1_000_000, description="Share relative to the other candidates.")] = 1


class OnFailureEntry(Sent, frozen=True):
    """What happens when an attempt fails."""

    retry: Annotated[int, Meta(ge=0, le=5, description="Further attempts at the same target.")] = 1
    fallback: Annotated[bool, Meta(description="Whether the next candidate may take over.")] = True
    on: (
        Annotated[tuple[FailureKind, ...], Meta(description="The failures that count. Default: those that may pass.")]
        | UnsetType
    ) = UNSET


class PolicyEntry(Sent, frozen=True):
    """Routing rules."""

    candidates: Annotated[
        tuple[str | CandidateEntry, ...],
        Meta(min_length=1, description="Targets in order: names, or `{target, weight}`."),
    ]
    require: Annotated[RequireEntry, Meta(description="What every candidate has to be.")] = RequireEntry()
    strategy: Annotated[Strategy, Meta(description="How eligible candidates are ordered.")] = Strategy.PRIORITY
    on_failure: Annotated[OnFailureEntry, Meta(description="Retry and fallback.")] = OnFailureEntry()


class WorkflowEntry(Sent, frozen=True):
    """A named unit of application work: applications send `model: "<its name>"`."""

    policy: Annotated[str, Meta(description="Name of its policy.")]
    owner: Annotated[str, Meta(description="Who answers for it.")] = ""
    require: Annotated[RequireEntry, Meta(description="Requirements beside those of the policy; both hold.")] = (
        RequireEntry()
    )


class KeyEntry(Sent, frozen=True):
    """A caller's key, held as a hash."""

    name: Annotated[str, Meta(description="What it is called in records and reports.")]
    hash: Annotated[
        str,
        Meta(
            description="`sha256:` and the hex SHA-256 of the key.",
            extra_json_schema={"pattern": "^sha256:[0-9a-f]{64}$"},
        ),
    ]
    allow: Annotated[
        tuple[str, ...] | Literal["all"],
        Meta(description="Names it may use (workflows, aliases, targets), or `all`."),
    ]
    team: Annotated[str, Meta(description="Who uses it.")] = ""
    providers: Annotated[tuple[str, ...], Meta(description="Providers that may serve it. Empty: any.")] = ()
    require_tags: Annotated[tuple[str, ...], Meta(description="Tags that every target serving it must carry.")] = ()
    expires: (
        Annotated[DateText, Meta(description="Last day it works (until the end of it, UTC), or an instant.")]
        | UnsetType
    ) = UNSET


class UnregisteredEntry(Sent, frozen=True):
    """What happens to names that nobody registered. Without this they are refused."""

    observe: Annotated[str, Meta(description="Provider to forward them to, marked as unregistered.")]


class RegistryFile(Sent, frozen=True):
    """The whole file. Every key is optional unless said."""

    version: Annotated[Literal[1], Meta(description="Version of this format.")] = 1
    providers: Annotated[dict[str, ProviderEntry], Meta(description="Vendor accounts and endpoints.")] = {}
    targets: Annotated[
        dict[str, TargetEntry | None], Meta(description="What may be called, as `provider:model-id`.")
    ] = {}
    aliases: Annotated[dict[str, str], Meta(description="Public names, each pointing to one target.")] = {}
    policies: Annotated[dict[str, PolicyEntry], Meta(description="Routing rules by name.")] = {}
    workflows: Annotated[dict[str, WorkflowEntry], Meta(description="Units of application work by name.")] = {}
    keys: Annotated[tuple[KeyEntry, ...], Meta(description="Callers.")] = ()
    unregistered: Annotated[UnregisteredEntry, Meta(description="What happens to unknown names.")] | UnsetType = UNSET


SECTIONS = ("providers", "targets", "aliases", "policies", "workflows", "keys")
"""Top-level keys that may be left empty (`aliases:` with nothing below it)."""


def schema() -> dict[str, Any]:
    """JSON Schema (2020-12) of the file, for editors."""
    (root,), definitions = msgspec.json.schema_components([RegistryFile], ref_template="#/$defs/{name}")
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "Pointsman registry",
        **root,
        "$defs": definitions,
    }
