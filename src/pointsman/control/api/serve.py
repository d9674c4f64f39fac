"""Serving the admin API until the process is asked to end."""

from __future__ import annotations

import logging
import socket
import threading
from typing import Any, cast

import uvicorn

from pointsman.control.admin_token import Token
from pointsman.control.api.app import make_app
from pointsman.control.parts import Control

_log = logging.getLogger("pointsman.control")


class _Server(uvicorn.Server):
    """Says when it is ready, and notices a signal that came before its own handlers were in place."""

    def __init__(self, config: uvicorn.Config, ending: threading.Event) -> None:
        super().__init__(config)
        self._ending = ending

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        if self._ending.is_set():
            self.should_exit = True
        elif self.started and sockets:
            host, port = sockets[0].getsockname()[:2]
            _log.info("admin API on http://%s:%d", f"[{host}]" if ":" in host else host, port)


def serve(control: Control, token: Token, listener: socket.socket, ending: threading.Event) -> None:
    """Answer on `listener` until SIGTERM or SIGINT."""
    config = uvicorn.Config(
        cast(Any, make_app(control, token)),
        loop="uvloop",
        http="httptools",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_graceful_shutdown=5,
    )
    _Server(config, ending).run(sockets=[listener])
