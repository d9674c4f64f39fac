"""`pointsman check`."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from pointsman.cli.client import Json
from pointsman.cli.output import fail, print_json, safe

if TYPE_CHECKING:
    from pointsman.core.document import Document
    from pointsman.registry import Compiled, Problem


class Summary(msgspec.Struct, frozen=True):
    """What a registry holds. `hash` is the one that revisions and response headers carry."""

    providers: int
    targets: int
    policies: int
    workflows: int
    keys: int
    hash: str


def check(
    file: Annotated[Path, typer.Argument(help="Registry file.")],
    as_json: Json = False,
) -> None:
    """Compile FILE and say everything that is wrong with it, each with its line and a mend. Nothing is published.

    Ends with 0 when the file compiles, 1 when it does not, 2 when it cannot be read.
    """
    from pointsman.registry import RegistryInvalid

    try:
        text = file.read_bytes()
    except OSError as error:
        fail(f"{file} cannot be read: {error.strerror or error}", code=2)
    try:
        compiled = _compile(text, str(file))
    except RegistryInvalid as error:
        _say(error.problems, error.warnings, None, as_json)
        raise typer.Exit(1) from None
    _say((), compiled.warnings, summary_of(compiled.document), as_json)


def summary_of(document: Document) -> Summary:
    """The counts and the hash of a document."""
    from pointsman.core.document import document_hash

    return Summary(
        providers=len(document.providers),
        targets=len(document.targets),
        policies=len(document.policies),
        workflows=len(document.workflows),
        keys=len(document.keys),
        hash=document_hash(document),
    )


def _compile(text: bytes, source: str) -> Compiled:
    from pointsman.catalog import Catalog
    from pointsman.registry import compile_registry

    return compile_registry(text, source=source, catalog=Catalog(), today=datetime.now(UTC).date())


def _say(problems: Sequence[Problem], warnings: Sequence[Problem], summary: Summary | None, as_json: bool) -> None:
    if as_json:
        print_json({"ok": not problems, "problems": problems, "warnings": warnings, "summary": summary})
        return
    for problem in problems:
        typer.echo(safe(str(problem)), err=True)
    for warning in warnings:
        typer.echo(f"warning: {safe(str(warning))}", err=True)
    if summary is None:
        typer.echo(f"{_count(len(problems), 'problem')}: nothing of this file would be served", err=True)
        return
    counts = (
        _count(summary.targets, "target"),
        _count(summary.policies, "policy", "policies"),
        _count(summary.workflows, "workflow"),
        _count(summary.keys, "key"),
    )
    typer.echo(f"ok: {', '.join(counts)}; hash {summary.hash[:12]}")


def _count(number: int, one: str, many: str = "") -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"
