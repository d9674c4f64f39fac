"""Reading a JSON request safely: one place for the errors that any malformed body gets."""

from __future__ import annotations

import re
from typing import TypeVar

import msgspec

from pointsman.core.errors import GatewayError
from pointsman.dialects.rewrite import ESCAPE

T = TypeVar("T")

ABSENT = msgspec.Raw(b"")
"""Stands for a value that was not sent (a field of type Raw cannot be optional otherwise)."""

_NOTHING = (b"", b"null", b'""', b"[]", b"{}")


def says_something(value: msgspec.Raw) -> bool:
    """Whether a JSON value is there and neither null nor empty."""
    return len(value) > 4 or bytes(value) not in _NOTHING


CHARACTERS_PER_TOKEN = 6
"""Characters of text per token, on the high side of what tokenizers do: an estimate made with it errs low."""

BACKSLASH = b"\\"
"""A search for one byte is far quicker than one for two: most bodies have no escape at all, or none of a letter."""


def text_size(value: msgspec.Raw, body: bytes) -> int:
    """Characters of a JSON value of `body`, erring low.

    Bytes would not do: a letter of another alphabet takes two or three of them, or six where clients escape it.
    """
    size = len(value) if body.isascii() else len(str(value, "utf-8"))
    return max(size - 5 * body.count(b"\\u"), 0) if BACKSLASH in body else size


_KEYS = msgspec.json.Decoder(dict[str, msgspec.Raw])
_PATH = re.compile(r" - at `\$\.?([^`]*)`$")


def decode_request(decoder: msgspec.json.Decoder[T], body: bytes) -> T:
    """Decode a request body. Raises GatewayError naming the field and what was expected there."""
    if not body:
        raise GatewayError("invalid_json", "The request has no body. Send a JSON object.")
    if not body.isascii():
        try:
            body.decode()
        except UnicodeDecodeError as error:
            raise GatewayError(
                "invalid_json", f"The request body is not valid UTF-8 (byte {error.start}). Encode JSON as UTF-8."
            ) from error
    try:
        return decoder.decode(body)
    except msgspec.ValidationError as error:
        raise _wrong_type(str(error)) from error
    except msgspec.DecodeError as error:
        raise GatewayError("invalid_json", f"The request body is not valid JSON: {error}.") from error
    except RecursionError as error:
        raise GatewayError("invalid_json", "The request body is nested too deeply to be a request.") from error


def refuse_other_models(body: bytes) -> None:
    """Refuse a body that could make the upstream choose a model of its own. Raises GatewayError.

    Some upstreams take a list of `models` to fall back on, and some read keys without regard to case, so that a second
    spelling of `model` would go before the one that was decided on.
    """
    lowered = body.lower()
    if lowered.count(b'"model"') == 1 and b'"models"' not in lowered and ESCAPE not in body:
        return
    for key in _KEYS.decode(body):
        if key != "model" and key.lower() in ("model", "models"):
            raise GatewayError(
                "invalid_request",
                f"The field `{key}` could make the provider choose another model than `model` names. Remove it.",
                param=key,
            )


def _wrong_type(said: str) -> GatewayError:
    found = _PATH.search(said)
    param = found.group(1) if found else None
    what = said[: found.start()] if found else said
    if what.startswith("Object missing required field `"):
        field = what.split("`")[1]
        param = f"{param}.{field}" if param else field
        return GatewayError("invalid_request", f"The field `{param}` is missing.", param=param)
    place = f" in `{param}`" if param else " as the request body"
    return GatewayError("invalid_request", f"{what.replace('`', '')}{place}.", param=param or None)
