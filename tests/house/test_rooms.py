"""Imports point left to right only, without rings, and outside packages stay in the rooms they were let into."""

from __future__ import annotations

import graphlib
import sys
from pathlib import Path

import pytest

from tests.house.rooms import ASSEMBLY, LATE, OUTSIDE, ROOMS, allowed_rooms, is_within
from tests.house.source import Module, imports_of, known_names, modules


def wrong_directions(found: tuple[Module, ...]) -> list[str]:
    """Imports between rooms that no row of the table allows, and modules that no row covers."""
    known = known_names(found)
    wrong = []
    for module in found:
        name = module.name.removeprefix("pointsman").lstrip(".")
        if not name or any(is_within(name, place) for place in ASSEMBLY):
            continue
        allowed = allowed_rooms(name)
        if allowed is None:
            wrong.append(f"{module.name}: no row in tests/house/rooms.py says what this room may import")
            continue
        for found_import in imports_of(module, known):
            other = found_import.module.removeprefix("pointsman").lstrip(".")
            if not is_within(found_import.module, "pointsman") or not other:
                continue
            if other.split(".")[0] != module.room and not any(is_within(other, place) for place in allowed):
                wrong.append(f"{module.path}:{found_import.line}: {name} may not import {other}")
    return wrong


def rings(found: tuple[Module, ...]) -> list[str]:
    """One ring of module-level imports, if there is any."""
    known = known_names(found)
    graph: dict[str, set[str]] = {}
    for module in found:
        reached = {i.module for i in imports_of(module, known) if not i.deferred and not i.typing_only}
        # A package that gathers names from its own modules is not a ring with them: they do not import it by name.
        graph[module.name] = (reached & known) - {module.name}
    try:
        graphlib.TopologicalSorter(graph).prepare()
    except graphlib.CycleError as error:
        return [" imports ".join(reversed(error.args[1]))]
    return []


def late_imports(found: tuple[Module, ...]) -> list[str]:
    """Imports of our own modules inside functions, outside of what assembles: they hide rings."""
    known = known_names(found)
    return [
        f"{module.path}:{i.line}: {i.module} is imported inside a function"
        for module in found
        if module.room not in ASSEMBLY
        for i in imports_of(module, known)
        if i.deferred and is_within(i.module, "pointsman") and i.module not in LATE
    ]


def misplaced_packages(found: tuple[Module, ...]) -> list[str]:
    """Outside packages in rooms that did not let them in."""
    known = known_names(found)
    wrong = []
    for module in found:
        name = module.name.removeprefix("pointsman").lstrip(".")
        for i in imports_of(module, known):
            package = i.module.split(".")[0]
            if package in sys.stdlib_module_names or package == "pointsman":
                continue
            places = OUTSIDE.get(package)
            if places is None:
                wrong.append(f"{module.path}:{i.line}: {package} is in no row of OUTSIDE in tests/house/rooms.py")
            elif not any(is_within(name, place) for place in places):
                wrong.append(f"{module.path}:{i.line}: {package} belongs in {', '.join(places)}, not in {name}")
    return wrong


RULES = {
    "direction": wrong_directions,
    "rings": rings,
    "late": late_imports,
    "packages": misplaced_packages,
}


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_the_product_keeps_the_rule(rule: object) -> None:
    assert callable(rule)
    assert rule(modules()) == []


BROKEN = {
    "direction": {"core/a.py": "from pointsman.store import tables", "store/tables.py": ""},
    "rings": {
        "core/a.py": "import pointsman.core.b",
        "core/b.py": "from pointsman.core import a",
        "core/__init__.py": "",
    },
    "late": {"gateway/a.py": "def f():\n    from pointsman.core import b\n    return b", "core/b.py": ""},
    "packages": {"core/a.py": "import sqlalchemy"},
}


@pytest.mark.parametrize("rule", RULES)
def test_each_rule_catches_what_breaks_it(rule: str, tmp_path: Path) -> None:
    for name, body in BROKEN[rule].items():
        path = tmp_path / "pointsman" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(body)
    problems = {name: check(modules(tmp_path / "pointsman")) for name, check in RULES.items()}
    assert len(problems[rule]) == 1, problems
    assert [name for name, found in problems.items() if found] == [rule]


def test_gateway_never_reaches_store_registry_or_control() -> None:
    """Not even by way of a module that it may import."""
    found = modules()
    known = known_names(found)
    graph = {m.name: {i.module for i in imports_of(m, known)} & known for m in found}
    reached: set[str] = set()
    ahead = [name for name in known if is_within(name, "pointsman.gateway")]
    while ahead:
        name = ahead.pop()
        if name not in reached:
            reached.add(name)
            ahead.extend(graph[name])
    forbidden = [
        n for n in reached for room in ("store", "registry", "control", "catalog") if is_within(n, f"pointsman.{room}")
    ]
    assert forbidden == []


def test_every_row_of_the_table_names_rooms_that_the_table_knows() -> None:
    for room, allowed in ROOMS.items():
        for place in allowed:
            assert place.split(".")[0] in ROOMS, f"{room} may import {place}, which is no room"
