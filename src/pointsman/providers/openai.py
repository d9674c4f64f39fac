"""The `openai` family: OpenAI itself and everything that speaks its API at any base URL."""

from __future__ import annotations

from pointsman.core.document import ProviderSpec

name = "openai"
dialects = frozenset({"openai_chat", "openai_embeddings"})


def path(provider: ProviderSpec, base_path: str, upstream_path: str, model: str) -> str:
    """The base path of the provider's URL followed by the API's own path."""
    return base_path.rstrip("/") + upstream_path


def auth_headers(secret: str | None) -> list[tuple[str, str]]:
    """A bearer token; nothing for servers that want none."""
    return [] if secret is None else [("authorization", f"Bearer {secret}")]
