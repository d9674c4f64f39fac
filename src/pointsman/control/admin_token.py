"""The admin token: from POINTSMAN_ADMIN_TOKEN, or made at the first start and kept in a file of its owner alone."""

from __future__ import annotations

import os
import secrets
from collections.abc import Mapping
from pathlib import Path

VARIABLE = "POINTSMAN_ADMIN_TOKEN"
_SHORTEST = 16


class TokenError(ValueError):
    """The token that was given is no token. Its value is not repeated."""


class Token:
    """A secret that does not show itself when it is printed."""

    __slots__ = ("value",)

    def __init__(self, value: str) -> None:
        self.value = value

    def __repr__(self) -> str:
        return "Token(…)"


def admin_token(path: Path, environment: Mapping[str, str]) -> tuple[Token, Path | None]:
    """The token, and the file it lies in when it is not from the environment. Raises TokenError, OSError."""
    given = environment.get(VARIABLE, "")
    if given:
        if len(given) < _SHORTEST or not given.isascii() or not given.isprintable() or " " in given:
            raise TokenError(f"{VARIABLE} has to be at least {_SHORTEST} printable ASCII characters without spaces")
        return Token(given), None
    try:
        kept = path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        kept = ""
    if len(kept) >= _SHORTEST:
        return Token(kept), path
    made = secrets.token_urlsafe(32)
    scratch = path.with_name(f".{path.name}.new")
    scratch.unlink(missing_ok=True)
    fd = os.open(scratch, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(made + "\n")
    scratch.replace(path)
    return Token(made), path
