"""What is wrong with a registry file: a code, where, what, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any

import msgspec

from pointsman.registry.secret import looks_secret

Path = tuple[str | int, ...]
"""Keys and indexes from the top of the file to the place that is meant."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN = 60
_LOOKED_AT = 300

MOST = 10_000
"""Problems of one file that are told. What makes more is not a mistake but another file, and memory has an end."""


class Problem(msgspec.Struct, frozen=True, gc=False):
    """One thing that is wrong (or, as a warning, doubtful).

    `code` is a row of docs/reference/problems.md. `where` is the dotted path inside the file; `line` and `column`
    count from 1 and are 0 when the place has none (an empty file).
    """

    code: str
    message: str
    mend: str
    where: str = ""
    source: str = ""
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        place = f"{self.source}:{self.line}:{self.column}" if self.line else self.source
        return f"{place}: {self.message}. Mend: {self.mend}."


class RegistryInvalid(ValueError):  # noqa: N818 (the name is the API; it reads as what it says)
    """A registry file that does not compile. `problems` has all of them, `warnings` what was doubtful beside."""

    def __init__(self, problems: Iterable[Problem], warnings: Iterable[Problem] = ()) -> None:
        self.problems = tuple(problems)
        self.warnings = tuple(warnings)
        count = len(self.problems)
        head = "\n".join(str(problem) for problem in self.problems[:20])
        more = f"\n… and {count - 20} more" if count > 20 else ""
        super().__init__(f"{count} problem{'s' if count != 1 else ''}\n{head}{more}")


class Found(msgspec.Struct, gc=False):
    """A problem before its line is known. Lines are looked up once, and only when there is something to say."""

    code: str
    path: Path
    message: str
    mend: str
    line: int = 0
    column: int = 0


class Findings:
    """Collects everything that is wrong, so that one look at a file shows all of it.

    Entries that were only half understood are spoiled: later checks leave them alone, because a second message that
    follows from the first would mislead.
    """

    def __init__(self) -> None:
        self.problems: list[Found] = []
        self.warnings: list[Found] = []
        self._spoiled: set[Path] = set()
        self._kept: dict[Path, Sequence[int]] = {}

    def problem(self, code: str, path: Path, message: str, mend: str, *, line: int = 0, column: int = 0) -> None:
        """Note something that could not be understood. It spoils the entry that it is in."""
        path = self.refuse(code, path, message, mend, line=line, column=column)
        self.spoil(path)

    def refuse(self, code: str, path: Path, message: str, mend: str, *, line: int = 0, column: int = 0) -> Path:
        """Note something that was understood and may not be. Gives its path as it is in the file."""
        path = self._as_written(path)
        if len(self.problems) < MOST:
            self.problems.append(Found(code, path, message, mend, line, column))
        elif len(self.problems) == MOST:
            said = f"there are more than {MOST} problems; these are the first"
            self.problems.append(Found("too_many_problems", (), said, "mend these, then look again"))
        return path

    def warning(self, code: str, path: Path, message: str, mend: str) -> None:
        """Note something a person should look at, which does not keep the file from compiling."""
        if len(self.warnings) < MOST:
            self.warnings.append(Found(code, self._as_written(path), message, mend))

    def spoil(self, path: Path) -> None:
        """Leave the entry (or the section) that a path is in alone from now on."""
        self._spoiled.add(path[:2])

    def spoilt(self, section: str, name: str | int) -> bool:
        """Whether an entry, or its whole section, was only half understood."""
        return bool(self._spoiled) and ((section, name) in self._spoiled or (section,) in self._spoiled)

    def keep(self, path: Path, indexes: Sequence[int]) -> None:
        """Say which items of the list at `path` are left: later paths count those, people count all."""
        before = self._kept.get(path)
        self._kept[path] = indexes if before is None else [before[index] for index in indexes]

    def _as_written(self, path: Path) -> Path:
        if not self._kept:
            return path
        written: Path = ()
        for part in path:
            if isinstance(part, int) and written in self._kept:
                part = self._kept[written][part]
            written = (*written, part)
        return written


def dotted(path: Path) -> str:
    """A path as people write it: `targets["openai:gpt-4.1"].tags[0]`."""
    said = ""
    for part in path:
        if isinstance(part, int):
            said += f"[{part}]"
        elif _PLAIN.fullmatch(part) and len(part) <= _SHOWN and not looks_secret(part):
            said += f".{part}" if said else part
        else:
            said += f'["{shown(part)}"]'
    return said


def shown(value: Any) -> str:
    """A value of the file as it may be repeated in a message: short, printable, and never what looks like a secret."""
    text = str(value)[:_LOOKED_AT]
    if looks_secret(text):
        return "(not shown: it looks like a secret)"
    text = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
