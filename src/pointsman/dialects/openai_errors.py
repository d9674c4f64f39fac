"""Errors in OpenAI's shape: ours on the way out, the upstream's on the way in."""

from __future__ import annotations

import re

import msgspec

from pointsman.core.errors import GatewayError
from pointsman.core.policy import FailureKind
from pointsman.dialects.contract import Failure

_ENCODE = msgspec.json.Encoder().encode
_DETAIL = 300
_CODE = 80
_THREE_DIGITS = re.compile("[0-9]{3}")


class _ErrorBody(msgspec.Struct):
    message: str | None = None
    type: str | None = None
    code: str | int | None = None


class _Wrapped(msgspec.Struct):
    error: _ErrorBody | str | None = None
    message: str | None = None
    detail: msgspec.Raw = msgspec.Raw(b"")


_WRAPPED = msgspec.json.Decoder(_Wrapped, strict=False)

_BY_STATUS: dict[int, FailureKind] = {
    400: FailureKind.INVALID_REQUEST,
    401: FailureKind.AUTH,
    402: FailureKind.AUTH,
    403: FailureKind.AUTH,
    404: FailureKind.NOT_FOUND,
    405: FailureKind.NOT_FOUND,
    408: FailureKind.TIMEOUT,
    409: FailureKind.SERVER_ERROR,
    413: FailureKind.INVALID_REQUEST,
    415: FailureKind.INVALID_REQUEST,
    422: FailureKind.INVALID_REQUEST,
    425: FailureKind.OVERLOADED,
    429: FailureKind.RATE_LIMITED,
    498: FailureKind.OVERLOADED,
    503: FailureKind.OVERLOADED,
    504: FailureKind.TIMEOUT,
    529: FailureKind.OVERLOADED,
}

_BY_CODE: dict[str, FailureKind] = {
    "context_length_exceeded": FailureKind.CONTEXT_EXCEEDED,
    "string_above_max_length": FailureKind.CONTEXT_EXCEEDED,
    "content_filter": FailureKind.CONTENT_FILTERED,
    "content_policy_violation": FailureKind.CONTENT_FILTERED,
    "rate_limit_exceeded": FailureKind.RATE_LIMITED,
    "insufficient_quota": FailureKind.RATE_LIMITED,
    "overloaded_error": FailureKind.OVERLOADED,
    "invalid_api_key": FailureKind.AUTH,
}

_BY_TYPE: dict[str, FailureKind] = {
    "invalid_request_error": FailureKind.INVALID_REQUEST,
    "authentication_error": FailureKind.AUTH,
    "permission_error": FailureKind.AUTH,
    "rate_limit_error": FailureKind.RATE_LIMITED,
    "overloaded_error": FailureKind.OVERLOADED,
}
"""Where there is no status to go by: an error inside an answer or a stream."""

_CALLER_MISTAKES = (FailureKind.INVALID_REQUEST, FailureKind.CONTEXT_EXCEEDED, FailureKind.CONTENT_FILTERED)


def error_body(error: GatewayError, call_id: str) -> bytes:
    """`{"error": {message, type, param, code, call_id}}`: what OpenAI clients parse, and the call to ask about."""
    return _ENCODE(
        {
            "error": {
                "message": error.message,
                "type": error.kind.type,
                "param": error.param,
                "code": error.code,
                "call_id": call_id,
            }
        }
    )


def read_failure(status: int, body: bytes, retry_after: float | None) -> Failure:
    """What an upstream error means. `status` 200 stands for an error found inside an answer."""
    message, code, type_ = _message_code_and_type(body)
    code = code or type_
    kind = _BY_CODE.get(code)
    if kind is None and status == 200:
        kind = _BY_STATUS.get(int(code)) if _THREE_DIGITS.fullmatch(code) else _BY_TYPE.get(type_)
    if kind is None:
        kind = _BY_STATUS.get(status)
    if kind is None:
        kind = FailureKind.INVALID_REQUEST if 400 <= status < 500 else FailureKind.SERVER_ERROR
    return Failure(
        kind,
        f"status {status}{f', {code[:_CODE]}' if code else ''}" if status != 200 else code[:_CODE],
        retry_after,
        said=message[:_DETAIL],
        client_error=kind in _CALLER_MISTAKES and 400 <= status < 500,
    )


def _message_code_and_type(body: bytes) -> tuple[str, str, str]:
    try:
        wrapped = _WRAPPED.decode(body)
    except (msgspec.MsgspecError, RecursionError):
        return body[:_DETAIL].decode("utf-8", "replace").strip(), "", ""
    error = wrapped.error
    if isinstance(error, _ErrorBody):
        return error.message or "", str(error.code or ""), error.type or ""
    if error is not None:
        return error, "", ""
    if wrapped.message:
        return wrapped.message, "", ""
    return (bytes(wrapped.detail)[:_DETAIL].decode("utf-8", "replace") if wrapped.detail else ""), "", ""
