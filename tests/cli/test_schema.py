"""`pointsman schema` prints what editors need."""

from __future__ import annotations

import json

import msgspec

from pointsman.registry import file
from tests.cli.commands import run


def test_the_schema_is_the_registry_files_own_as_json() -> None:
    result = run("schema")
    assert (result.exit_code, result.stderr) == (0, "")
    schema = json.loads(result.stdout)
    assert schema == msgspec.json.decode(msgspec.json.encode(file.schema()))
    assert schema["$schema"].startswith("https://json-schema.org/")
    assert "providers" in schema["$defs"]["RegistryFile"]["properties"]
