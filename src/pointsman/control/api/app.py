"""The admin API as one ASGI application: routes, error shape, description, and the token in front of it all."""

from __future__ import annotations

import logging
from http import HTTPStatus
from typing import Any

from litestar import Litestar, Request, Response
from litestar.di import Provide
from litestar.exceptions import HTTPException
from litestar.openapi import OpenAPIConfig
from litestar.openapi.plugins import JsonRenderPlugin

from pointsman import __version__
from pointsman.control.admin_token import Token
from pointsman.control.api.auth import BearerOnly
from pointsman.control.api.problem import ApiError, ProblemDetails, on_api_error, problem_response
from pointsman.control.api.routes import healthz, router
from pointsman.control.parts import Control
from pointsman.store.store import StoreError

MAX_BODY = 64 << 20
"""A registry of 100,000 keys is about 15 MB."""

_log = logging.getLogger("pointsman.control")


def make_app(control: Control, token: Token) -> BearerOnly:
    """The application for `control`, closed to everybody without `token`."""
    return BearerOnly(make_routes(control), token)


def make_routes(control: Control) -> Litestar:
    """The application without its lock; tests compare its routes with the reference."""
    return Litestar(
        route_handlers=[healthz, router()],
        dependencies={"control": Provide(lambda: control, sync_to_thread=False)},
        exception_handlers={
            ApiError: on_api_error,
            HTTPException: _on_http_error,
            StoreError: _on_store_error,
            RecursionError: _on_nesting,
            Exception: _on_bug,
        },
        openapi_config=OpenAPIConfig(
            title="Pointsman admin API", version=__version__, path="/api/openapi", render_plugins=[JsonRenderPlugin()]
        ),
        request_max_body_size=MAX_BODY,
        logging_config=None,
        signature_types=[Control],
    )


def _on_http_error(_request: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    status = HTTPStatus(error.status_code)
    detail = error.detail
    if isinstance(error.extra, list):
        # What a validation found; values that were sent are not repeated.
        said = [f"{item.get('key', '')}: {item.get('message', '')}" for item in error.extra if isinstance(item, dict)]
        detail = "; ".join(said) or detail
    code = status.name.lower()
    response = problem_response(ProblemDetails(status.phrase, error.status_code, code, detail or status.description))
    for name, value in (error.headers or {}).items():
        response.headers[name] = value
    return response


def _on_store_error(_request: Request[Any, Any, Any], error: StoreError) -> Response[bytes]:
    return problem_response(ProblemDetails("Service Unavailable", 503, "store_unavailable", str(error)))


def _on_nesting(_request: Request[Any, Any, Any], _error: RecursionError) -> Response[bytes]:
    return problem_response(ProblemDetails("Bad Request", 400, "bad_request", "The body is nested too deeply."))


def _on_bug(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.error("%s %s failed", request.method, request.scope["path"], exc_info=error)
    return problem_response(
        ProblemDetails("Internal Server Error", 500, "internal_error", "An error of ours; the log of pointsman has it.")
    )
