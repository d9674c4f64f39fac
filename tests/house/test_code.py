"""Files and functions stay small, nothing holds state at module level, and importing does nothing but import."""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.house.source import ROOT, Module, modules, tracked_files

MAX_FILE_LINES = 600
MAX_FUNCTION_LINES = 100


def python_files() -> list[Path]:
    return [path for path in tracked_files() if path.suffix == ".py"]


def functions(path: Path) -> Iterator[tuple[str, int]]:
    """Name and number of lines of every function of a file."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield (
                f"{path.relative_to(ROOT)}:{node.lineno} {node.name}",
                (node.end_lineno or node.lineno) - node.lineno + 1,
            )


def test_no_file_is_too_long_to_read() -> None:
    lengths = {
        str(path.relative_to(ROOT)): len(path.read_text(encoding="utf-8").splitlines()) for path in python_files()
    }
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FILE_LINES} == {}


def test_no_function_is_too_long_to_hold_in_mind() -> None:
    assert {n: lines for path in python_files() for n, lines in functions(path) if lines > MAX_FUNCTION_LINES} == {}


CHANGING = frozenset(
    [
        "append",
        "extend",
        "insert",
        "remove",
        "pop",
        "popitem",
        "clear",
        "update",
        "setdefault",
        "add",
        "discard",
        "appendleft",
        "popleft",
    ]
)


def module_state(module: Module) -> list[str]:
    """Functions that change something of their module: by `global`, by a method, by an item or by deleting."""
    owned = {
        target.id
        for node in module.tree.body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        for target in (node.targets if isinstance(node, ast.Assign) else [node.target])
        if isinstance(target, ast.Name)
    }
    found = []
    for function in ast.walk(module.tree):
        if not isinstance(function, ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        local = {n.id for n in ast.walk(function) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        local |= {a.arg for a in ast.walk(function) if isinstance(a, ast.arg)}
        for node in ast.walk(function):
            name = _changed(node)
            if isinstance(node, ast.Global) or (name in owned and name not in local):
                found.append(f"{module.path}:{getattr(node, 'lineno', 0)}: {function.name} changes module-level state")
    return found


def _changed(node: ast.AST) -> str | None:
    """The plain name that a node changes in place."""
    held: ast.AST | None = None
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CHANGING:
        held = node.func.value
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        held = node.value
    return held.id if isinstance(held, ast.Name) else None


def test_no_function_changes_module_level_state() -> None:
    assert [line for module in modules() for line in module_state(module)] == []


@pytest.mark.parametrize(
    "body",
    [
        "seen = {}\ndef f(k):\n    seen[k] = 1",
        "seen = []\ndef f(k):\n    seen.append(k)",
        "count = 0\ndef f():\n    global count\n    count += 1",
    ],
)
def test_module_level_state_is_noticed(body: str) -> None:
    assert len(module_state(Module("pointsman.core.a", Path("a.py"), ast.parse(body)))) == 1


NOT_IMPORTED = (".__main__", ".migrations.env")
"""Modules that are run, not imported; Alembic runs the second one in a context of its own."""

IMPORT_ALL = """
import importlib, socket, sys, threading

def refuse(*args, **kwargs):
    raise SystemExit(f"an import reached for the network: {args}")

socket.socket.connect = refuse
socket.socket.connect_ex = refuse
socket.socket.bind = refuse
socket.getaddrinfo = refuse
for name in sys.argv[1:]:
    importlib.import_module(name)
extra = [t.name for t in threading.enumerate() if t is not threading.main_thread()]
sys.exit(f"an import began threads: {extra}" if extra else 0)
"""


def test_importing_any_module_reaches_no_network_prints_nothing_and_begins_no_thread() -> None:
    names = [module.name for module in modules() if not module.name.endswith(NOT_IMPORTED)]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", IMPORT_ALL, *names],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent"},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.stdout + done.stderr == ""
    assert done.returncode == 0


def test_every_folder_of_tests_is_a_package() -> None:
    """Two rooms may then both have a `test_errors.py`."""
    folders = {path.parent for path in python_files() if (ROOT / "tests") in path.parents}
    assert [str(folder) for folder in sorted(folders) if not (folder / "__init__.py").exists()] == []
