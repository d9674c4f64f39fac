"""The one error of the transport."""

from __future__ import annotations

from typing import Literal

from pointsman.transport.contract import Phase

Kind = Literal["timeout", "network", "protocol", "truncated", "too_large", "pool_exhausted", "tls"]


class TransportError(Exception):
    """An upstream call that did not bring a complete response.

    The tree is the `kind` (one class, so that a caller decides by a table and not by `except` ladders)::

        TransportError
        ├── timeout         a deadline passed; `phase` says which
        ├── network         refused, unreachable, unresolved, reset, closed without an answer, proxy refusal, aborted
        ├── tls             the other side could not prove who it is, or the handshake failed
        ├── protocol        the answer is not HTTP/1.1 as it should be
        ├── truncated       the answer began and ended too early
        ├── too_large       headers or body beyond the pool's limits
        └── pool_exhausted  no connection of this pool came free; `phase` is connect if it waited for one

    `sent` is False when it is certain that the upstream never had the whole request, so that it may be sent
    again anywhere without being processed twice. The message names the host and, where there is one, the mend;
    it never holds request data or proxy credentials.
    """

    def __init__(self, message: str, *, kind: Kind, phase: Phase | None = None, sent: bool) -> None:
        super().__init__(message)
        self.kind = kind
        self.phase = phase
        self.sent = sent

    def again(self) -> TransportError:
        """The same error to be raised: a kept one, once raised, would hold its own keeper by its traceback."""
        return TransportError(str(self), kind=self.kind, phase=self.phase, sent=self.sent)

    def __repr__(self) -> str:
        phase = f", phase={self.phase.value}" if self.phase else ""
        return f"TransportError({str(self)!r}, kind={self.kind}{phase}, sent={self.sent})"
