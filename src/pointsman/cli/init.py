"""`pointsman init`."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pointsman.cli.first_file import WORKFLOW, first_file
from pointsman.cli.keys import make_key
from pointsman.cli.output import fail
from pointsman.cli.starters import LATER, STARTERS, Starter

if TYPE_CHECKING:
    from pointsman.catalog import Fact


def init(
    output: Annotated[Path, typer.Option(help="File to write.")] = Path("pointsman.yaml"),
    force: Annotated[bool, typer.Option("--force", help="Replace the file if it is there.")] = False,
) -> None:
    """Write a first registry file from the provider keys found in the environment.

    The keys themselves are not read into it: it names the variables. It comes with a key for your first application,
    which is printed this once.
    """
    starters = living(found_in(os.environ), datetime.now(UTC).date())
    key, key_hash = make_key()
    _write(output, first_file(starters, key_hash), force)
    _say(output, starters, key)


def found_in(environment: Mapping[str, str]) -> tuple[Starter, ...]:
    """The vendors whose key is set."""
    return tuple(starter for starter in STARTERS if environment.get(starter.variable, "").strip())


def living(starters: Sequence[Starter], today: date) -> tuple[Starter, ...]:
    """The vendors with those targets that their vendor has not ended by that day: an ended one would not compile."""
    if not starters:
        return ()
    from pointsman.catalog import Catalog
    from pointsman.registry.families import FAMILIES

    catalog = Catalog()
    midnight = datetime(today.year, today.month, today.day, tzinfo=UTC).timestamp()
    kept = []
    for starter in starters:
        base_url = starter.base_url or FAMILIES["openai"].base_url or ""
        targets = tuple(
            target
            for target in starter.targets
            if not _ended(catalog.lookup("openai", base_url, target.model, today), midnight)
        )
        if targets:
            kept.append(msgspec.structs.replace(starter, targets=targets))
    return tuple(kept)


def _ended(facts: Mapping[str, Fact], midnight: float) -> bool:
    lifecycle, end = facts.get("lifecycle"), facts.get("retires_at")
    return (lifecycle is not None and lifecycle.value == "retired") or (end is not None and end.value <= midnight)


def _write(output: Path, text: str, force: bool) -> None:
    try:
        with output.open("w" if force else "x", encoding="utf-8") as stream:
            stream.write(text)
    except FileExistsError:
        fail(f"{output} is there already", "Name another file with --output, or replace it with --force.")
    except OSError as error:
        fail(f"{output} cannot be written: {error.strerror or error}", code=2)


def _say(output: Path, starters: Sequence[Starter], key: str) -> None:
    if starters:
        found = ", ".join(f"{starter.provider} ({starter.variable})" for starter in starters)
        targets = sum(len(starter.targets) for starter in starters)
        typer.echo(f"Wrote {output}: {found}; {targets} target{'s' if targets != 1 else ''} approved by you.")
    else:
        typer.echo(f"Wrote {output} for a local model: no provider key was found in the environment.")
    for variable in LATER:
        if os.environ.get(variable):
            typer.echo(f"{variable} is set, but this version cannot call that vendor yet.")
    typer.echo(
        f"\nThe key of your first application, for the workflow `{WORKFLOW}`. It is shown this once:\n\n  {key}\n"
    )
    typer.echo(f"Next: pointsman check {output}\n      pointsman serve --config {output}")
