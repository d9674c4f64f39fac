"""One control process for each data directory."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

_FILE = "control.lock"


class AlreadyRunning(Exception):  # noqa: N818 (reads as what it says)
    """Another control process has this data directory."""


def hold(root: Path, patience: float = 5.0) -> int:
    """Take the data directory for this process until it ends. Returns the descriptor that holds it.

    A predecessor that is just ending is given `patience` seconds. Raises AlreadyRunning, OSError.
    """
    fd = os.open(root / _FILE, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    deadline = time.monotonic() + patience
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= deadline:
                os.close(fd)
                raise AlreadyRunning(f"another control process is using {root}") from None
            time.sleep(0.05)
        else:
            return fd
