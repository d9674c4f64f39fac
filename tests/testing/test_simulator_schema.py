"""What the generator makes up is what the schema accepts, with pydantic as the judge."""

from __future__ import annotations

import datetime
import enum
import uuid
from decimal import Decimal
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel, ConfigDict, Field, RootModel

from pointsman.testing.simulator.schema import UnsatisfiableError, instance


class Colour(enum.StrEnum):
    RED = "red"
    GREEN = "green"


class Leaf(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["leaf"]
    weight: float = Field(gt=0, lt=1)


class Branch(BaseModel):
    model_config = ConfigDict(extra="forbid")
    kind: Literal["branch"]
    children: list[Leaf | Branch] = Field(min_length=1, max_length=3)


class Everything(BaseModel):
    text: str = Field(min_length=3, max_length=5)
    long: str = Field(min_length=60)
    code: str = Field(pattern=r"^[A-Z]{2}\d{2}$")
    count: int = Field(ge=10, le=12)
    odd: int = Field(gt=7, lt=9)
    steps: int = Field(multiple_of=25, ge=30)
    share: float = Field(ge=0, le=1)
    narrow: float = Field(gt=0.1, lt=0.2)
    price: Decimal
    colour: Colour
    maybe: int | None
    either: int | str
    day: datetime.date
    moment: datetime.datetime
    length: datetime.timedelta
    id: uuid.UUID
    pair: tuple[int, str]
    several: set[Literal["a", "b", "c"]] = Field(min_length=2)
    lookup: dict[str, int]
    tree: Annotated[Leaf | Branch, Field(discriminator="kind")]
    defaulted: list[str] = []


class Names(RootModel[list[str]]):
    """A document whose root is no object."""


@given(seed=st.integers(min_value=0, max_value=10_000))
@pytest.mark.parametrize("model", [Everything, Branch, Names])
def test_pydantic_accepts_what_was_made(model: type[BaseModel], seed: int) -> None:
    model.model_validate(instance(model.model_json_schema(), seed))


def test_the_same_seed_makes_the_same_value() -> None:
    schema = Everything.model_json_schema()
    assert instance(schema, 1) == instance(schema, 1)
    assert any(instance(schema, 1) != instance(schema, seed) for seed in range(2, 9))


@pytest.mark.parametrize(
    ("schema", "value"),
    [
        ({"const": 3}, 3),
        ({"enum": ["only"]}, "only"),
        ({"type": ["null", "integer"], "minimum": 5, "maximum": 5}, 5),
        ({"allOf": [{"type": "integer"}, {"minimum": 4, "maximum": 4}]}, 4),
        ({"type": "null"}, None),
        ({"type": "array", "maxItems": 0, "items": {}}, []),
        ({"type": "object"}, {}),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"const": 1}}}, 1),
    ],
)
def test_values_that_leave_no_choice(schema: dict[str, Any], value: Any) -> None:
    assert instance(schema) == value


@pytest.mark.parametrize(
    "schema",
    [
        False,
        {"type": "integer", "minimum": 5, "maximum": 4},
        {"type": "string", "pattern": "^(?=a)b"},
        {"type": "array", "items": {"const": 1}, "minItems": 2, "uniqueItems": True},
        {"$ref": "https://example.com/schema"},
        {"$ref": "#/$defs/missing"},
        {"$ref": "#"},
        {"type": "object", "properties": {"me": {"$ref": "#"}}, "required": ["me"]},
        {"type": "wine"},
    ],
)
def test_what_cannot_be_met_is_said_and_never_guessed(schema: Any) -> None:
    with pytest.raises(UnsatisfiableError):
        instance(schema)
