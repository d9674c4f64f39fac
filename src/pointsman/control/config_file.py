"""The registry file on disk: applied at the start, and again whenever its content changes.

Looked at, not subscribed to: it works the same on every file system, through editors that replace files and through
the symbolic links of mounted configuration.
"""

from __future__ import annotations

import hashlib
import logging
import threading
import time
from pathlib import Path

import msgspec

from pointsman.control.publish import Publication, Publisher, Sent
from pointsman.registry.problem import Problem, RegistryInvalid
from pointsman.store.store import StoreError

POLL_SECONDS = 0.5
_SETTLE_SECONDS = 0.15
_FRESH_NS = 3_000_000_000
AUTHOR = "config file"
_NOT_COMPILED = "the file does not compile; the last good revision is served"

_log = logging.getLogger("pointsman.control")


class ConfigState(msgspec.Struct, frozen=True):
    """What is known of the file. `problem` says why the newest content is not what is served; empty when it is."""

    path: str
    problem: str = ""
    problems: tuple[Problem, ...] = ()


class ConfigFile:
    """One registry file and what became of its content."""

    def __init__(self, path: Path, publisher: Publisher) -> None:
        self._path = path
        self._source = str(path.absolute())
        self._publisher = publisher
        self._seen = b""
        self._stat: tuple[int, int, int] | None = None
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None
        self.state = ConfigState(self._source)

    def first(self) -> Publication:
        """Apply the file at the start. Raises OSError, UnicodeDecodeError, RegistryInvalid, StoreError."""
        self._stat = self._look()
        data = self._path.read_bytes()
        self._seen = hashlib.sha256(data).digest()
        try:
            return self._publisher.start_with(self._sent(data, "start"))
        except RegistryInvalid as error:
            self.state = ConfigState(self._source, _NOT_COMPILED, error.problems)
            raise

    def unusable(self, problem: str) -> None:
        """Note at the start why the file is not what is served (unless its own problems are noted already)."""
        if problem:
            self._seen, self._stat = b"", None
            self._tell(problem)

    def watch(self) -> None:
        """Follow the file in a thread of its own until `stop`."""
        self._thread = threading.Thread(target=self._run, name="config-file", daemon=True)
        self._thread.start()

    def stop(self) -> None:
        """End the watch."""
        self._stop.set()
        if self._thread is not None:
            self._thread.join(5)

    def _run(self) -> None:
        while not self._stop.wait(POLL_SECONDS):
            try:
                self.check()
            except StoreError as error:
                # The content counts as unseen, so that it is applied when the store is back.
                self._seen, self._stat = b"", None
                self._tell(f"the file could not be applied: {error}")

    def check(self) -> None:
        """Apply the file if its content is new. Raises StoreError."""
        try:
            stat = self._look()
            if stat == self._stat and time.time_ns() - stat[0] > _FRESH_NS:
                return
            data = self._read_settled()
        except OSError as error:
            self._tell(f"the file cannot be read: {error.strerror}")
            self._stat = None
            return
        self._stat = stat
        digest = hashlib.sha256(data).digest()
        if digest == self._seen:
            if self.state.problem and not self.state.problems:
                self._tell("")  # it could not be read or stored for a while; its content is what it was
            return
        self._seen = digest
        self._apply(data)

    def _apply(self, data: bytes) -> None:
        try:
            publication = self._publisher.apply(self._sent(data, "file changed"))
        except RegistryInvalid as error:
            self._refused(error)
        except UnicodeDecodeError as error:
            self._tell(f"the file is not UTF-8 text (byte {error.start}); the last good revision is served")
        else:
            self.state = ConfigState(self._source)
            for warning in publication.warnings:
                _log.warning("%s", warning)

    def _refused(self, error: RegistryInvalid) -> None:
        self.state = ConfigState(self._source, _NOT_COMPILED, error.problems)
        _log.error("%s: %s. %s", self._source, _NOT_COMPILED, error)

    def _tell(self, problem: str) -> None:
        if problem and problem != self.state.problem:
            _log.error("%s: %s", self._source, problem)
        self.state = ConfigState(self._source, problem)

    def _sent(self, data: bytes, reason: str) -> Sent:
        return Sent(data.decode(), self._source, AUTHOR, reason)

    def _look(self) -> tuple[int, int, int]:
        stat = self._path.stat()
        return stat.st_mtime_ns, stat.st_size, stat.st_ino

    def _read_settled(self) -> bytes:
        """The content once it has stopped changing for a moment, or after two seconds as it then is."""
        deadline = time.monotonic() + 2
        data = self._path.read_bytes()
        while hashlib.sha256(data).digest() != self._seen and time.monotonic() < deadline:
            if self._stop.wait(_SETTLE_SECONDS):
                break
            again = self._path.read_bytes()
            if again == data:
                break
            data = again
        return data
