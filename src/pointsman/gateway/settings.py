"""Settings of a gateway worker, read once when it starts."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec


class SettingError(ValueError):
    """A setting in the environment that cannot be used. The message names it and what it takes."""


class Settings(msgspec.Struct, frozen=True):
    """What an operator may set for the request path. Sizes in bytes."""

    max_body_bytes: int = 32 << 20
    max_in_flight: int = 4096
    max_connections: int = 256


def settings_from(env: Mapping[str, str]) -> Settings:
    """Settings from `POINTSMAN_*`. Raises SettingError."""
    return Settings(
        max_body_bytes=_positive(env, "POINTSMAN_MAX_BODY_BYTES", Settings().max_body_bytes),
        max_in_flight=_positive(env, "POINTSMAN_MAX_IN_FLIGHT", Settings().max_in_flight),
        max_connections=_positive(env, "POINTSMAN_MAX_CONNECTIONS", Settings().max_connections),
    )


def _positive(env: Mapping[str, str], name: str, default: int) -> int:
    text = env.get(name)
    if text is None:
        return default
    try:
        value = int(text)
    except ValueError:
        value = 0
    if value < 1:
        raise SettingError(f"{name} takes a whole number above 0, not {text!r}")
    return value
