"""What the gateway asks of a dialect: each answers to these shapes, and the gateway knows nothing else of it."""

from __future__ import annotations

from typing import Protocol

import msgspec

from pointsman.core.errors import GatewayError
from pointsman.core.need import Need
from pointsman.core.policy import FailureKind
from pointsman.core.usage import Usage


class Incoming(msgspec.Struct):
    """A client's request as far as the gateway has to understand it.

    `body` stays the bytes that came. `wants_usage` says whether the client asked for usage in a stream;
    `has_stream_options` whether the body says anything about it. `escaped` is set when the text has escapes that could
    spell a key in another way than its plain letters. `choices` is how many answers were asked for.
    """

    model: str
    body: bytes
    need: Need
    stream: bool = False
    wants_usage: bool = False
    has_stream_options: bool = False
    escaped: bool = False
    choices: int = 1


class Failure(msgspec.Struct, frozen=True, gc=False):
    """Why an upstream call is not an answer.

    detail        ours, or a code of the upstream: what goes on record
    said          the upstream's own words: for the caller only, since they may quote the request
    retry_after   seconds
    client_error  the upstream's error body describes the caller's mistake and may be passed on
    spent         the target has had all the time an attempt may take: trying it again would take as long again
    local         a limit of our own stood in the way, which says nothing about the target
    """

    kind: FailureKind
    detail: str = ""
    retry_after: float | None = None
    client_error: bool = False
    spent: bool = False
    local: bool = False
    said: str = ""


class Answer(msgspec.Struct, frozen=True, gc=False):
    """What a complete upstream answer says of itself. `failure` is set when it is no answer in spite of its status."""

    reported_model: str = ""
    usage: Usage | None = None
    finish_reason: str = ""
    failure: Failure | None = None


class StreamReader(Protocol):
    """Follows one upstream stream. Bytes go in as they arrive, however they were cut; bytes for the client come out.

    `started` turns true with the first content token, `complete` when the stream said that it is finished (and false
    again when it goes on), `done` with its last word: nothing follows.
    `failure` is set when the stream itself carries an error; the client gets nothing of it or behind it. The rest is
    what the stream has told so far.
    """

    started: bool
    complete: bool
    done: bool
    failure: Failure | None
    reported_model: str
    usage: Usage | None
    finish_reason: str

    def feed(self, data: bytes) -> bytes:
        """Take upstream bytes and give back those that the client should get now (whole events only)."""

    def rest(self) -> bytes:
        """What the client should still get when the upstream has closed without ending its last event."""

    def end(self) -> Failure | None:
        """The upstream has closed the stream: what was wrong with it, if anything."""


class Dialect(Protocol):
    """One request shape of one API."""

    name: str
    upstream_path: str

    def read(self, body: bytes) -> Incoming:
        """Understand a request. Raises GatewayError for one that no provider could serve."""

    def rewrite(self, request: Incoming, model: str, *, inject_usage: bool) -> bytes:
        """The body for the upstream: the same bytes with the model replaced (and usage asked for in a stream)."""

    def answer(self, body: bytes) -> Answer:
        """Read a complete answer that came with status 200."""

    def failure(self, status: int, body: bytes, retry_after: float | None) -> Failure:
        """Read an upstream error."""

    def stream_reader(self, request: Incoming, *, hide_usage: bool) -> StreamReader:
        """A reader for the stream that answers `request`.

        `hide_usage` removes the usage that the gateway asked for and the client did not.
        """

    def error(self, error: GatewayError, call_id: str) -> bytes:
        """An error body in this dialect."""

    def stream_error(self, error: GatewayError, call_id: str) -> bytes:
        """An error as an event inside a stream that has begun."""
