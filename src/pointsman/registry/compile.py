"""Text → document: read, shape, build, prove. Pure; collects all problems before it says no."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping
from datetime import UTC, date, datetime

import msgspec

from pointsman.catalog.fact import Fact
from pointsman.core.document import Document
from pointsman.registry.build import Builder
from pointsman.registry.interlock import Interlock
from pointsman.registry.marks import locate
from pointsman.registry.problem import Findings, Found, Problem, RegistryInvalid, dotted
from pointsman.registry.reading import Unreadable, decode, read
from pointsman.registry.shape import shape
from pointsman.registry.suggest import Suggest
from pointsman.registry.targets import FactSource


class Compiled(msgspec.Struct, frozen=True):
    """A registry that holds: the document, the source of every fact of every target, and doubts for people."""

    document: Document
    facts: dict[str, dict[str, Fact]]
    warnings: tuple[Problem, ...] = ()


def compile_registry(
    text: str | bytes,
    *,
    source: str,
    catalog: FactSource,
    today: date,
    env: Mapping[str, str] | None = None,
) -> Compiled:
    """Compile a registry file. `source` is its name in messages; `env` (if given) is where credentials must be set.

    Raises RegistryInvalid with every problem, each with line and mend.
    """
    findings = Findings()
    document: Document | None = None
    facts: dict[str, dict[str, Fact]] = {}
    words = ""
    with contextlib.suppress(Unreadable):
        words = decode(text, findings)
        suggest = Suggest()
        file = shape(read(words, findings), findings, suggest)
        document, facts = Builder(file, findings, suggest, catalog, today, env).build()
        midnight = datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp()
        Interlock(document, findings, midnight).check()
    problems = _placed(findings.problems, words, source)
    warnings = _placed(findings.warnings, words, source)
    if problems or document is None:
        raise RegistryInvalid(problems, warnings)
    return Compiled(document, facts, warnings)


def _placed(found: list[Found], words: str, source: str) -> tuple[Problem, ...]:
    """Problems with their lines, in the order of the file."""
    missing = {one.path for one in found if not one.line}
    marks = locate(words, missing) if missing else {}
    problems: list[Problem] = []
    lines = words.splitlines() if found else []
    for one in found:
        line, column = (one.line, one.column) if one.line else marks.get(one.path, (1, 1))
        if line > len(lines) > 0:
            # YAML has a last, empty line of its own. What is missing at the end is missing after the last word.
            line, column = len(lines), len(lines[-1]) + 1
        problems.append(Problem(one.code, one.message, one.mend, dotted(one.path), source, line, column))
    return tuple(sorted(set(problems), key=lambda p: (p.line, p.column, p.code, p.message)))
