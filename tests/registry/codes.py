"""The problem codes that the compiler can give, asked of its source."""

from __future__ import annotations

import ast
from functools import cache

from pointsman.registry.interlock import _MENDS
from tests.house.source import modules

_SAY = {"problem": 0, "refuse": 0, "warning": 0, "_note": 0, "BadValueError": 0, "Found": 0}
_PASSED_ON = {
    "code",  # a parameter of the function that passes it on
    "bad.code",  # of a BadValueError, which is made with a literal
    "str(reason)",  # of the interlock: the keys of its table of mends
    "str(Reason.FLOW_NOT_ALLOWED)",
}


@cache
def codes() -> frozenset[str]:
    """Every code. Fails where a code is neither a literal nor one of the known ways of passing one on."""
    found = {str(reason) for reason in _MENDS} | {"flow_not_allowed"}
    for module in modules():
        if module.room != "registry":
            continue
        for node in ast.walk(module.tree):
            if isinstance(node, ast.Call) and _name(node.func) in _SAY and node.args:
                first = node.args[0]
                if isinstance(first, ast.Constant):
                    found.add(str(first.value))
                else:
                    assert ast.unparse(first) in _PASSED_ON, f"{module.name}:{node.lineno}: {ast.unparse(first)}"
            elif isinstance(node, ast.Assign):
                found |= _assigned(node)
            elif isinstance(node, ast.Dict):
                pairs = zip(node.keys, node.values, strict=True)
                found |= {v.value for k, v in pairs if _text(k) == "code" and isinstance(v, ast.Constant)}  # type: ignore[misc]  # codes are texts
    return frozenset(found)


def _assigned(node: ast.Assign) -> set[str]:
    """Texts assigned to a variable `code`: `code = "…"`, `code, message = "…", "…"`, `code = x.get("code", "…")`."""
    target, value = node.targets[0], node.value
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and _name(target.elts[0]) == "code":
        return {text} if (text := _text(value.elts[0])) else set()
    if _name(target) != "code":
        return set()
    return {text for part in ast.walk(value) if (text := _text(part)) and text != "code"}


def _name(node: ast.AST) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _text(node: ast.AST | None) -> str:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""
