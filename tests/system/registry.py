"""The registry that the system tests serve, and its keys."""

from __future__ import annotations

from typing import Any

from tests.clients.harness import chat_target, embedding_target, hash_of

KEY = "pk-system-everything-9c1d"
NARROW_KEY = "pk-system-narrow-77aa"
CREDENTIAL = "sk-canary-of-the-provider-5f2e"
PREMIUM, BACKUP, EMBED = "main:premium-1", "main:backup-1", "main:embed-1"


def registry(main: str, broken: str = "", **changes: Any) -> dict[str, Any]:
    """A registry over a simulator at `main` and one that always fails at `broken` (both base URLs)."""
    targets = {
        PREMIUM: chat_target("premium", tags=["regulated-ok"]),
        BACKUP: chat_target("standard", tags=["regulated-ok"], prices={"input": 3, "output": 4}),
        EMBED: embedding_target(),
        "other:broken-1": chat_target("premium", tags=["regulated-ok"]),
        "main:plain-1": chat_target("economy", capabilities={"streaming": "yes", "tools": "no", "json_schema": "yes"}),
    }
    policies = {
        "regulated": {"require": {"tags": ["regulated-ok"]}, "candidates": [PREMIUM, BACKUP]},
        "failing-over": {
            "candidates": ["other:broken-1", PREMIUM],
            "on_failure": {"retry": 1, "fallback": True},
        },
        "hopeless": {"candidates": ["other:broken-1"], "on_failure": {"retry": 0, "fallback": False}},
        "mixed": {"candidates": ["main:plain-1", PREMIUM], "on_failure": {"fallback": True}},
    }
    return {
        "version": 1,
        "providers": {
            "main": {"family": "openai", "base_url": main, "credential": "env:SYSTEM_TEST_CREDENTIAL"},
            "other": {"family": "openai", "base_url": broken or main},
        },
        "targets": targets,
        "aliases": {"embedder": EMBED},
        "policies": policies,
        "workflows": {
            "support-answer": {"policy": "regulated", "owner": "support"},
            "sturdy-answer": {"policy": "failing-over", "owner": "support"},
            "lost-answer": {"policy": "hopeless", "owner": "support"},
            "mixed-answer": {"policy": "mixed", "owner": "support"},
        },
        "keys": [
            {"name": "everything", "team": "system", "hash": hash_of(KEY), "allow": "all"},
            {"name": "narrow", "team": "system", "hash": hash_of(NARROW_KEY), "allow": ["support-answer"]},
        ],
        **changes,
    }


def chat(model: str = "support-answer", *, stream: bool = False, **fields: Any) -> dict[str, Any]:
    """The body of a chat request."""
    return {"model": model, "messages": [{"role": "user", "content": "May I return it?"}], "stream": stream, **fields}
