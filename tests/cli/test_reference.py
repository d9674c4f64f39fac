"""The reference of the command line has every command and every option, and no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import typer

from pointsman.cli.main import COMMANDS, app

TEXT = (Path(__file__).parents[2] / "docs" / "reference" / "cli.md").read_text()
SECTIONS = {part.partition("\n")[0].strip(): part for part in re.split(r"^## pointsman ", TEXT, flags=re.MULTILINE)[1:]}


def test_every_command_has_its_section_in_the_order_of_the_help() -> None:
    assert list(SECTIONS) == list(COMMANDS)


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_described_and_no_other(name: str) -> None:
    # Typer's own copy of click has no public types: a command is read by the attributes that it documents.
    command: Any = typer.main.get_command(app)
    known = set()
    for parameter in command.commands[name].params:
        given = (*parameter.opts, *parameter.secondary_opts)
        known |= {parameter.name.upper()} if parameter.param_type_name == "argument" else set(given)
    first_cells = re.findall(r"^\| (`.*?`) \|", SECTIONS[name], re.MULTILINE)
    assert {word for cell in first_cells for word in re.findall(r"`([^`]+)`", cell)} == known - {"--help"}
