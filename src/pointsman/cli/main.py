"""The `pointsman` program: every command, by name. The files beside this one hold what they do."""

from __future__ import annotations

from typing import Annotated

import typer

from pointsman import __version__
from pointsman.cli.lazy import Entry, LazyGroup

_ROOM = "pointsman.cli."

COMMANDS: dict[str, Entry] = {
    "init": Entry(_ROOM + "init", "init", "Write a first registry file from the provider keys in the environment."),
    "check": Entry(_ROOM + "check", "check", "Compile a registry file and say everything that is wrong with it."),
    "schema": Entry(_ROOM + "schema", "schema", "Print the JSON Schema of the registry file, for editors."),
    "key": Entry(_ROOM + "keys", "key", "Make a key for a caller: printed once, stored as a hash."),
    "serve": Entry(_ROOM + "serve", "serve", "Serve: a gateway and its control process."),
    "status": Entry(_ROOM + "status", "status", "Say how a running Pointsman is doing."),
    "apply": Entry(_ROOM + "apply", "apply", "Make a registry file the current revision."),
    "calls": Entry(_ROOM + "calls", "calls", "List calls, newest first."),
    "explain": Entry(_ROOM + "explain", "explain", "Say why a call went where it went, or where one would go."),
    "report": Entry(_ROOM + "report", "report", "Report on a target: its traffic, its cost, its quality."),
    "coverage": Entry(_ROOM + "coverage", "coverage", "Say how much traffic came in by registered names."),
    "simulate": Entry(_ROOM + "simulate", "simulate", "Serve a simulated provider that misbehaves on demand."),
    "local-model": Entry(_ROOM + "local_model", "local_model", "Serve a small real model on this machine."),
    "demo": Entry(_ROOM + "demo", "demo", "Show it all: a local model, an outage, and what the records say."),
}


class _Commands(LazyGroup):
    entries = COMMANDS


app = typer.Typer(
    cls=_Commands,
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    # Its tracebacks show local variables, and those may be secrets.
    pretty_exceptions_enable=False,
)


def _version(asked: bool) -> None:
    if asked:
        typer.echo(f"pointsman {__version__}")
        raise typer.Exit


@app.callback()
def pointsman(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    """A self-hosted LLM gateway whose every decision is read from a registry of approved model targets."""


def run() -> None:
    """The entry point of the installed program."""
    app(prog_name="pointsman")


if __name__ == "__main__":
    run()
