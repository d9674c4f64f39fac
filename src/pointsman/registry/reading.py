"""Text to plain values: strict, bounded YAML (of which JSON is a part), read event by event.

Scalars follow the YAML 1.2 core schema, so that `on`, `yes`, `2026-06-30` and keys stay the text that was written.
Numbers with a fraction become `Decimal`: prices are never floats. Anchors and merge keys work within the size bound.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from decimal import Decimal
from typing import Any

import yaml

from pointsman.registry.problem import Findings, Path, shown

MAX_BYTES = 64 * 1024 * 1024
MAX_DEPTH = 24
MAX_NODES = 4_000_000
_MAX_DIGITS = 40

_INT = re.compile(r"[-+]?[0-9]+")
_FRACTION = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]{1,3})?|[-+]?[0-9]+[eE][-+]?[0-9]{1,3}")
_WORDS: dict[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}
_NUMERIC_START = frozenset("0123456789+-.")


class Unreadable(Exception):  # noqa: N818 (ends the reading; what is wrong is in the findings)
    """The text cannot be read at all; the finding that says why has been noted."""


class _Open:
    """A collection that is being read: its value, the key that waits for a value, and its place."""

    __slots__ = ("anchor", "count", "key", "keyed", "merges", "path", "value")

    def __init__(self, value: dict[str, Any] | list[Any], path: Path, anchor: str | None, count: int) -> None:
        self.value = value
        self.path = path
        self.anchor = anchor
        self.count = count
        self.key = ""
        self.keyed = False
        self.merges: list[Any] = []


def decode(data: str | bytes, findings: Findings) -> str:
    """The text of a file. Raises Unreadable when it is too large or not UTF-8."""
    if isinstance(data, str):
        data = data.encode("utf-8", "surrogatepass")
    if len(data) > MAX_BYTES:
        findings.problem(
            "file_too_large",
            (),
            f"the file has {len(data)} bytes, the limit is {MAX_BYTES}",
            "split the registry, or check that this is the file you meant",
        )
        raise Unreadable
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        before = data[: error.start]
        line = before.count(b"\n") + 1
        findings.problem(
            "not_utf8",
            (),
            "the file is not UTF-8 text",
            "save the file as UTF-8",
            line=line,
            column=error.start - before.rfind(b"\n"),
        )
        raise Unreadable from error


def events(text: str, findings: Findings) -> Iterator[Any]:
    """The events of a YAML text. Raises Unreadable after noting where the syntax breaks."""
    try:
        yield from yaml.parse(text, Loader=yaml.CSafeLoader)
    except yaml.MarkedYAMLError as error:
        mark, began = error.problem_mark or error.context_mark, error.context_mark
        said = ", ".join(part for part in (error.context, error.problem) if part)
        if mark and began and began.line != mark.line:
            said += f" (it begins at line {began.line + 1})"
        findings.problem(
            "yaml_syntax",
            (),
            f"this is not YAML: {said}",
            "check the indentation, quotes and brackets here and on the line before",
            line=mark.line + 1 if mark else 1,
            column=mark.column + 1 if mark else 1,
        )
        raise Unreadable from error
    except (yaml.YAMLError, UnicodeEncodeError) as error:
        line, column = _bad_character(text)
        findings.problem(
            "yaml_syntax",
            (),
            "the text has a character that YAML does not allow",
            "remove control characters and write the text again",
            line=line,
            column=column,
        )
        raise Unreadable from error


_BAD_CHARACTER = re.compile("[^\t\n\r\x20-\x7e\x85\xa0-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


def _bad_character(text: str) -> tuple[int, int]:
    found = _BAD_CHARACTER.search(text)
    at = found.start() if found else 0
    return text.count("\n", 0, at) + 1, at - text.rfind("\n", 0, at)


def read(text: str, findings: Findings) -> Any:
    """The plain value of a YAML text: dict, list, str, int, Decimal, bool or None.

    Doubled keys, explicit tags and the like are noted and reading goes on. Raises Unreadable when it cannot.
    """
    return _Reader(findings).read(text)


class _Reader:
    def __init__(self, findings: Findings) -> None:
        self._findings = findings
        self._stack: list[_Open] = []
        self._anchors: dict[str, tuple[Any, int]] = {}
        self._nodes = 0
        self._documents = 0
        self._root: Any = None

    def read(self, text: str) -> Any:
        for event in events(text, self._findings):
            kind = type(event)
            if kind is yaml.ScalarEvent:
                self._scalar(event)
            elif kind is yaml.MappingStartEvent:
                self._start({}, event)
            elif kind is yaml.SequenceStartEvent:
                self._start([], event)
            elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                self._end(event)
            elif kind is yaml.AliasEvent:
                self._alias(event)
            elif kind is yaml.DocumentStartEvent:
                self._documents += 1
                if self._documents > 1:
                    self._note("several_documents", event, "the file has more than one YAML document", "remove `---`")
                    raise Unreadable
        if self._documents == 0 or self._root is None:
            self._findings.problem(
                "empty_file",
                (),
                "the file is empty",
                "run `pointsman init`, or begin with `version: 1`",
                line=1,
                column=1,
            )
            raise Unreadable
        return self._root

    def _note(self, code: str, event: Any, message: str, mend: str) -> None:
        mark = event.start_mark
        self._findings.problem(code, self._here(), message, mend, line=mark.line + 1, column=mark.column + 1)

    def _here(self) -> Path:
        if not self._stack:
            return ()
        top = self._stack[-1]
        if isinstance(top.value, list):
            return (*top.path, len(top.value))
        return (*top.path, top.key) if top.keyed else top.path

    def _count(self, event: Any, nodes: int = 1) -> None:
        self._nodes += nodes
        if self._nodes > MAX_NODES:
            self._note(
                "yaml_too_large",
                event,
                f"the file has more than {MAX_NODES} values once its anchors are written out",
                "write fewer entries, or do not multiply them with anchors",
            )
            raise Unreadable

    def _scalar(self, event: Any) -> None:
        self._nodes += 1
        if self._nodes > MAX_NODES:
            self._count(event, 0)
        text: str = event.value
        if event.tag is not None:
            self._refuse_tag(event)
        if self._stack:
            top = self._stack[-1]
            value = top.value
            if isinstance(value, dict) and not top.keyed:
                if event.anchor is not None:
                    self._anchors[event.anchor] = (text, 1)
                self._key(top, text, event)
                return
        scalar = self._resolve(text, event) if event.implicit[0] else text
        if event.anchor is not None:
            self._anchors[event.anchor] = (scalar, 1)
        self._put(scalar, event)

    def _key(self, top: _Open, text: str, event: Any) -> None:
        top.key = text
        top.keyed = True
        if text in top.value:
            self._note(
                "duplicate_key",
                event,
                f"the key `{shown(text)}` is written twice in one mapping",
                "keep one of them; the second would silently replace the first",
            )

    def _refuse_tag(self, event: Any) -> None:
        self._note(
            "yaml_tag",
            event,
            f"the YAML tag `{shown(event.tag)}` is not allowed",
            "write the plain value without a tag",
        )

    def _resolve(self, text: str, event: Any) -> Any:
        if text in _WORDS:
            return _WORDS[text]
        if text[0] not in _NUMERIC_START:
            return text
        if _INT.fullmatch(text):
            if len(text) > _MAX_DIGITS:
                self._note("out_of_range", event, f"a number with {len(text)} digits", "write a number that is meant")
                return 0
            return int(text)
        if len(text) <= _MAX_DIGITS and _FRACTION.fullmatch(text):
            return Decimal(text)
        return text

    def _start(self, value: dict[str, Any] | list[Any], event: Any) -> None:
        self._count(event)
        if event.tag is not None:
            self._refuse_tag(event)
        if len(self._stack) >= MAX_DEPTH:
            self._note("yaml_too_deep", event, f"values are nested more than {MAX_DEPTH} deep", "flatten the file")
            raise Unreadable
        if self._stack and isinstance(self._stack[-1].value, dict) and not self._stack[-1].keyed:
            self._note("yaml_key", event, "a key is a mapping or a list", "write a plain word as key")
            raise Unreadable
        self._stack.append(_Open(value, self._here(), event.anchor, self._nodes))

    def _end(self, event: Any) -> None:
        done = self._stack.pop()
        if done.merges:
            self._merge(done, event)
        if done.anchor is not None:
            self._anchors[done.anchor] = (done.value, self._nodes - done.count + 1)
        self._put(done.value, event)

    def _alias(self, event: Any) -> None:
        if event.anchor not in self._anchors:
            self._note(
                "yaml_anchor",
                event,
                f"`*{shown(event.anchor)}` stands before its anchor is complete, or has none",
                f"define `&{shown(event.anchor)}` on an earlier value",
            )
            raise Unreadable
        value, nodes = self._anchors[event.anchor]
        self._count(event, nodes)
        if self._stack and isinstance(self._stack[-1].value, dict) and not self._stack[-1].keyed:
            if not isinstance(value, str):
                self._note("yaml_key", event, "a key is not a plain word", "write a plain word as key")
                raise Unreadable
            self._key(self._stack[-1], value, event)
            return
        self._put(value, event)

    def _put(self, value: Any, event: Any) -> None:
        if not self._stack:
            self._root = value
            return
        top = self._stack[-1]
        if isinstance(top.value, list):
            top.value.append(value)
            return
        if top.key == "<<":
            top.merges.append(value)
        else:
            top.value[top.key] = value
        top.keyed = False

    def _merge(self, done: _Open, event: Any) -> None:
        for merged in done.merges:
            for source in merged if isinstance(merged, list) else [merged]:
                if not isinstance(source, dict):
                    self._note("yaml_merge", event, "`<<` merges something that is no mapping", "merge a mapping")
                    continue
                self._count(event, len(source))
                for key, value in source.items():
                    done.value.setdefault(key, value)  # type: ignore[union-attr]  # only mappings collect merges
