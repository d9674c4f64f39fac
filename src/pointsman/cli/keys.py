"""`pointsman key`."""

from __future__ import annotations

import hashlib
import secrets
from typing import Annotated

import typer

from pointsman.cli.client import Json
from pointsman.cli.output import print_json

_BYTES = 32


def make_key() -> tuple[str, str]:
    """A new key and its hash as the registry file holds it."""
    made = "pm-" + secrets.token_urlsafe(_BYTES)
    return made, "sha256:" + hashlib.sha256(made.encode()).hexdigest()


def key(
    name: Annotated[str, typer.Option(help="Name of the caller, for the line of the registry file.")] = "my-app",
    team: Annotated[str, typer.Option(help="Team of the caller, for the same line.")] = "",
    allow: Annotated[
        list[str] | None, typer.Option(help="A name the caller may use, for the same line. Repeatable.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Make a key for a caller. It is printed once and kept nowhere: the registry file holds only its hash."""
    made, digest = make_key()
    if as_json:
        print_json({"key": made, "hash": digest})
        return
    owner = f", team: {team}" if team else ""
    typer.echo(f"The key, for the caller. It is shown this once:\n\n  {made}\n")
    names = ", ".join(allow or ["NAME"])
    typer.echo("The line for `keys:` in the registry file; `allow` has the names that the caller may use:\n")
    typer.echo(f'  - {{name: {name}{owner}, hash: "{digest}", allow: [{names}]}}')
