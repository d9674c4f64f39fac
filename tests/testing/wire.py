"""A client that is nothing but a socket, to see exactly what the simulator puts on the wire."""

from __future__ import annotations

import json
import socket
import time
from typing import Any, Literal

import msgspec

from pointsman.testing.simulator import SimulatorThread

Ending = Literal["complete", "closed", "reset", "silent"]
CHAT: dict[str, Any] = {"model": "m", "messages": [{"role": "user", "content": "Is the line clear? Zürich, 東京"}]}


class Seen(msgspec.Struct):
    """What came back: the head's parts, the body as sent (de-chunked), how it ended, how long it took."""

    raw: bytes
    ending: Ending
    seconds: float
    reads: int
    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    last_chunk: bool = False

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def payloads(self) -> list[Any]:
        """The JSON of all data lines but `[DONE]`."""
        lines = [line[6:] for line in self.body.split(b"\n") if line.startswith(b"data: ")]
        return [json.loads(line) for line in lines if line != b"[DONE]"]

    @property
    def done(self) -> bool:
        return self.body.endswith(b"data: [DONE]\n\n")

    @property
    def text(self) -> str:
        parts = [choice["delta"].get("content") for chunk in self.payloads for choice in chunk["choices"]]
        return "".join(part for part in parts if part)


def request(
    body: Any = None, *, path: str = "/v1/chat/completions", method: str = "POST", headers: dict[str, str] | None = None
) -> bytes:
    """A request as bytes; `body` is JSON unless it is bytes already."""
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", "host: sim", f"content-length: {len(content)}"]
    lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + content


def send(
    sim: SimulatorThread,
    body: Any = CHAT,
    *,
    path: str = "/v1/chat/completions",
    method: str = "POST",
    headers: dict[str, str] | None = None,
    patience: float = 5.0,
) -> Seen:
    """One request on a connection of its own; reads until the answer is complete, the connection ends, or patience."""
    started = time.monotonic()
    with socket.create_connection(("127.0.0.1", sim.port), timeout=patience) as sock:
        sock.sendall(request(body, path=path, method=method, headers=headers))
        raw, ending, reads = _receive(sock)
    seen = Seen(raw, ending, time.monotonic() - started, reads)
    _take_apart(seen)
    return seen


def faulty(sim: SimulatorThread, fault: str, *, stream: bool = False, patience: float = 5.0) -> Seen:
    """A chat request that asks for a fault by header."""
    body = {**CHAT, "stream": True} if stream else CHAT
    return send(sim, body, headers={"x-sim-fault": fault}, patience=patience)


def _receive(sock: socket.socket) -> tuple[bytes, Ending, int]:
    raw = b""
    for reads in range(1_000_000):
        if _is_complete(raw):
            return raw, "complete", reads
        try:
            data = sock.recv(65_536)
        except ConnectionResetError:
            return raw, "reset", reads
        except TimeoutError:
            return raw, "silent", reads
        if not data:
            return raw, "closed", reads
        raw += data
    raise AssertionError("the answer never ends")


def _is_complete(raw: bytes) -> bool:
    head, blank, body = raw.partition(b"\r\n\r\n")
    headers = _headers(head)
    if not blank:
        return False
    if "content-length" in headers:
        return len(body) >= int(headers["content-length"])
    return headers.get("transfer-encoding") == "chunked" and body.endswith(b"0\r\n\r\n")


def _headers(head: bytes) -> dict[str, str]:
    pairs = (line.partition(": ") for line in head.decode("latin-1").split("\r\n")[1:])
    return {name: value for name, _, value in pairs}


def _take_apart(seen: Seen) -> None:
    head, blank, body = seen.raw.partition(b"\r\n\r\n")
    if not blank:
        return
    seen.status = int(head.split(b" ")[1])
    seen.headers = _headers(head)
    if seen.headers.get("transfer-encoding") != "chunked":
        seen.body = body
        return
    while body:
        size, _, body = body.partition(b"\r\n")
        length = int(size, 16)
        if length == 0:
            seen.last_chunk = True
            break
        seen.body += body[:length]
        body = body[length + 2 :]
