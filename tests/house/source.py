"""The source tree as the rules of the house see it: modules, what they import, and where."""

from __future__ import annotations

import ast
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import msgspec

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = ROOT / "src" / "pointsman"


class Import(msgspec.Struct, frozen=True):
    """One imported module. `deferred` inside a function, `typing_only` under `if TYPE_CHECKING`."""

    module: str
    line: int
    deferred: bool
    typing_only: bool


class Module(msgspec.Struct, frozen=True):
    """A module of the product: dotted name, file, syntax tree."""

    name: str
    path: Path
    tree: ast.Module

    @property
    def room(self) -> str:
        """The first part of the name below `pointsman`; empty for the package itself."""
        return ".".join(self.name.split(".")[1:2])


@cache
def modules(package: Path = PACKAGE) -> tuple[Module, ...]:
    """Every module of the product."""
    found = []
    for path in sorted(package.rglob("*.py")):
        parts = path.relative_to(package.parent).with_suffix("").parts
        name = ".".join(parts[:-1] if parts[-1] == "__init__" else parts)
        found.append(Module(name, path, ast.parse(path.read_text(encoding="utf-8"), filename=str(path))))
    return tuple(found)


def imports_of(module: Module, known: frozenset[str]) -> Iterator[Import]:
    """What a module imports. `from package import name` is the submodule where `known` has one of that name."""
    yield from _walk(module.tree, known, deferred=False, typing_only=False)


def _walk(node: ast.AST, known: frozenset[str], *, deferred: bool, typing_only: bool) -> Iterator[Import]:
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            for alias in child.names:
                yield Import(alias.name, child.lineno, deferred, typing_only)
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, f"line {child.lineno}: imports are absolute here"
            for name in dict.fromkeys(_resolve(child.module or "", alias.name, known) for alias in child.names):
                yield Import(name, child.lineno, deferred, typing_only)
        else:
            inner = isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
            typing = isinstance(child, ast.If) and "TYPE_CHECKING" in ast.dump(child.test)
            yield from _walk(child, known, deferred=deferred or inner, typing_only=typing_only or typing)


def _resolve(package: str, name: str, known: frozenset[str]) -> str:
    full = f"{package}.{name}"
    return full if full in known else package


def known_names(found: tuple[Module, ...]) -> frozenset[str]:
    """The dotted names of `found`."""
    return frozenset(module.name for module in found)


@cache
def tracked_files() -> tuple[Path, ...]:
    """Files of the project: what is committed, and what is new and not ignored."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return tuple(
        path for name in sorted(set(filter(None, listed.stdout.split("\0")))) if (path := ROOT / name).is_file()
    )
