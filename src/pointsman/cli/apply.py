"""`pointsman apply`."""

from __future__ import annotations

import getpass
from pathlib import Path
from typing import Annotated, Any

import typer

from pointsman.cli.client import DATA_DIR, DEFAULT_URL, AdminUrl, ClientError, DataDir, Json, connect
from pointsman.cli.output import errors_said, fail, print_json, say


def apply(
    file: Annotated[Path, typer.Argument(help="Registry file.")],
    reason: Annotated[str, typer.Option(help="Why, for the audit trail.")] = "",
    author: Annotated[str, typer.Option(help="Who, for the audit trail; your user name unless given.")] = "",
    based_on: Annotated[
        int | None, typer.Option(help="The revision you have seen; refuse when another one is current by now.")
    ] = None,
    admin_url: AdminUrl = DEFAULT_URL,
    data_dir: DataDir = DATA_DIR,
    as_json: Json = False,
) -> None:
    """Make FILE the current revision of a running Pointsman. A file that does not compile changes nothing."""
    try:
        text = file.read_bytes().decode()
    except (OSError, UnicodeDecodeError) as error:
        fail(f"{file} cannot be read: {error}", code=2)
    body = {
        "text": text,
        "source": str(file.absolute()),
        "author": author or _user(),
        "reason": reason,
        "based_on": based_on,
    }
    with errors_said():
        try:
            applied = connect(admin_url, data_dir).post("/revisions", body)
        except ClientError as error:
            if as_json and error.body:
                print_json(error.body)
            raise
    if as_json:
        print_json(applied)
    else:
        _print(applied)
    if applied["problem"] or applied["missing"]:
        raise typer.Exit(1)


def _user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):
        return "unknown"  # a user without a name, as in some containers


def _print(applied: dict[str, Any]) -> None:
    revision = applied["revision"]
    for warning in applied["warnings"]:
        say(f"warning: {warning['source']}:{warning['line']}: {warning['message']}. {warning['mend']}.")
    if applied["changed"]:
        say(f"Revision {revision['number']} ({revision['hash'][:12]}) is published.")
    else:
        say(f"Nothing to do: revision {revision['number']} is exactly this.")
    if applied["problem"]:
        say(applied["problem"])
    served = len(applied["served_by"])
    if served:
        say(f"{served} worker{'s' if served != 1 else ''} serve{'s' if served == 1 else ''} it.")
    for worker in applied["missing"]:
        say(
            f"Worker {worker['worker']} still serves revision {worker['revision']}: "
            f"{worker['problem'] or 'it has not taken it up within two seconds'}."
        )
    if not served and not applied["missing"]:
        say("No gateway worker is running; the next one that starts serves it.")
