"""The only errors a caller may see.

    GatewayError                    one row of `ERRORS`, said in the caller's dialect by `dialects/`
    └─ (no subclasses: a code, not a class, tells errors apart)

Each code has one HTTP status and one type in the words of the OpenAI API, whose clients key on them.
"""

from __future__ import annotations

import msgspec


class ErrorKind(msgspec.Struct, frozen=True):
    """A row of the list: HTTP status, the OpenAI error type, and whether a client may usefully try again."""

    status: int
    type: str
    retryable: bool = False


ERRORS: dict[str, ErrorKind] = {
    "invalid_json": ErrorKind(400, "invalid_request_error"),
    "invalid_request": ErrorKind(400, "invalid_request_error"),
    "body_too_large": ErrorKind(413, "invalid_request_error"),
    "body_timeout": ErrorKind(408, "invalid_request_error"),
    "headers_too_large": ErrorKind(431, "invalid_request_error"),
    "unsupported_content_encoding": ErrorKind(415, "invalid_request_error"),
    "missing_api_key": ErrorKind(401, "authentication_error"),
    "invalid_api_key": ErrorKind(401, "authentication_error"),
    "expired_api_key": ErrorKind(401, "authentication_error"),
    "model_not_allowed": ErrorKind(403, "permission_error"),
    "model_not_found": ErrorKind(404, "invalid_request_error"),
    "not_found": ErrorKind(404, "invalid_request_error"),
    "method_not_allowed": ErrorKind(405, "invalid_request_error"),
    "no_eligible_target": ErrorKind(422, "policy_error"),
    "no_healthy_target": ErrorKind(503, "service_unavailable", retryable=True),
    "upstream_error": ErrorKind(502, "upstream_error", retryable=True),
    "upstream_invalid": ErrorKind(502, "upstream_error", retryable=True),
    "upstream_auth": ErrorKind(502, "upstream_error"),
    "upstream_timeout": ErrorKind(504, "upstream_error", retryable=True),
    "upstream_rate_limited": ErrorKind(429, "rate_limit_error", retryable=True),
    "stream_interrupted": ErrorKind(502, "upstream_error", retryable=True),
    "overloaded": ErrorKind(503, "service_unavailable", retryable=True),
    "not_ready": ErrorKind(503, "service_unavailable", retryable=True),
    "record_unavailable": ErrorKind(503, "service_unavailable", retryable=True),
    "internal_error": ErrorKind(500, "internal_error", retryable=True),
}
"""Every code a caller may meet; documented in docs/reference/errors.md."""


class GatewayError(Exception):
    """A refusal or failure that the caller is told about.

    `code` is a key of `ERRORS`. `message` names what is wrong and the mend. `param` is the field of the request it
    concerns. `retry_after` is in seconds.
    """

    def __init__(self, code: str, message: str, *, param: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.kind = ERRORS[code]
        self.message = message
        self.param = param
        self.retry_after = retry_after
