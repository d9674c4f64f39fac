"""The bundled table of models: one row a model, in models.json beside this file."""

from __future__ import annotations

from datetime import UTC, date, datetime
from importlib.resources import files

import msgspec

from pointsman.catalog.fact import Fact
from pointsman.core.capability import Known, Task
from pointsman.core.target import Lifecycle


class Said(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False):
    """Who says a fact, and when somebody looked (ISO date)."""

    source: str
    observed_at: str


class Row(msgspec.Struct, frozen=True, forbid_unknown_fields=True, gc=False, omit_defaults=True):
    """What is known of one model id. What is absent is unknown.

    `yes` and `no` name capabilities. `retires_at` is the first day on which it no longer answers. `said` is a key of
    the table's `sources`; `but` names fields whose source differs. `price_as` is the id under which the price list has
    a dated id that it does not spell out.
    """

    vendor: str
    id: str
    said: str
    task: Task | None = None
    context_window: int | None = None
    max_output: int | None = None
    yes: tuple[str, ...] = ()
    no: tuple[str, ...] = ()
    lifecycle: Lifecycle | None = None
    retires_at: date | None = None
    floating: bool | None = None
    price_as: str = ""
    but: dict[str, str] = {}


class _File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    sources: dict[str, Said]
    models: tuple[Row, ...]


class ModelTable:
    """Rows by vendor and exact id."""

    def __init__(self, data: bytes) -> None:
        """Raises msgspec.ValidationError for a table that is not well formed."""
        file = msgspec.json.decode(data, type=_File)
        self.sources = file.sources
        self.rows = {(row.vendor, row.id): row for row in file.models}

    @classmethod
    def bundled(cls) -> ModelTable:
        """The table that ships with this version."""
        return cls(files("pointsman.catalog").joinpath("models.json").read_bytes())

    def facts(self, vendor: str, model: str) -> dict[str, Fact]:
        """Facts by name; an empty dict for an id that has no row."""
        row = self.rows.get((vendor, model))
        if row is None:
            return {}
        values = {
            "task": row.task,
            "context_window": row.context_window,
            "max_output": row.max_output,
            "lifecycle": row.lifecycle,
            "retires_at": None if row.retires_at is None else _unix(row.retires_at),
            "floating": row.floating,
            **{f"capabilities.{name}": Known.YES for name in row.yes},
            **{f"capabilities.{name}": Known.NO for name in row.no},
        }
        return {name: self._fact(row, name, value) for name, value in values.items() if value is not None}

    def price_id(self, vendor: str, model: str) -> str:
        """The id under which the price list has this model: its own unless the table says another."""
        row = self.rows.get((vendor, model))
        return row.price_as if row is not None and row.price_as else model

    def _fact(self, row: Row, name: str, value: object) -> Fact:
        said = self.sources[row.but.get(name, row.said)]
        return Fact(value, said.source, said.observed_at)


def _unix(day: date) -> int:
    return int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
