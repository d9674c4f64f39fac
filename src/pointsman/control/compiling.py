"""How a file's text becomes a document: the one place where control knows the registry's compiler."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any, Protocol

from pointsman.core.document import Document
from pointsman.registry.problem import Problem


class Compiled(Protocol):
    """What the compiler gives: the document, where its facts come from (encodable as JSON), and doubts."""

    @property
    def document(self) -> Document:
        """The registry, every fact resolved."""

    @property
    def facts(self) -> Any:
        """Where each fact of each target comes from."""

    @property
    def warnings(self) -> Sequence[Problem]:
        """What a person should look at."""


Compile = Callable[[str, str], Compiled]
"""Compiles (text, source). Pure but for the environment variables that credentials name. Raises RegistryInvalid."""


def registry_compiler() -> Compile:
    """The real compiler, over the bundled catalogue, as of today."""
    from pointsman.catalog import Catalog
    from pointsman.registry import compile_registry

    catalog = Catalog()

    def compile_text(text: str, source: str) -> Compiled:
        return compile_registry(text, source=source, catalog=catalog, today=datetime.now(UTC).date())

    return compile_text
