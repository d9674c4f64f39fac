"""The command line, asked what it knows."""

from __future__ import annotations

from typing import Any

import typer

from pointsman.cli.main import app


def unknown_words(words: list[str]) -> list[str]:
    """Commands and options among `words` (without the program's name) that the command line does not have."""
    # Typer's own copy of click has no public types: a command is read by the attributes that it documents.
    command: Any = typer.main.get_command(app)
    unknown = []
    for word in words:
        inner = getattr(command, "commands", None)
        if word.startswith("-"):
            known = {name for parameter in command.params for name in (*parameter.opts, *parameter.secondary_opts)}
            if word.partition("=")[0] not in known | {"--help"}:
                unknown.append(word)
        elif inner is not None:
            if word not in inner:
                return [*unknown, word]
            command = inner[word]
            # Asking for its options imports a command: one that is only listed does not count.
            assert command.params is not None
    return unknown
