"""A gateway worker process on documents made by hand, and what it has put on record."""

from __future__ import annotations

import hashlib
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TypeVar

import msgspec

from pointsman.core.document import Document, KeySpec, document_hash, encode_document
from pointsman.core.places import Current, Places, replace_file
from pointsman.core.record import CallRecord
from pointsman.telemetry.spool import read_frames
from tests.gateway.wire import Reply, ask

KEY = "pm-tests-everything"
PATIENCE = 15.0
"""Seconds that something may take which normally takes milliseconds: other programs use the machine too."""

T = TypeVar("T")


def key(secret: str = KEY, name: str = "everything", **rest: object) -> KeySpec:
    """A key of the registry; `rest` are further fields of it."""
    spec = KeySpec(name, hashlib.sha256(secret.encode()).hexdigest(), "tests")
    return msgspec.structs.replace(spec, **rest)


def until(what: Callable[[], T | None], seconds: float = PATIENCE) -> T:
    """The first answer of `what` that is not empty. Fails when none comes in time."""
    end = time.monotonic() + seconds
    while True:
        found = what()
        if found:
            return found
        assert time.monotonic() < end, f"{what} came to nothing within {seconds} s"
        time.sleep(0.005)


class Worker:
    """One running worker: where it listens, what it wrote."""

    def __init__(self, folder: Path, process: subprocess.Popen[bytes], port: int) -> None:
        self.places = Places(folder / "data")
        self.log = folder / "stderr.log"
        self.process = process
        self.port = port
        self.url = f"http://127.0.0.1:{port}"

    def ask(self, body: object = None, path: str = "/v1/chat/completions", **options: object) -> Reply:
        """One request on a connection of its own, with the key that may do everything unless told otherwise."""
        return ask(self.port, body, path, **options)

    def publish(self, document: Document, revision: int) -> None:
        """Make `document` the revision to serve."""
        publish(self.places, document, revision)

    def frames(self) -> list[tuple[CallRecord, bool]]:
        """Everything in the spool: records and (True) marks of opened streams, in the order of writing."""
        found = []
        for segment in sorted(self.places.spool.glob("*.spool")):
            found += [(frame.record, frame.opened) for frame in read_frames(segment.read_bytes())]
        return found

    def records(self) -> list[CallRecord]:
        """The finished calls in the spool."""
        return [record for record, opened in self.frames() if not opened]

    def record(self, call_id: str) -> CallRecord:
        """The one record of a call. Fails when there is none or more than one."""
        return self._only(lambda record: record.call_id == call_id, call_id)

    def record_of(self, task: str) -> CallRecord:
        """The one record of a call that was made with this `x-pointsman-task`."""
        return self._only(lambda record: record.task == task, task)

    def _only(self, wanted: Callable[[CallRecord], bool], name: str) -> CallRecord:
        found = until(lambda: [record for record in self.records() if wanted(record)])
        assert len(found) == 1, f"{len(found)} records of {name}"
        return found[0]

    def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        from prometheus_client.parser import text_string_to_metric_families

        text = self.ask(method="GET", path="/metrics").body.decode()
        samples = [sample for family in text_string_to_metric_families(text) for sample in family.samples]
        return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())

    def rss(self) -> int:
        """Resident bytes of the process."""
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * resource.getpagesize()

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Send a signal and wait for the end; the exit code."""
        self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def assert_sound(self) -> None:
        """It lives, has nothing in flight, and made no mistake that it knows of."""
        assert self.process.poll() is None
        until(lambda: self.metric("pointsman_in_flight") == 0)
        said = self.log.read_text()
        assert "Traceback" not in said, said[-4000:]
        assert "inside the gateway" not in said, said[-4000:]


def publish(places: Places, document: Document, revision: int) -> None:
    """Write a revision and make it the current one."""
    places.make()
    places.revision(revision).write_bytes(encode_document(document, revision))
    replace_file(places.current, msgspec.json.encode(Current(revision, document_hash(document))))


@contextmanager
def worker(
    folder: Path,
    document: Document | None,
    *,
    env: dict[str, str] | None = None,
    index: int = 0,
    grace: float = 5.0,
) -> Iterator[Worker]:
    """A worker on revision 1 (`document`), ready to serve; without a document it waits for one."""
    folder.mkdir(parents=True, exist_ok=True)
    if document is not None:
        publish(Places(folder / "data"), document, 1)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(1024)
        command = [sys.executable, "-m", "pointsman.gateway", "--data-dir", str(folder / "data")]
        command += ["--listen-fd", str(listener.fileno()), "--index", str(index), "--grace", str(grace)]
        with (folder / "stderr.log").open("ab") as log:
            process = subprocess.Popen(
                command,
                pass_fds=[listener.fileno()],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={"PATH": os.environ["PATH"], **(env or {})},
            )
        running = Worker(folder, process, int(listener.getsockname()[1]))
    try:
        status = 200 if document is not None else 503
        until(lambda: running.ask(method="GET", path="/readyz").status == status)
        yield running
    finally:
        if process.poll() is None:
            process.kill()
        process.wait(PATIENCE)
