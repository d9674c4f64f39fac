"""Whether plain values have the shape of the file: keys, types, words and ranges.

A file that is right is decoded in one go. Only when that fails are the values walked with the same types in hand, so
that everything that is wrong is told at once; what is left then goes on to the later checks.
"""

from __future__ import annotations

import enum
from collections.abc import Callable, Mapping, Sequence
from decimal import Decimal, InvalidOperation
from types import MappingProxyType
from typing import Any, Final

import msgspec
from msgspec import inspect

from pointsman.registry.file import SECTIONS, RegistryFile
from pointsman.registry.problem import Findings, Path, shown
from pointsman.registry.suggest import Suggest

LATER_KEYS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("PolicyEntry", "mirror"): "mirroring",
        ("PolicyEntry", "hedge"): "hedging",
        ("WorkflowEntry", "evaluators"): "evaluators",
        ("WorkflowEntry", "guards"): "guards",
        ("WorkflowEntry", "budget"): "budgets",
        ("KeyEntry", "limits"): "limits",
        ("KeyEntry", "budget"): "budgets",
    }
)
"""Keys of the design that this version does not act on. They are refused: nothing is accepted and then ignored."""

LATER_WORDS: Mapping[tuple[str, str], str] = MappingProxyType(
    {
        ("Strategy", "cheapest"): "the strategy `cheapest`",
        ("Strategy", "fastest"): "the strategy `fastest`",
        ("Strategy", "least_busy"): "the strategy `least_busy`",
        ("Strategy", "sticky"): "the strategy `sticky`",
    }
)


class _Bad(enum.Enum):
    """Stands for a value that cannot be used."""

    BAD = enum.auto()


BAD: Final = _Bad.BAD


def shape(plain: Any, findings: Findings, suggest: Suggest) -> RegistryFile:
    """The plain value as a file. What does not fit is noted in `findings` and left out."""
    if isinstance(plain, dict):
        plain = {key: value for key, value in plain.items() if value is not None or key not in SECTIONS}
    try:
        return msgspec.convert(plain, RegistryFile)
    except msgspec.ValidationError as error:
        before = len(findings.problems)
        walk = _Walk(findings, suggest)
        cleaned = walk.value(plain, inspect.type_info(RegistryFile), ())
        for path, indexes in walk.kept.items():
            findings.keep(path, indexes)
        if len(findings.problems) == before:
            # The walk must see what the decoder saw; should it not, the decoder's own place is still the truth.
            _undecodable(findings, error)
    try:
        return RegistryFile() if cleaned is BAD else msgspec.convert(cleaned, RegistryFile)
    except msgspec.ValidationError as error:
        _undecodable(findings, error)
        return RegistryFile()


def _undecodable(findings: Findings, error: msgspec.ValidationError) -> None:
    # Its own message may repeat the value, and the value may be a secret.
    where = str(error).rpartition(" - at ")[2]
    findings.problem(
        "wrong_type", (), f"the file cannot be decoded at {shown(where)}", "correct the value that stands there"
    )


def kind_of(value: Any) -> str:
    """A plain value's type in the words of the file."""
    names: tuple[tuple[type, str], ...] = (
        (bool, "true/false"),
        (str, "text"),
        (int, "a whole number"),
        (Decimal, "a number with a fraction"),
        (dict, "a mapping"),
        (list, "a list"),
    )
    return next((name for kind, name in names if isinstance(value, kind)), "nothing")


class _Walk:
    def __init__(self, findings: Findings, suggest: Suggest) -> None:
        self._findings = findings
        self._suggest = suggest
        self._hint: Mapping[str, str] = {}
        self.kept: dict[Path, list[int]] = {}
        """Of each list that lost items: where those that are left stood."""

    def value(self, value: Any, kind: inspect.Type, path: Path) -> Any:
        """`value` without what does not fit `kind`, or BAD."""
        self._hint = {}
        if isinstance(kind, inspect.Metadata):
            self._hint = kind.extra or {}
            kind = kind.type
        if isinstance(kind, inspect.UnionType):
            return self._union(value, kind, path)
        walk: Callable[[_Walk, Any, Any, Path], Any] = _WALKS[type(kind)]
        return walk(self, value, kind, path)

    def _wrong(self, value: Any, wanted: str, path: Path, mend: str = "") -> _Bad:
        if value is None:
            code, message = "no_value", "there is no value here"
            mend = "write a value, or remove the key"
        else:
            code = self._hint.get("code", "wrong_type")
            message = f"this must be {wanted}, not {kind_of(value)}"
            mend = self._hint.get("mend", mend) or f"write {wanted}"
        self._findings.problem(code, path, message, mend)
        return BAD

    def _struct(self, value: Any, kind: inspect.StructType, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "a mapping", path)
        fields = {field.encode_name: field for field in kind.fields}
        cleaned: dict[str, Any] = {}
        whole = True
        for key, item in value.items():
            field = fields.get(key)
            if field is None:
                self._unknown_key(key, kind, list(fields), (*path, key))
                continue
            kept = self.value(item, field.type, (*path, key))
            if kept is not BAD:
                cleaned[key] = kept
            elif field.required:
                whole = False
        for name, field in fields.items():
            if field.required and name not in value:
                self._findings.problem("missing_key", path, f"the key `{name}` is missing", f"add `{name}:`")
                whole = False
        return cleaned if whole else BAD

    def _unknown_key(self, key: str, kind: inspect.StructType, known: list[str], path: Path) -> None:
        later = LATER_KEYS.get((kind.cls.__name__, key))
        if later is not None:
            self._findings.problem(
                "not_yet_supported", path, f"{later} is not supported in this version", f"remove `{key}` for now"
            )
            return
        otherwise = f"remove it; known here: {', '.join(known)}"
        self._findings.problem(
            "unknown_key", path, f"the key `{shown(key)}` is not known here", self._suggest.of(key, known, otherwise)
        )

    def _dict(self, value: Any, kind: inspect.DictType, path: Path) -> Any:
        if not isinstance(value, dict):
            return self._wrong(value, "a mapping", path)
        cleaned = {}
        for key, item in value.items():
            place = (*path, key)
            if isinstance(kind.key_type, inspect.LiteralType) and key not in kind.key_type.values:
                words = [str(word) for word in kind.key_type.values]
                self._findings.problem(
                    "unknown_key",
                    place,
                    f"the key `{shown(key)}` is not known here",
                    self._suggest.of(key, words, f"use one of {', '.join(words)}"),
                )
                continue
            kept = self.value(item, kind.value_type, place)
            if kept is not BAD:
                cleaned[key] = kept
        return cleaned

    def _list(self, value: Any, kind: inspect.VarTupleType, path: Path) -> Any:
        if not isinstance(value, list):
            return self._wrong(value, "a list", path, "write `[…]`, or one `- item` a line")
        if kind.min_length and len(value) < kind.min_length:
            self._findings.problem("out_of_range", path, "the list is empty", "name at least one")
            return BAD
        kept = [self.value(item, kind.item_type, (*path, i)) for i, item in enumerate(value)]
        places = [i for i, item in enumerate(kept) if item is not BAD]
        if len(places) < (kind.min_length or 0):
            return BAD
        if len(places) < len(kept):
            self.kept[path] = places
        return [kept[i] for i in places]

    def _word(self, value: Any, kind: inspect.EnumType | inspect.LiteralType, path: Path) -> Any:
        known: Sequence[object]
        if isinstance(kind, inspect.EnumType):
            known, name = [str(member.value) for member in kind.cls], kind.cls.__name__
        else:
            known, name = kind.values, ""
        words = [str(word) for word in known]
        if any(value == word and type(value) is type(word) for word in known):
            return value
        said = f"one of {', '.join(words)}" if len(words) > 1 else f"`{words[0]}`"
        if not isinstance(value, str) or not isinstance(known[0], str):
            return self._wrong(value, f"the number {said}" if isinstance(known[0], int) else said, path)
        later = LATER_WORDS.get((name, value))
        if later is not None:
            self._findings.problem(
                "not_yet_supported", path, f"{later} is not supported in this version", f"use {said}"
            )
        else:
            self._findings.problem(
                "unknown_word", path, f"`{shown(value)}` is not {said}", self._suggest.of(value, words, f"use {said}")
            )
        return BAD

    def _text(self, value: Any, kind: inspect.StrType, path: Path) -> Any:
        return value if isinstance(value, str) else self._wrong(value, "text", path, "put it into quotes")

    def _flag(self, value: Any, kind: inspect.BoolType, path: Path) -> Any:
        return value if isinstance(value, bool) else self._wrong(value, "true or false", path)

    def _whole(self, value: Any, kind: inspect.IntType, path: Path) -> Any:
        if not isinstance(value, int) or isinstance(value, bool):
            return self._wrong(value, "a whole number", path, "write digits only, without quotes or separators")
        if (kind.ge is not None and value < kind.ge) or (kind.le is not None and value > kind.le):
            self._findings.problem(
                "out_of_range", path, f"{value} is outside {kind.ge} to {kind.le}", f"write {kind.ge} to {kind.le}"
            )
            return BAD
        return value

    def _decimal(self, value: Any, kind: inspect.DecimalType, path: Path) -> Any:
        if isinstance(value, Decimal | int) and not isinstance(value, bool):
            return value
        if isinstance(value, str):
            try:
                return Decimal(value)
            except InvalidOperation:
                pass
        return self._wrong(value, "a number", path, "write dollars per million tokens, such as 2.50")

    def _union(self, value: Any, kind: inspect.UnionType, path: Path) -> Any:
        """The branch that the value's own type points to; without one, what may stand here is said."""
        if value is None and any(isinstance(branch, inspect.NoneType) for branch in kind.types):
            return value
        wanted = next((types for plain, types in _BRANCHES if isinstance(value, plain)), ())
        for branch in kind.types:
            inner = branch.type if isinstance(branch, inspect.Metadata) else branch
            one_word = isinstance(inner, inspect.LiteralType) and value not in inner.values
            if isinstance(inner, wanted) and not one_word:
                return self.value(value, branch, path)
        return self._wrong(value, " or ".join(said for branch in kind.types if (said := _said(branch))), path)


def _said(kind: inspect.Type) -> str:
    """What may stand in a place of this type, in a few words; nothing for what cannot be written."""
    if isinstance(kind, inspect.LiteralType):
        return " or ".join(f"`{word}`" for word in kind.values)
    if isinstance(kind, inspect.EnumType):
        return " or ".join(str(member.value) for member in kind.cls)
    return _SAID.get(type(kind), "")


_BRANCHES: tuple[tuple[type | tuple[type, ...], tuple[type, ...]], ...] = (
    (bool, (inspect.BoolType,)),
    (str, (inspect.StrType, inspect.EnumType, inspect.LiteralType)),
    (dict, (inspect.StructType, inspect.DictType)),
    (list, (inspect.VarTupleType,)),
)
_SAID: Mapping[type, str] = MappingProxyType(
    {
        inspect.BoolType: "true or false",
        inspect.StrType: "text",
        inspect.StructType: "a mapping",
        inspect.VarTupleType: "a list",
    }
)
_WALKS: Mapping[type, Callable[..., Any]] = MappingProxyType(
    {
        inspect.StructType: _Walk._struct,
        inspect.DictType: _Walk._dict,
        inspect.VarTupleType: _Walk._list,
        inspect.EnumType: _Walk._word,
        inspect.LiteralType: _Walk._word,
        inspect.StrType: _Walk._text,
        inspect.BoolType: _Walk._flag,
        inspect.IntType: _Walk._whole,
        inspect.DecimalType: _Walk._decimal,
    }
)
