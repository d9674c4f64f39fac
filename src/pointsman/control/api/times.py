"""Points in time as people give them: an ISO 8601 time, or how long ago (`90s`, `30m`, `24h`, `7d`)."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime

from pointsman.control.api.problem import ApiError

_AGO = re.compile(r"(\d{1,6})\s*([smhdw])")
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 604800}


def moment(text: str, field: str) -> int:
    """Nanoseconds since 1970. A time without an offset is UTC. Raises ApiError."""
    ago = _AGO.fullmatch(text.strip())
    if ago is not None:
        return time.time_ns() - int(ago[1]) * _SECONDS[ago[2]] * 10**9
    try:
        # A plus sign that was not encoded arrives as a space.
        parsed = datetime.fromisoformat(text.strip().replace(" ", "+") if " " in text.strip()[11:] else text.strip())
        parsed = parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
        return int(parsed.timestamp()) * 10**9 + parsed.microsecond * 1000
    except (ValueError, OverflowError, OSError) as error:
        raise ApiError(
            400, "invalid_time", f"`{field}` is no time: use ISO 8601 (2026-11-23T10:00:00Z) or an age such as 24h"
        ) from error
