"""A small client of the admin API, on the standard library."""

from __future__ import annotations

import http.client
import os
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

DEFAULT_URL = "http://127.0.0.1:8081"
TIMEOUT_SECONDS = 30.0

AdminUrl = Annotated[
    str, typer.Option("--admin-url", envvar="POINTSMAN_ADMIN_URL", help="Where the admin API of Pointsman is.")
]
DataDir = Annotated[
    Path, typer.Option("--data-dir", help="Data directory with the admin token, unless POINTSMAN_ADMIN_TOKEN is set.")
]
Json = Annotated[bool, typer.Option("--json", help="Print JSON for programs.")]
DATA_DIR = Path("pointsman-data")


class ClientError(Exception):
    """The admin API could not be asked, or refused. `mend` is what to do about it; `body` is its answer, if any."""

    def __init__(self, message: str, mend: str = "", body: Mapping[str, Any] | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.mend = mend
        self.body: Mapping[str, Any] = body or {}


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    """The token goes to the address it was meant for and nowhere else."""

    def redirect_request(self, *_: Any) -> None:
        return None


class AdminClient:
    """Talks to one admin API."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url.rstrip("/")
        self._token = token
        parts = urllib.parse.urlsplit(self._url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ClientError(f"{url} is no address of an admin API", "give --admin-url like http://127.0.0.1:8081")
        # A proxy for the outside world has no business between us and our own machine.
        local = parts.hostname in ("127.0.0.1", "localhost", "::1")
        proxies = [urllib.request.ProxyHandler({})] if local else []
        self._opener = urllib.request.build_opener(_NoRedirects, *proxies)

    def __repr__(self) -> str:
        return f"AdminClient({self._url!r})"

    def get(self, path: str, **query: Any) -> dict[str, Any]:
        """GET below /api/v1; parameters that are None or empty are left out. Raises ClientError."""
        given = {name: value for name, value in query.items() if value not in (None, "")}
        return self._send(path + ("?" + urllib.parse.urlencode(given) if given else ""), None)

    def post(self, path: str, body: Any) -> dict[str, Any]:
        """POST JSON below /api/v1. Raises ClientError."""
        return self._send(path, msgspec.json.encode(body))

    def _send(self, path: str, data: bytes | None) -> dict[str, Any]:
        headers = {"authorization": f"Bearer {self._token}", "accept": "application/json"}
        if data is not None:
            headers["content-type"] = "application/json"
        request = urllib.request.Request(f"{self._url}/api/v1{path}", data, headers)  # noqa: S310 (scheme is checked)
        try:
            with self._opener.open(request, timeout=TIMEOUT_SECONDS) as response:
                return _json(response.read())
        except urllib.error.HTTPError as error:
            with error:
                raise _refused(error.code, error.read(), self._url) from None
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", None) or error
            raise ClientError(
                f"the admin API at {self._url} does not answer ({reason})",
                "is `pointsman serve` running? Its --admin-port goes into --admin-url",
            ) from None


def _json(data: bytes) -> dict[str, Any]:
    try:
        return msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise ClientError("the answer is no JSON object: this is not an admin API", "check --admin-url") from error


def _refused(status: int, data: bytes, url: str) -> ClientError:
    try:
        body = msgspec.json.decode(data, type=dict[str, Any])
    except msgspec.MsgspecError:
        return ClientError(f"{url} answered with status {status}: this is not an admin API", "check --admin-url")
    detail = str(body.get("detail", f"status {status}"))
    if status == 401:
        return ClientError(
            "the admin token is not accepted", "set POINTSMAN_ADMIN_TOKEN, or name the right --data-dir", body
        )
    return ClientError(detail, body=body)


def connect(admin_url: str, data_dir: Path) -> AdminClient:
    """A client with the token of this machine. Raises ClientError."""
    token = os.environ.get("POINTSMAN_ADMIN_TOKEN", "")
    if not token:
        path = data_dir / "admin-token"
        try:
            token = path.read_text(encoding="ascii").strip()
        except FileNotFoundError:
            raise ClientError(
                f"there is no admin token: {path} does not exist",
                "is `pointsman serve` running here? Name its --data-dir, or set POINTSMAN_ADMIN_TOKEN",
            ) from None
        except (OSError, UnicodeDecodeError) as error:
            raise ClientError(f"the admin token cannot be read from {path}: {error}") from None
    if not token.isascii() or not token.isprintable():
        raise ClientError("the admin token has characters that no token has")
    return AdminClient(admin_url, token)


def quoted(name: str) -> str:
    """A name as part of a path."""
    return urllib.parse.quote(name, safe="")
