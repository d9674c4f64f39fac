"""Errors of the admin API: one shape for all of them (RFC 9457 problem details)."""

from __future__ import annotations

from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import msgspec

from pointsman.registry.problem import Problem

if TYPE_CHECKING:
    from litestar import Request, Response

MEDIA_TYPE = "application/problem+json"


class ProblemDetails(msgspec.Struct, omit_defaults=True):
    """An error. `code` is for programs, `detail` for people. `problems` are those of a registry file.

    `current` is the revision that is current when an edit was based on another one.
    """

    title: str
    status: int
    code: str
    detail: str
    problems: tuple[Problem, ...] = ()
    current: int | None = None
    type: str = ""

    def __post_init__(self) -> None:
        self.type = self.type or "about:blank"


class ApiError(Exception):
    """Refuses a request with a status, a code and a sentence for people."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        problems: tuple[Problem, ...] = (),
        current: int | None = None,
    ) -> None:
        super().__init__(detail)
        self.details = ProblemDetails(HTTPStatus(status).phrase, status, code, detail, problems, current)


def problem_body(details: ProblemDetails) -> bytes:
    """The JSON of an error."""
    return msgspec.json.encode(details)


def problem_response(details: ProblemDetails) -> Response[bytes]:
    """An error as a response."""
    from litestar import Response

    return Response(problem_body(details), status_code=details.status, media_type=MEDIA_TYPE)


def on_api_error(_request: Request[Any, Any, Any], error: ApiError) -> Response[bytes]:
    """Our own refusals."""
    return problem_response(error.details)
