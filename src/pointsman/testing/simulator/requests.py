"""What the simulator remembers of every request."""

from typing import Any

import msgspec

from pointsman.testing.simulator.answer import Call


class RecordedRequest(msgspec.Struct):
    """One request as it arrived, and what became of it. Times are `time.monotonic()` seconds, None until they happen.

    `client_closed_at` is set when the client went away before the answer was complete; `finished_at` when all
    of the answer (or all that a fault let through) was handed to the socket.
    """

    number: int
    connection: int
    method: str
    path: str
    query: str
    headers: dict[str, str]
    body: bytes
    received_at: float
    faults: list[str] = []
    status: int | None = None
    first_byte_at: float | None = None
    finished_at: float | None = None
    client_closed_at: float | None = None

    @classmethod
    def of(cls, call: Call, *, number: int, connection: int, now: float) -> "RecordedRequest":
        """The record of a call that has just been read."""
        return cls(
            number=number,
            connection=connection,
            method=call.method,
            path=call.path,
            query=call.query,
            headers=call.headers,
            body=call.body,
            received_at=now,
        )

    @property
    def json(self) -> Any:
        """The body, decoded. Raises msgspec.DecodeError when it is not JSON."""
        return msgspec.json.decode(self.body)

    def described(self) -> dict[str, Any]:
        """The record as a JSON object; a body that is no JSON comes as text."""
        fields = msgspec.structs.asdict(self)
        try:
            fields["body"] = self.json
        except (msgspec.DecodeError, UnicodeDecodeError):
            fields["body"] = self.body.decode("utf-8", "replace")
        return fields
