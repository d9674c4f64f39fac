"""Changing one value of a JSON body and no other byte.

A body is spliced where that is provably the value meant: the key occurs once in the text and no escape could hide
another spelling of it. Otherwise the object is taken apart and put together again, which keeps every value's bytes.
"""

from __future__ import annotations

import msgspec

from pointsman.core.errors import GatewayError
from pointsman.dialects.contract import Incoming

_RAW = msgspec.json.Decoder(dict[str, msgspec.Raw])
_ENCODE = msgspec.json.Encoder().encode
_MODEL = b'"model"'
ESCAPE = b"\\u00"
"""How JSON begins to spell an ASCII letter in another way."""

_SPACE = b" \t\r\n"


def replace_model(request: Incoming, new: str) -> bytes:
    """The request's body with the value of its top-level key "model" replaced by `new`."""
    body, old = request.body, request.model
    # Clients write compact JSON, and mostly put the model first: the general search is for the others.
    value = _ENCODE(old)
    start = 9 if body.startswith(b'{"model":"') else _value_start(body)
    if start and not request.escaped and body.startswith(value, start) and body.find(_MODEL, start) < 0:
        return body if old == new else body[:start] + _ENCODE(new) + body[start + len(value) :]
    return replace_values(body, {"model": msgspec.Raw(_ENCODE(new))})


def _value_start(body: bytes) -> int:
    """Where the value of the first key "model" in the text begins; 0 when there is no such key."""
    at = body.find(_MODEL)
    if at < 0:
        return 0
    colon = _skip(body, at + len(_MODEL))
    return _skip(body, colon + 1) if body[colon : colon + 1] == b":" else 0


def replace_values(body: bytes, values: dict[str, msgspec.Raw]) -> bytes:
    """`body`, a JSON object, with top-level values set; every other value keeps its bytes.

    Raises GatewayError where the body is nested almost as deeply as could be read, and no deeper can be done.
    """
    try:
        fields = _RAW.decode(body)
    except RecursionError as error:
        raise GatewayError("invalid_json", "The request body is nested too deeply to be a request.") from error
    fields.update(values)
    return _ENCODE(fields)


def insert_first(body: bytes, member: bytes) -> bytes:
    """`body`, a JSON object that is not empty, with `member` (`"key":value`) put before its first member."""
    brace = body.index(b"{") + 1
    return b"".join((body[:brace], member, b",", body[brace:]))


def _skip(body: bytes, position: int) -> int:
    while position < len(body) and body[position] in _SPACE:
        position += 1
    return position
