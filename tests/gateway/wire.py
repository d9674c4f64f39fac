"""The caller's side: whole requests for most tests, bytes on a socket for the others."""

from __future__ import annotations

import socket
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any

import msgspec

PATIENCE = 15.0
KEY = "pm-tests-everything"


class Reply(msgspec.Struct, frozen=True):
    """One response. `headers` have lower-case names; of several with one name the last counts."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body, decoded."""
        return msgspec.json.decode(self.body)

    @property
    def error(self) -> dict[str, Any]:
        """The error object, whole in the shape that OpenAI clients read."""
        error = self.json["error"]
        assert set(error) == {"message", "type", "param", "code", "call_id"}, error
        assert isinstance(error["message"], str)
        assert error["message"]
        return dict(error)

    @property
    def code(self) -> str:
        """The error's code."""
        return str(self.error["code"])

    @property
    def call_id(self) -> str:
        """The id that the response says its call has."""
        return self.headers["x-pointsman-call-id"]

    @property
    def text(self) -> str:
        """What a chat answer says."""
        return str(self.json["choices"][0]["message"]["content"])


def chat(model: str, text: str = "Which track?", **fields: object) -> dict[str, object]:
    """A chat request."""
    return {"model": model, "messages": [{"role": "user", "content": text}], **fields}


def request(
    body: object = None,
    path: str = "/v1/chat/completions",
    *,
    method: str = "POST",
    key: str | None = KEY,
    headers: dict[str, str] | None = None,
) -> bytes:
    """A request as bytes. `body` is encoded as JSON unless it is bytes already."""
    data = body if isinstance(body, bytes) else b"" if body is None else msgspec.json.encode(body)
    lines = [f"{method} {path} HTTP/1.1", "host: gateway"]
    if key is not None:
        lines.append(f"authorization: Bearer {key}")
    if data or method == "POST":
        lines.append(f"content-length: {len(data)}")
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join([*lines, "\r\n"]).encode("utf-8") + data


class Caller:
    """A connection to the gateway that reads responses one after the other, however they are framed."""

    def __init__(self, port: int, *, receive_buffer: int = 0) -> None:
        self.socket = socket.socket()
        if receive_buffer:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(PATIENCE)
        self.socket.connect(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.rest = b""

    def send(self, data: bytes) -> None:
        """Send everything. The other side may have closed meanwhile: what it said is still to be read."""
        with suppress(BrokenPipeError, ConnectionResetError):
            self.socket.sendall(data)

    def receive(self) -> bytes:
        """Some more bytes; empty at the end."""
        data = self.socket.recv(1 << 16)
        self.rest += data
        return data

    def head(self) -> tuple[int, dict[str, str]]:
        """Status and headers of the next response."""
        while b"\r\n\r\n" not in self.rest:
            assert self.receive(), f"closed before a response: {self.rest!r}"
        raw, self.rest = self.rest.split(b"\r\n\r\n", 1)
        first, *lines = raw.decode("latin-1").split("\r\n")
        pairs = [line.split(": ", 1) for line in lines]
        return int(first.split(" ")[1]), {name.lower(): value for name, value in pairs}

    def chunks(self) -> Iterator[bytes]:
        """The chunks of a chunked body as they come, to its end."""
        while True:
            while b"\r\n" not in self.rest:
                assert self.receive(), "closed inside a chunked body"
            size, self.rest = self.rest.split(b"\r\n", 1)
            wanted = int(size, 16) + 2
            while len(self.rest) < wanted:
                assert self.receive(), "closed inside a chunk"
            chunk, self.rest = self.rest[: wanted - 2], self.rest[wanted:]
            if not chunk:
                return
            yield chunk

    def response(self, method: str = "POST") -> Reply:
        """The next whole response."""
        status, headers = self.head()
        if method == "HEAD" or status == 100:
            return Reply(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Reply(status, headers, b"".join(self.chunks()))
        if "content-length" in headers:
            length = int(headers["content-length"])
            while len(self.rest) < length:
                assert self.receive(), "closed inside a body"
            body, self.rest = self.rest[:length], self.rest[length:]
            return Reply(status, headers, body)
        while self.receive():
            pass
        body, self.rest = self.rest, b""
        return Reply(status, headers, body)

    def at_end(self) -> bool:
        """Whether the gateway closes without another byte."""
        try:
            return not self.rest and not self.receive()
        except ConnectionResetError:
            return True

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def reset(self) -> None:
        """Hang up with a TCP reset."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
        self.socket.close()


@contextmanager
def calling(port: int, *, receive_buffer: int = 0) -> Iterator[Caller]:
    """A connection for the length of a `with` block."""
    caller = Caller(port, receive_buffer=receive_buffer)
    try:
        yield caller
    finally:
        caller.close()


def ask(port: int, body: object = None, path: str = "/v1/chat/completions", **options: Any) -> Reply:
    """One request on a connection of its own."""
    with calling(port) as caller:
        caller.send(request(body, path, **options))
        return caller.response(options.get("method", "POST"))


def events(stream: bytes) -> list[Any]:
    """The data of a stream's events: decoded JSON, `"[DONE]"`, and nothing for comments."""
    found: list[Any] = []
    for block in stream.replace(b"\r\n", b"\n").split(b"\n\n"):
        for line in block.split(b"\n"):
            if line.startswith(b"data: "):
                data = line[6:]
                found.append("[DONE]" if data == b"[DONE]" else msgspec.json.decode(data))
    return found


def said(parts: Iterable[Any]) -> str:
    """The text that a stream's events spell, first choice only."""
    deltas = [part["choices"][0]["delta"] for part in parts if isinstance(part, dict) and part.get("choices")]
    return "".join(delta.get("content") or "" for delta in deltas)


def elapsed(since: float) -> float:
    """Seconds since a moment of the monotonic clock."""
    return time.monotonic() - since
