"""`pointsman schema`."""

from __future__ import annotations

from pointsman.cli.output import print_json


def schema() -> None:
    """Print the JSON Schema of the registry file, for editors that complete and check YAML."""
    from pointsman.registry import file

    print_json(file.schema())
