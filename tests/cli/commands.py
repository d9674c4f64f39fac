"""Runs commands in this process, as a shell would see them."""

from __future__ import annotations

from typing import Any

from typer.testing import CliRunner

from pointsman.cli.main import app


def run(*arguments: object, env: dict[str, str | None] | None = None) -> Any:
    """The result of a command: `exit_code`, `stdout`, `stderr`."""
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], env=env)
    # An exit is how commands end; any other exception is a crash, and its traceback says more than a wrong code.
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result
