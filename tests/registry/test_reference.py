"""The pages about the registry file hold what the compiler holds, in both directions."""

from __future__ import annotations

from datetime import date

import msgspec
import pytest

from pointsman.catalog import Catalog
from pointsman.registry import compile_registry
from pointsman.registry.file import Sent, schema
from tests.docs.pages import REFERENCE, documented, fences, rows
from tests.registry.codes import codes
from tests.registry.reference import HEADINGS, described

PAGE = REFERENCE / "registry-file.md"


@pytest.mark.parametrize(("struct", "heading"), HEADINGS.items(), ids=HEADINGS.values())
def test_every_key_is_described_with_its_type_default_and_meaning(struct: type[msgspec.Struct], heading: str) -> None:
    assert rows(PAGE, heading) == described(struct)


def test_every_part_of_the_file_has_its_section() -> None:
    parts, ahead = set(), list(Sent.__subclasses__())
    while ahead:
        part = ahead.pop()
        parts.add(part.__name__)
        ahead += part.__subclasses__()
    # Rates are described as prices and as price tiers.
    assert parts - {"RatesEntry"} == {struct.__name__ for struct in HEADINGS}


def test_the_examples_of_the_page_are_one_file_that_compiles() -> None:
    text = "".join(fence.text for fence in fences(PAGE) if fence.language == "yaml")
    compiled = compile_registry(text, source="page", catalog=Catalog(), today=date(2026, 6, 1))
    assert compiled.warnings == ()
    assert len(compiled.document.workflows) == 3
    assert len(compiled.document.keys) == 2


def test_every_problem_is_explained_with_a_mend() -> None:
    assert documented("problems.md") == codes()
    assert [code for code, cells in rows(REFERENCE / "problems.md").items() if not all(cells)] == []


def test_the_schema_for_editors_describes_every_key() -> None:
    definitions = {"RegistryFile": schema(), **schema()["$defs"]}
    for struct in HEADINGS:
        found = definitions[struct.__name__]
        if "$ref" in found:
            found = definitions["RegistryFile"]["$defs"]["RegistryFile"]
        assert found["additionalProperties"] is False
        said = {name: entry.get("description") for name, entry in found["properties"].items()}
        assert said == {name: cells[2] for name, cells in described(struct).items()}
        required = [name for name, cells in described(struct).items() if cells[1] == "required"]
        assert found["required"] == required
