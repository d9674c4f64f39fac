"""What the headers of a response say about its end and about the connection after it."""

from __future__ import annotations

import math

from pointsman.transport.response import Response


def ends_with_the_stream(response: Response) -> bool:
    """RFC 9112, 6.3: with neither a length nor a final `chunked`, the end of the stream ends the body."""
    if response.header(b"content-length") is not None:
        return False
    codings = response.header(b"transfer-encoding")
    return codings is None or codings.lower().rsplit(b",", 1)[-1].strip() != b"chunked"


def keep_alive_hint(response: Response) -> float:
    """Seconds from `keep-alive: timeout=5`, less one for the way; infinite if nothing is said."""
    for part in (response.header(b"keep-alive") or b"").split(b","):
        name, _, seconds = part.strip().partition(b"=")
        if name.lower() == b"timeout" and seconds.isdigit():
            return max(int(seconds[:9]) - 1.0, 0.5)
    return math.inf
