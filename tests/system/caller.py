"""A client that knows exactly how much of each answer it has received."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable, Iterable
from typing import Any
from urllib.parse import urlsplit

import msgspec

from tests.system.registry import KEY

CALL_SECONDS = 60.0


class Answer(msgspec.Struct):
    """What came back. `whole` says that it came to its end as HTTP counts it; status 0 that nothing came."""

    status: int = 0
    headers: dict[str, str] = {}
    body: bytes = b""
    whole: bool = False
    stream: bool = False
    model: str = ""

    @property
    def call_id(self) -> str:
        """The id it was given; empty when no head arrived."""
        return self.headers.get("x-pointsman-call-id", "")

    @property
    def revision(self) -> int:
        """The revision that it says it was served under."""
        return int(self.headers["x-pointsman-revision"])

    @property
    def events(self) -> int:
        """Events of a stream that have come."""
        return self.body.count(b"data: ")

    def json(self) -> Any:
        """The body."""
        return msgspec.json.decode(self.body)


class Caller:
    """One connection to a gateway, kept open between calls and opened again when it is lost.

    `begun` is set once the head of an answer has come.
    """

    def __init__(self, url: str, key: str = KEY) -> None:
        parts = urlsplit(url)
        self._host, self._port = str(parts.hostname), int(parts.port or 80)
        self._key = key
        self._reader: asyncio.StreamReader | None = None
        self._writer: asyncio.StreamWriter | None = None
        self.begun = asyncio.Event()

    async def post(self, body: dict[str, Any], path: str = "/v1/chat/completions", **headers: str) -> Answer:
        """Make a call. A lost connection makes an answer that is not whole."""
        answer = Answer(stream=bool(body.get("stream")), model=str(body.get("model", "")))
        try:
            async with asyncio.timeout(CALL_SECONDS):
                await self._exchange("POST", path, msgspec.json.encode(body), headers, answer)
        except (OSError, asyncio.IncompleteReadError):
            self.close()
        return answer

    async def hang_up_on(self, body: dict[str, Any]) -> None:
        """Begin a call and close the connection when the first bytes of the answer are there."""
        caller = Caller(f"http://{self._host}:{self._port}", self._key)
        call = asyncio.create_task(caller.post(body))
        begun = asyncio.create_task(caller.begun.wait())
        await asyncio.wait({call, begun}, return_when=asyncio.FIRST_COMPLETED)
        begun.cancel()
        call.cancel()
        caller.close()

    async def get(self, path: str) -> Answer:
        """Fetch a page. Raises OSError when the connection is lost."""
        answer = Answer()
        async with asyncio.timeout(CALL_SECONDS):
            await self._exchange("GET", path, b"", {}, answer)
        return answer

    async def _exchange(self, method: str, path: str, body: bytes, headers: dict[str, str], answer: Answer) -> None:
        if self._writer is None or self._reader is None:
            self._reader, self._writer = await asyncio.open_connection(self._host, self._port)
        lines = [f"{method} {path} HTTP/1.1", f"host: {self._host}", f"authorization: Bearer {self._key}"]
        lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
        lines += ["content-type: application/json", f"content-length: {len(body)}", "", ""]
        self._writer.write("\r\n".join(lines).encode() + body)
        head = (await self._reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        pairs = (line.partition(":") for line in head[1:] if line)
        answer.headers = {name.lower(): value.strip() for name, _, value in pairs}
        answer.status = int(head[0].split()[1])
        self.begun.set()
        if answer.headers.get("transfer-encoding") == "chunked":
            await self._chunks(self._reader, answer)
        else:
            answer.body = await self._reader.readexactly(int(answer.headers.get("content-length", "0")))
        answer.whole = True
        if answer.headers.get("connection") == "close":
            self.close()

    @staticmethod
    async def _chunks(reader: asyncio.StreamReader, answer: Answer) -> None:
        while True:
            size = int(await reader.readuntil(b"\r\n"), 16)
            data = await reader.readexactly(size + 2)
            if not size:
                return
            answer.body += data[:-2]

    def close(self) -> None:
        """Let go of the connection."""
        if self._writer is not None:
            self._writer.close()
        self._reader = self._writer = None


async def call_until(
    done: Callable[[], bool],
    url: str,
    bodies: Iterable[dict[str, Any]],
    answers: list[Answer],
    *,
    key: str = KEY,
    pause: float = 0.0,
) -> None:
    """Make the calls of `bodies`, over and over, until `done()`; every answer goes into `answers`."""
    caller = Caller(url, key)
    for body in itertools.cycle(list(bodies)):
        if done():
            break
        answer = await caller.post(body)
        answers.append(answer)
        if pause or not answer.status:
            await asyncio.sleep(pause or 0.02)
    caller.close()


def post(url: str, body: dict[str, Any], key: str = KEY, path: str = "/v1/chat/completions", **headers: str) -> Answer:
    """One call from code that is not asynchronous."""

    async def once() -> Answer:
        caller = Caller(url, key)
        try:
            return await caller.post(body, path, **headers)
        finally:
            caller.close()

    return asyncio.run(once())


def get(url: str, path: str) -> Answer:
    """One page."""

    async def once() -> Answer:
        caller = Caller(url)
        try:
            return await caller.get(path)
        finally:
            caller.close()

    return asyncio.run(once())
