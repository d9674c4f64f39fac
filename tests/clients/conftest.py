"""One gateway with simulated providers, and one with the real local model, for all clients of a test process."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any

import msgspec
import pytest

from pointsman.testing.local_model import MODEL
from pointsman.testing.simulator import Settings, SimulatorThread
from tests.clients.harness import (
    EXPIRED_KEY,
    KEY,
    NARROW_KEY,
    Gateway,
    chat_target,
    embedding_target,
    hash_of,
    local_model,
    serve,
)

SECRET = "sk-of-the-provider"


class Rehearsal(msgspec.Struct, frozen=True):
    """A gateway and the simulated providers behind it, by name."""

    gateway: Gateway
    providers: dict[str, SimulatorThread]


PROVIDERS: dict[str, tuple[str, ...]] = {
    "sim": (),
    "slow": ("token_delay:50ms",),
    "broken": ("server_error:500",),
    "limited": ("rate_limited:7",),
    "interrupting": ("truncated:6",),
    "complaining": ("stream_error:6",),
    "renaming": ("other_model:cheaper-model",),
}
"""Simulated providers and how each behaves."""


def keys(*names: str) -> list[dict[str, Any]]:
    return [
        {"name": "everything", "team": "clients", "hash": hash_of(KEY), "allow": "all"},
        {"name": "narrow", "team": "clients", "hash": hash_of(NARROW_KEY), "allow": list(names)},
        {"name": "expired", "team": "clients", "hash": hash_of(EXPIRED_KEY), "allow": "all", "expires": "2024-01-31"},
    ]


def rehearsal_registry(providers: dict[str, SimulatorThread]) -> dict[str, Any]:
    """A registry in which every name that the tests call stands."""
    policies = {
        "regulated-final": {
            "require": {"tags": ["regulated-ok"], "unknown_capabilities": "deny"},
            "candidates": ["sim:premium-2026-01-15"],
        },
        "with-outage": {
            "candidates": ["broken:premium-2026-01-15", "sim:premium-2026-01-15"],
            "on_failure": {"retry": 0, "fallback": True},
        },
        "text-only": {"candidates": ["sim:text-2026-01-15"]},
    }
    return {
        "version": 1,
        "providers": {
            name: {"family": "openai", "base_url": provider.base_url, "credential": "env:SIMULATED_KEY"}
            for name, provider in providers.items()
        },
        "targets": {
            **{
                f"{name}:premium-2026-01-15": chat_target("premium", tags=["regulated-ok"] if name == "sim" else [])
                for name in providers
            },
            "sim:text-2026-01-15": chat_target("economy", capabilities={"streaming": "yes", "tools": "no"}),
            "sim:embed-2026-01-15": embedding_target(),
        },
        "aliases": {"embedder": "sim:embed-2026-01-15"},
        "policies": policies,
        "workflows": {
            "support-answer": {"policy": "regulated-final", "owner": "support"},
            "survives-outage": {"policy": "with-outage", "owner": "support"},
            "plain-text": {"policy": "text-only", "owner": "support"},
        },
        "keys": keys("plain-text"),
    }


@pytest.fixture(scope="session")
def rehearsal(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Rehearsal]:
    """A gateway in front of simulated providers."""
    with ExitStack() as stack:
        providers = {
            name: stack.enter_context(SimulatorThread(*faults, settings=Settings(name=name, api_keys=(SECRET,))))
            for name, faults in PROVIDERS.items()
        }
        registry = rehearsal_registry(providers)
        folder = tmp_path_factory.mktemp("rehearsal")
        yield Rehearsal(stack.enter_context(serve(registry, folder, {"SIMULATED_KEY": SECRET})), providers)


@pytest.fixture(scope="session")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    """A gateway in front of the real local model."""
    folder = tmp_path_factory.mktemp("real")
    with local_model(folder) as base_url:
        registry = {
            "version": 1,
            "providers": {"local": {"family": "openai", "base_url": base_url}},
            "targets": {
                f"local:{MODEL}": {
                    "state": "approved",
                    "tier": "economy",
                    "prices": "free",
                    "task": "chat",
                    "context_window": 4096,
                    "capabilities": {"streaming": "yes", "json_schema": "yes", "tools": "no"},
                },
                f"local:{MODEL}-embeddings": embedding_target(prices="free", context_window=4096),
            },
            "aliases": {"embedder": f"local:{MODEL}-embeddings"},
            "policies": {"local-only": {"candidates": [f"local:{MODEL}"]}},
            "workflows": {"small-talk": {"policy": "local-only", "owner": "clients"}},
            "keys": keys("small-talk"),
        }
        with serve(registry, folder) as gateway:
            yield gateway
