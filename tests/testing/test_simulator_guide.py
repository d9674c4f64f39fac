"""The guide names every fault, every value and every option, and nothing else."""

from __future__ import annotations

import inspect
import re
from pathlib import Path
from typing import Any

import pytest

from pointsman.cli.local_model import local_model
from pointsman.cli.simulate import simulate
from pointsman.testing.simulator import FAULTS
from pointsman.testing.simulator.fault import own_fields

GUIDE = (Path(__file__).resolve().parents[2] / "docs" / "guide" / "simulator.md").read_text(encoding="utf-8")


def rows() -> dict[str, str]:
    """The fault table: name and values."""
    return dict(re.findall(r"^\| `([a-z_]+)` \|(.*)\|[^|]*\|$", GUIDE.replace("\\|", "/"), re.MULTILINE))


def test_the_table_names_the_faults_there_are() -> None:
    assert set(rows()) == set(FAULTS)


@pytest.mark.parametrize("name", FAULTS)
def test_the_table_names_every_value_of_a_fault(name: str) -> None:
    assert [field.name for field in own_fields(FAULTS[name]) if f"`{field.name}" not in rows()[name]] == []


@pytest.mark.parametrize("command", [simulate, local_model])
def test_the_guide_names_every_option(command: Any) -> None:
    options = ["--" + name.replace("_", "-") for name in inspect.signature(command).parameters]
    assert [option for option in options if f"`{option}" not in GUIDE] == []
