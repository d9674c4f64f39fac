"""A TCP connection to a name, by whichever of its addresses answers first."""

from __future__ import annotations

import asyncio
import itertools
import socket
from collections import defaultdict

from pointsman.transport.endpoint import is_metadata_address
from pointsman.transport.errors import TransportError

_STAGGER = 0.25  # seconds until the next address is tried beside the last (RFC 8305, section 5)
_KEEP_ALIVE_SECONDS = 60  # a model may think for minutes; routers forget a silent connection sooner

_Address = tuple[socket.AddressFamily, tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]]


async def reach(
    loop: asyncio.AbstractEventLoop, host: str, port: int, *, allow_metadata: bool = False
) -> socket.socket:
    """Return a connected, non-blocking socket, or raise the first address's OSError.

    Where IPv6 is announced but leads nowhere, IPv4 is tried a quarter of a second later instead of never.
    A name that resolves to nothing but metadata addresses is refused before anything is sent there.
    """
    addresses = await _look_up(loop, host, port)
    if not allow_metadata:
        safe = [address for address in addresses if not is_metadata_address(str(address[1][0]))]
        if not safe:
            message = f"{host} resolves to a link-local address, where cloud metadata lives; refused"
            raise TransportError(message, kind="network", sent=False)
        addresses = safe
    if len(addresses) == 1:
        return await _connect(loop, addresses[0])
    return await _race(loop, addresses)


async def _look_up(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[_Address]:
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except UnicodeError as error:  # a label of more than 63 characters, for one
        raise OSError(f"not a host name: {error}") from None
    families: dict[socket.AddressFamily, list[_Address]] = defaultdict(list)
    for family, _, _, _, address in found:
        families[family].append((family, address))
    turns = itertools.zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


async def _race(loop: asyncio.AbstractEventLoop, addresses: list[_Address]) -> socket.socket:
    attempts: list[asyncio.Task[socket.socket]] = []
    errors: list[BaseException] = []
    try:
        waiting = iter(addresses)
        while True:
            following = next(waiting, None)
            if following is not None:
                attempts.append(loop.create_task(_connect(loop, following)))
            elif not attempts:
                raise errors[0]
            patience = None if following is None else _STAGGER
            await asyncio.wait(attempts, timeout=patience, return_when=asyncio.FIRST_COMPLETED)
            for attempt in [attempt for attempt in attempts if attempt.done()]:
                attempts.remove(attempt)
                error = attempt.exception()
                if error is None:
                    return attempt.result()
                errors.append(error)
    finally:
        for attempt in attempts:
            if not attempt.done():
                attempt.cancel()
            elif attempt.exception() is None:
                attempt.result().close()


async def _connect(loop: asyncio.AbstractEventLoop, address: _Address) -> socket.socket:
    family, where = address
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        if hasattr(socket, "TCP_KEEPIDLE"):  # not on every system
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, _KEEP_ALIVE_SECONDS)
        await loop.sock_connect(sock, where)
    except BaseException:
        sock.close()
        raise
    return sock
