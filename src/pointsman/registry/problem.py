"""What is wrong with a registry file: a code, where, what, and what to do about it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

Path = tuple[str | int, ...]
"""Keys and indexes from the top of the file to the place that is meant."""

_PLAIN = re.compile(r"[A-Za-z0-9_-]+")
_SECRET = re.compile(r"(?i)(?:bearer |basic |(?:sk|gsk|pk|rk|xai|ghp|hf|r8|fw|nvapi|tgp|csk)[-_]|AIza)")
_SHOWN = 60


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

    `spoiled` has the first two path elements (section and entry) of every problem: later checks leave such entries
    alone, because a second message about a half-read entry would mislead.
    """

    def __init__(self) -> None:
        self.problems: list[Found] = []
        self.warnings: list[Found] = []
        self.spoiled: set[Path] = set()

    def problem(self, code: str, path: Path, message: str, mend: str, *, line: int = 0, column: int = 0) -> None:
        """Note something that keeps the file from compiling."""
        self.problems.append(Found(code, path, message, mend, line, column))
        self.spoiled.add(path[:2])

    def warning(self, code: str, path: Path, message: str, mend: str) -> None:
        """Note something a person should look at, which does not keep the file from compiling."""
        self.warnings.append(Found(code, path, message, mend))


def dotted(path: Path) -> str:
    """A path as people write it: `targets["openai:gpt-4.1"].tags[0]`."""
    said = ""
    for part in path:
        if isinstance(part, int):
            said += f"[{part}]"
        elif _PLAIN.fullmatch(part):
            said += f".{part}" if said else part
        else:
            said += f'["{shown(part)}"]'
    return said


def shown(value: Any) -> str:
    """A value of the file as it may be repeated in a message: short, printable, and never what looks like a secret."""
    text = str(value)
    if _SECRET.match(text):
        return "(not shown: it looks like a secret)"
    text = "".join(c if c.isprintable() else "?" for c in text[: _SHOWN + 1])
    return text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
