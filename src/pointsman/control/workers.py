"""What the gateway workers say of themselves, read from their status files."""

from __future__ import annotations

import time

import msgspec

from pointsman.core.places import Places, WorkerStatus

LIVE_SECONDS = 5.0
"""A worker writes every second; one that has not for this long is taken for gone."""
FORGOTTEN_SECONDS = 3600.0

_decode = msgspec.json.Decoder(WorkerStatus).decode


class WorkerView(msgspec.Struct, frozen=True):
    """A gateway worker. `revision` 0 means that it serves nothing yet; `problem` why it does not serve the newest."""

    worker: str
    pid: int
    revision: int
    hash: str
    age_seconds: float
    live: bool
    problem: str = ""


def workers(places: Places) -> list[WorkerView]:
    """Every worker that has left a status file, by name. Files that cannot be read are left out."""
    found = []
    now = time.time_ns()
    for path in sorted(places.workers.glob("*.json")):
        try:
            status = _decode(path.read_bytes())
        except (OSError, msgspec.MsgspecError):
            continue  # removed just now by its worker, or of another version
        age = max(0.0, (now - status.updated_ns) / 1e9)
        live = age < LIVE_SECONDS
        found.append(
            WorkerView(status.worker, status.pid, status.revision, status.hash, round(age, 3), live, status.problem)
        )
    return found


def forget_gone(places: Places) -> None:
    """Remove the status files of workers that died long ago without removing their own. Raises OSError."""
    for path in places.workers.glob("*.json"):
        if time.time() - path.stat().st_mtime > FORGOTTEN_SECONDS:
            path.unlink(missing_ok=True)


def await_revision(places: Places, number: int, patience: float = 2.0) -> list[WorkerView]:
    """Wait until every live worker serves revision `number` or a newer one. Returns the live workers as they then are.

    A worker that says it cannot serve the revision is not waited for.
    """
    deadline = time.monotonic() + patience
    while True:
        live = [worker for worker in workers(places) if worker.live]
        waiting = [worker for worker in live if worker.revision < number and not worker.problem]
        if not waiting or time.monotonic() >= deadline:
            return live
        time.sleep(0.02)
