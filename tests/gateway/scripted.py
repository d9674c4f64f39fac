"""A provider that does exactly what a script says, chosen by the model that is asked for."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import msgspec

Script = Callable[[socket.socket, bytes], None]
PATIENCE = 15.0


class Scripted:
    """A server on a thread per connection. `seen` are the bodies that arrived, by model."""

    def __init__(self, scripts: Mapping[str, Script]) -> None:
        self._scripts = scripts
        self._listener = socket.create_server(("127.0.0.1", 0), backlog=128)
        self._ending = False
        self.seen: dict[str, list[bytes]] = {}
        self.heads: dict[str, list[bytes]] = {}
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def base_url(self) -> str:
        """What a provider's base_url is."""
        return f"http://127.0.0.1:{self._listener.getsockname()[1]}/v1"

    def close(self) -> None:
        """Listen no more."""
        self._ending = True
        self._listener.close()

    def _accept(self) -> None:
        while not self._ending:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with connection, contextlib.suppress(OSError):
            while True:
                head, body = _read_request(connection)
                if not head:
                    return
                model = str(msgspec.json.decode(body)["model"])
                self.seen.setdefault(model, []).append(body)
                self.heads.setdefault(model, []).append(head)
                self._scripts[model](connection, body)


def _read_request(connection: socket.socket) -> tuple[bytes, bytes]:
    data = b""
    while b"\r\n\r\n" not in data:
        piece = connection.recv(1 << 16)
        if not piece:
            return b"", b""
        data += piece
    head, body = data.split(b"\r\n\r\n", 1)
    length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(1 << 16)
    return head, body


@contextmanager
def scripted(scripts: Mapping[str, Script]) -> Iterator[Scripted]:
    """A scripted provider for the length of a `with` block."""
    provider = Scripted(scripts)
    try:
        yield provider
    finally:
        provider.close()


def answer(status: int, body: bytes | object, kind: str = "application/json", extra: str = "") -> bytes:
    """A whole response."""
    data = body if isinstance(body, bytes) else msgspec.json.encode(body)
    head = f"HTTP/1.1 {status} Status\r\ncontent-type: {kind}\r\ncontent-length: {len(data)}\r\n{extra}\r\n"
    return head.encode("latin-1") + data


def saying(response: bytes) -> Script:
    """Say these bytes, whatever is asked."""
    return lambda connection, _: connection.sendall(response)


def completion(model: str = "m", content: str = "Track 4.", **fields: Any) -> dict[str, Any]:
    """A chat completion that used 10 tokens in and 5 out."""
    return {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 1,
        "model": model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": content}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15},
        **fields,
    }


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
DONE = b"data: [DONE]\n\n"
USAGE = {"prompt_tokens": 10, "completion_tokens": 5, "total_tokens": 15}


def chunk(data: bytes) -> bytes:
    """A piece of a chunked body."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def event(content: str | None = None, *, finish: str | None = None, model: str = "m", **fields: Any) -> bytes:
    """A chat completion chunk as an event."""
    delta = {} if content is None else {"content": content}
    choices = [{"index": 0, "delta": delta, "finish_reason": finish}]
    whole = {"id": "c", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": choices, **fields}
    return b"data: " + msgspec.json.encode(whole) + b"\n\n"


def streaming(*parts: bytes) -> Script:
    """A stream of these events, each in a packet of its own."""

    def script(connection: socket.socket, _: bytes) -> None:
        connection.sendall(STREAM_HEAD)
        for part in parts:
            connection.sendall(chunk(part))
        connection.sendall(LAST_CHUNK)

    return script
