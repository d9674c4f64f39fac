"""Where in a file a path stands. Read again only when there is something to say about it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from pointsman.registry.problem import Findings, Path
from pointsman.registry.reading import MAX_DEPTH, Unreadable, events

Mark = tuple[int, int]
"""Line and column, counted from 1."""


class _Level:
    __slots__ = ("index", "is_map", "key", "key_mark", "keyed", "path", "tree")

    def __init__(self, *, is_map: bool, path: Path, tree: dict[Any, Any] | None) -> None:
        self.is_map = is_map
        self.path = path
        self.tree = tree
        self.key: str = ""
        self.key_mark: Mark = (1, 1)
        self.keyed = False
        self.index = 0


def locate(text: str, paths: Iterable[Path]) -> Mapping[Path, Mark]:
    """The place of each path, or of its nearest ancestor that is written in the file.

    A mapping entry stands where its key stands, a list entry where its value begins.
    """
    wanted = _tree(paths)
    found: dict[Path, Mark] = {}
    with contextlib.suppress(Unreadable):  # the reader has said so already; what was found up to there still helps
        _walk(text, wanted, found)
    return {path: _nearest(path, found) for path in paths}


def _tree(paths: Iterable[Path]) -> dict[Any, Any]:
    """Paths as nested dicts, so that parts nobody asks about are passed over without building their path."""
    root: dict[Any, Any] = {}
    for path in paths:
        node = root
        for part in path:
            node = node.setdefault(part, {})
    return root


def _nearest(path: Path, found: Mapping[Path, Mark]) -> Mark:
    for end in range(len(path), -1, -1):
        if path[:end] in found:
            return found[path[:end]]
    return (1, 1)


def _walk(text: str, wanted: dict[Any, Any], found: dict[Path, Mark]) -> None:
    stack: list[_Level] = []
    for event in events(text, Findings()):
        kind = type(event)
        if kind is yaml.ScalarEvent or kind is yaml.AliasEvent:
            if stack and stack[-1].is_map and not stack[-1].keyed:
                level = stack[-1]
                level.key = event.value if kind is yaml.ScalarEvent else ""
                level.keyed = True
                if level.tree is not None:
                    level.key_mark = (event.start_mark.line + 1, event.start_mark.column + 1)
            else:
                _step(stack, event, wanted, found)
        elif kind is yaml.MappingStartEvent or kind is yaml.SequenceStartEvent:
            if len(stack) > MAX_DEPTH:
                return
            path, tree = _step(stack, event, wanted, found)
            stack.append(_Level(is_map=kind is yaml.MappingStartEvent, path=path, tree=tree))
        elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
            stack.pop()


def _step(
    stack: list[_Level], event: Any, wanted: dict[Any, Any], found: dict[Path, Mark]
) -> tuple[Path, dict[Any, Any] | None]:
    """Note the place of the value that begins here, if it leads to a wanted path."""
    if not stack:
        found[()] = (event.start_mark.line + 1, event.start_mark.column + 1)
        return (), wanted
    level = stack[-1]
    part: str | int
    if level.is_map:
        part, level.keyed = level.key, False
    else:
        part, level.index = level.index, level.index + 1
    if level.tree is None or part not in level.tree:
        return (), None
    path = (*level.path, part)
    if path not in found:
        found[path] = level.key_mark if level.is_map else (event.start_mark.line + 1, event.start_mark.column + 1)
    return path, level.tree[part]
