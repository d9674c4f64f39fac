"""The keys of the registry file as its reference page has to describe them, read from the types themselves."""

from __future__ import annotations

import enum
from typing import Any

import msgspec
from msgspec import NODEFAULT, inspect

from pointsman.core.target import Timeouts
from pointsman.registry.file import (
    CandidateEntry,
    KeyEntry,
    OnFailureEntry,
    PolicyEntry,
    PricesEntry,
    PriceTierEntry,
    ProviderEntry,
    RegistryFile,
    RequireEntry,
    TargetEntry,
    TimeoutsEntry,
    UnregisteredEntry,
    WorkflowEntry,
)

HEADINGS: dict[type[msgspec.Struct], str] = {
    RegistryFile: "The file",
    ProviderEntry: "Providers",
    TargetEntry: "Targets",
    TimeoutsEntry: "Timeouts",
    PricesEntry: "Prices",
    PriceTierEntry: "Price tiers",
    PolicyEntry: "Policies",
    RequireEntry: "Requirements",
    CandidateEntry: "Candidates",
    OnFailureEntry: "Failure handling",
    WorkflowEntry: "Workflows",
    KeyEntry: "Keys",
    UnregisteredEntry: "Unregistered names",
}

_UNSAID: dict[type[msgspec.Struct], dict[str, str]] = {
    ProviderEntry: {"base_url": "that of the family"},
    TargetEntry: dict.fromkeys(
        ("task", "context_window", "max_output", "prices", "lifecycle", "retires_at", "floating"), "from the catalog"
    ),
    TimeoutsEntry: {field: f"`{getattr(Timeouts(), field):g}s`" for field in Timeouts.__struct_fields__},
    PriceTierEntry: dict.fromkeys(PricesEntry.__struct_fields__, "as the base"),
    OnFailureEntry: {"on": "those that may pass"},
}
"""What holds where nothing is said and the type has no default of its own."""


def described(struct: type[msgspec.Struct]) -> dict[str, list[str]]:
    """Key → type, default and meaning, in the words of the page."""
    kind = inspect.type_info(struct)
    assert isinstance(kind, inspect.StructType)
    return {
        field.encode_name: [_words(field.type), _default(struct, field), _meaning(field.type)] for field in kind.fields
    }


def _default(struct: type[msgspec.Struct], field: inspect.Field) -> str:
    if field.required:
        return "required"
    if field.default is NODEFAULT and field.default_factory is NODEFAULT:
        return _UNSAID.get(struct, {}).get(field.name, "none")
    return _value(field.default) if field.default is not NODEFAULT else _value(field.default_factory())


def _value(value: Any) -> str:
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, enum.Enum | int):
        return f"`{value}`"
    if isinstance(value, tuple) and value:
        return f"`[{', '.join(map(str, value))}]`"
    if value == RequireEntry() or not value:
        return "none"
    assert value == OnFailureEntry()
    return "its own defaults"


def _meaning(kind: inspect.Type) -> str:
    assert isinstance(kind, inspect.Metadata)
    return str((kind.extra_json_schema or {})["description"])


def _words(kind: inspect.Type) -> str:
    match kind:
        case inspect.Metadata(extra={"code": "bad_duration"}):
            return "duration"
        case inspect.Metadata(extra_json_schema={"pattern": pattern}) if "T" in pattern:
            return "date or instant"
        case inspect.Metadata():
            return _words(kind.type)
        case inspect.UnionType():
            return " or ".join(_words(branch) for branch in kind.types if not isinstance(branch, inspect.NoneType))
        case inspect.DictType(key_type=inspect.LiteralType()):
            return f"capability → {_words(kind.value_type)}"
        case inspect.DictType():
            return f"name → {_words(kind.value_type)}"
        case inspect.VarTupleType():
            return f"list of {_words(kind.item_type)}"
        case inspect.StructType():
            heading = HEADINGS[kind.cls]
            return f"[{heading.lower()}](#{heading.lower().replace(' ', '-')})"
        case inspect.EnumType():
            return ", ".join(f"`{member.value}`" for member in kind.cls)
        case inspect.LiteralType():
            return ", ".join(f"`{word}`" for word in kind.values)
        case inspect.IntType():
            return f"{kind.ge:,} to {kind.le:,}"
        case inspect.BoolType():
            return "`true`, `false`"
        case inspect.DecimalType():
            return "dollars"
        case _:
            assert isinstance(kind, inspect.StrType)
            return "text"
