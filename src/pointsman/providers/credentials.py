"""From a credential reference to its value, as late as possible and never shown."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


class CredentialError(ValueError):
    """A credential cannot be had. The message names the reference, never a value."""


def resolve_credential(reference: str | None, env: Mapping[str, str]) -> str | None:
    """The secret that `env:NAME` or `file:PATH` refers to; None for no reference. Raises CredentialError."""
    if reference is None:
        return None
    scheme, _, rest = reference.partition(":")
    if scheme == "env":
        value = env.get(rest, "")
        if not value:
            raise CredentialError(f"the environment variable {rest} is not set; set it where Pointsman starts")
    elif scheme == "file":
        try:
            value = Path(rest).read_text(encoding="utf-8").strip()
        except OSError as error:
            raise CredentialError(f"the credential file {rest} cannot be read: {error.strerror}") from error
        except ValueError:
            # Not chained: a decoding error carries the bytes, and they are the secret.
            raise CredentialError(f"the credential file {rest} is not plain text") from None
        if not value:
            raise CredentialError(f"the credential file {rest} is empty")
    else:
        raise CredentialError("a credential is written env:NAME or file:PATH")
    if not value.isascii() or not value.isprintable():
        raise CredentialError(f"the credential {reference} has characters that cannot be sent in a header")
    return value
