"""A JSON value that a JSON Schema accepts: enough of the keywords for tools and structured answers.

Known: $ref to the same document, allOf/anyOf/oneOf, enum, const, type (also a list), properties, required,
additionalProperties, items, prefixItems, lengths, bounds, multipleOf, format, simple patterns. What cannot be met
raises UnsatisfiableError rather than lie.
"""

import math
import random
import re
from typing import Any

_FORMATS = {
    "date": "2026-03-01",
    "date-time": "2026-03-01T12:00:00Z",
    "time": "12:00:00Z",
    "duration": "PT5M",
    "email": "signal@example.com",
    "hostname": "example.com",
    "uri": "https://example.com/",
    "uuid": "7f3c1f5e-1b52-4c1c-9d52-0f6f2f3b6a11",
    "ipv4": "192.0.2.1",
    "ipv6": "2001:db8::1",
}
_WORDS = ("amber", "birch", "copper", "delta", "ember", "fern", "granite", "harbour")
# Tried in turn against a `pattern`; whoever needs more can replay a recording instead.
_GUESSES = (
    "a",
    "A",
    "1",
    "abc",
    "ABC",
    "123",
    "abc-123",
    "A1",
    "a1b2",
    "AB12",
    "2026-03-01",
    "12:00",
    "a@b.co",
    "+49301234567",
    "#a1b2c3",
)
# Below this depth, or beyond this many values, only what is required is made: recursive schemas must end.
_DEPTH = 6
_VALUES = 500
_REFERENCES = 64


class UnsatisfiableError(ValueError):
    """No value was found for a schema; the message names the keyword."""


def instance(schema: Any, seed: int = 0) -> Any:
    """A value that `schema` accepts, the same for the same seed. Raises UnsatisfiableError."""
    return _Maker(schema, seed).value(schema, 0)


class _Maker:
    def __init__(self, document: Any, seed: int) -> None:
        self._document = document
        self._made = 0
        self._random = random.Random(seed)  # noqa: S311 - reproducible on purpose, no secret

    def value(self, schema: Any, depth: int) -> Any:
        if schema is True or schema == {}:
            return "anything"
        if not isinstance(schema, dict):
            raise UnsatisfiableError(f"{schema!r} accepts nothing")
        self._made += 1
        depth = depth if self._made < _VALUES else max(depth, _DEPTH)
        schema = self._resolved(schema, depth)
        if "const" in schema:
            return schema["const"]
        if "enum" in schema:
            return self._random.choice(schema["enum"])
        for keyword in ("anyOf", "oneOf"):
            if keyword in schema:
                rest = {key: value for key, value in schema.items() if key != keyword}
                return self._one_of(schema[keyword], rest, depth)
        return self._typed(schema, depth)

    def _resolved(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        if depth > _DEPTH * 4:
            raise UnsatisfiableError("the schema refers to itself without end")
        for _ in range(_REFERENCES):
            if "$ref" not in schema and "allOf" not in schema:
                return schema
            schema = dict(schema)
            parts = [self._referred(schema.pop("$ref"))] if "$ref" in schema else list(schema.pop("allOf"))
            for part in parts:
                schema = _merged(schema, part)
        raise UnsatisfiableError("the schema refers to itself without end")

    def _referred(self, reference: str) -> Any:
        if not reference.startswith("#"):
            raise UnsatisfiableError(f"$ref {reference!r} points outside the document")
        found = self._document
        for step in reference.lstrip("#").split("/")[1:]:
            try:
                found = found[step.replace("~1", "/").replace("~0", "~")]
            except (KeyError, TypeError):
                raise UnsatisfiableError(f"$ref {reference!r} points nowhere") from None
        return found

    def _one_of(self, branches: list[Any], rest: dict[str, Any], depth: int) -> Any:
        # Deep down, null ends a recursion; above, the first branch that is not null says more.
        def rank(branch: Any) -> bool:
            return (isinstance(branch, dict) and branch.get("type") == "null") == (depth < _DEPTH)

        reason = "anyOf has no branch"
        for branch in sorted(branches, key=rank):
            try:
                return self.value(_merged(rest, branch), depth + 1)
            except UnsatisfiableError as error:
                reason = str(error)
        raise UnsatisfiableError(reason)

    def _typed(self, schema: dict[str, Any], depth: int) -> Any:
        kind = schema.get("type") or _implied_type(schema)
        if isinstance(kind, list):
            kind = next((name for name in kind if name != "null"), "null")
        match kind:
            case "object":
                return self._object(schema, depth)
            case "array":
                return self._array(schema, depth)
            case "string":
                return self._string(schema)
            case "integer":
                return int(self._number(schema, whole=True))
            case "number":
                return self._number(schema, whole=False)
            case "boolean":
                return self._random.random() < 0.5
            case "null":
                return None
        raise UnsatisfiableError(f"type {kind!r} is unknown")

    def _object(self, schema: dict[str, Any], depth: int) -> dict[str, Any]:
        properties = schema.get("properties", {})
        required = schema.get("required", [])
        made = {}
        for name, part in properties.items():
            if name in required or depth < _DEPTH:
                made[name] = self.value(part, depth + 1)
        extra = schema.get("additionalProperties", True)
        for name in required:
            if name not in made:
                made[name] = self.value(extra, depth + 1)
        if not made and isinstance(extra, dict) and depth < _DEPTH:
            made["key"] = self.value(extra, depth + 1)
        return made

    def _array(self, schema: dict[str, Any], depth: int) -> list[Any]:
        made = [self.value(part, depth + 1) for part in schema.get("prefixItems", [])]
        items = schema.get("items", {} if not made else False)
        least = schema.get("minItems", 0)
        usual = 0 if items is False or depth >= _DEPTH else min(len(made) + 2, schema.get("maxItems", math.inf))
        unique = schema.get("uniqueItems", False)
        tries = 0
        while len(made) < max(least, usual):
            item = self.value(items, depth + 1)
            tries += 1
            if not unique or item not in made:
                made.append(item)
            elif tries > 50:
                if len(made) >= least:
                    break
                raise UnsatisfiableError("uniqueItems with too few different values")
        return made

    def _string(self, schema: dict[str, Any]) -> str:
        if "pattern" in schema:
            return self._matching(schema)
        if schema.get("format") in _FORMATS:
            return _FORMATS[schema["format"]]
        made = self._random.choice(_WORDS)
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        while len(made) < least:
            made += " " + self._random.choice(_WORDS)
        return made if len(made) <= most else made[: int(most)]

    def _matching(self, schema: dict[str, Any]) -> str:
        pattern = re.compile(schema["pattern"])
        least, most = schema.get("minLength", 0), schema.get("maxLength", math.inf)
        guesses = [*_GUESSES, *(letter * count for letter in "aA1" for count in range(2, 41))]
        for guess in guesses:
            if least <= len(guess) <= most and pattern.search(guess):
                return guess
        raise UnsatisfiableError(f"no text is known for pattern {schema['pattern']!r}")

    def _number(self, schema: dict[str, Any], *, whole: bool) -> float:
        step: float = schema.get("multipleOf", 1 if whole else 0.25)
        low, high = _bounds(schema, step if whole or "multipleOf" in schema else 0)
        first = math.ceil(low / step) * step
        if first > high:
            if whole or "multipleOf" in schema:
                raise UnsatisfiableError(f"no number between {low} and {high}")
            return (low + high) / 2
        room = min(20, math.floor((high - first) / step))
        made = first + self._random.randint(0, room) * step
        if not whole and made in (schema.get("exclusiveMinimum"), schema.get("exclusiveMaximum")):
            made = (max(low, made - step) + min(high, made + step)) / 2
        return made


def _bounds(schema: dict[str, Any], step: float) -> tuple[float, float]:
    """The inclusive bounds; with a `step`, exclusive ones are moved in by it."""
    low = schema.get("minimum")
    high = schema.get("maximum")
    if "exclusiveMinimum" in schema:
        low = max(schema["exclusiveMinimum"] + step, -math.inf if low is None else low)
    if "exclusiveMaximum" in schema:
        high = min(schema["exclusiveMaximum"] - step, math.inf if high is None else high)
    if low is None:
        low = 1 if high is None or high >= 1 else high - 20
    return low, low + 1000 * max(step, 1) if high is None else high


def _merged(left: dict[str, Any], right: Any) -> dict[str, Any]:
    if right is True:
        return left
    if not isinstance(right, dict):
        raise UnsatisfiableError(f"{right!r} accepts nothing")
    both = {**right, **left}
    if "properties" in left and "properties" in right:
        both["properties"] = {**right["properties"], **left["properties"]}
    if "required" in left and "required" in right:
        both["required"] = [*right["required"], *left["required"]]
    return both


def _implied_type(schema: dict[str, Any]) -> str:
    if "properties" in schema or "required" in schema:
        return "object"
    if "items" in schema or "prefixItems" in schema:
        return "array"
    if "minimum" in schema or "maximum" in schema:
        return "number"
    return "string"
