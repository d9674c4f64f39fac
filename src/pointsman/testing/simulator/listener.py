"""A listening socket that can go away and come back on the same port."""

import asyncio
import socket
from collections.abc import Callable

from pointsman.testing.simulator.faults_wire import Flapping

BACKLOG = 1024


class Listener:
    """Accepts connections while up; while down the port is kept, but connecting is refused."""

    def __init__(self, host: str, port: int, accept: Callable[[], asyncio.Protocol]) -> None:
        self._host = host
        self._accept = accept
        self._socket: socket.socket | None = None
        self._server: asyncio.Server | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._rising: asyncio.Task[None] | None = None
        self.port = port

    def up(self) -> None:
        """Listen, from this moment on. Raises OSError when the port is taken (first time only)."""
        if self._socket is None:
            self._reserve()
        if self.is_up or self._socket is None:
            return
        # The kernel takes connections from here on; the loop picks them up a turn later.
        self._socket.listen(BACKLOG)
        self._rising = asyncio.get_running_loop().create_task(self._serve(self._socket))

    async def _serve(self, listening: socket.socket) -> None:
        self._server = await asyncio.get_running_loop().create_server(self._accept, sock=listening, backlog=BACKLOG)

    async def ready(self) -> None:
        """Wait until what `up` began is done."""
        if self._rising is not None:
            await self._rising

    @property
    def is_up(self) -> bool:
        """Whether connections are taken."""
        return self._rising is not None

    def down(self) -> None:
        """Refuse connections from this moment on; the port stays ours. Open connections are not touched."""
        self._close()
        self._reserve()

    def stop(self) -> None:
        """Close for good."""
        self.steady()
        self._close()

    def _close(self) -> None:
        if self._rising is not None:
            self._rising.cancel()
            self._rising = None
        if self._server is not None:
            self._server.close()
            self._server = None
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def _reserve(self) -> None:
        """Bind without listening: connecting is refused, and nobody else gets the port."""
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # The protocol is named, or asyncio would not recognize TCP and leave small packets waiting for each other.
        bound = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        bound.setblocking(False)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            bound.bind((self._host, self.port))
        except OSError:
            bound.close()
            raise
        self._socket = bound
        self.port = bound.getsockname()[1]

    # -- timed changes

    def up_after(self, seconds: float) -> None:
        """Come back after so many seconds."""
        self._in(seconds, self.up)

    def flap(self, flapping: Flapping, on_down: Callable[[], None]) -> None:
        """Go up and down in turns until `steady`; `on_down` is called at each fall."""

        def rise() -> None:
            self.up()
            self._in(flapping.up, fall)

        def fall() -> None:
            on_down()
            self._in(flapping.down, rise)

        rise()

    def steady(self) -> None:
        """Forget any timed change."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _in(self, seconds: float, change: Callable[[], None]) -> None:
        self.steady()
        self._timer = asyncio.get_running_loop().call_later(seconds, change)
