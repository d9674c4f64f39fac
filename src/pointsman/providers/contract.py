"""What the gateway asks of a provider family: where a target is reached, and the head of a request to it."""

from __future__ import annotations

from typing import Protocol

from pointsman.core.document import ProviderSpec


class Family(Protocol):
    """One way of addressing and authenticating. A vendor that speaks a known family is a row of data, not code."""

    name: str
    dialects: frozenset[str]

    def path(self, provider: ProviderSpec, base_path: str, upstream_path: str, model: str) -> str:
        """Path and query of a call, below the endpoint."""

    def auth_headers(self, secret: str | None) -> list[tuple[str, str]]:
        """Headers that carry the credential."""
