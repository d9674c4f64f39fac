"""Taking a new revision while calls go on: read, decode, link in small steps; then one assignment."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
from collections.abc import Callable, Mapping

import msgspec

from pointsman.core.document import DocumentError, decode_steps
from pointsman.core.places import Current, Places
from pointsman.gateway.runtime import LinkError, PoolBook, Runtime

LOG = logging.getLogger("pointsman.gateway")

POLL_SECONDS = 0.1
"""How often the file `current` is looked at: one stat."""


class RevisionWatcher:
    """Keeps a worker on the revision that `current` names.

    `problem` says why the newest revision is not the one that is served; the last good one goes on.
    """

    def __init__(self, places: Places, book: PoolBook, env: Mapping[str, str], swap: Callable[[Runtime], None]) -> None:
        self.problem = ""
        self.runtime: Runtime | None = None
        self._places = places
        self._book = book
        self._env = env
        self._swap = swap
        self._seen: tuple[int, int, int] | None = None

    async def run(self) -> None:
        """Watch until cancelled."""
        while True:
            try:
                await self.look()
            except OSError as error:
                self._complain(f"the data directory cannot be read: {error}")
            await asyncio.sleep(POLL_SECONDS)

    async def look(self) -> None:
        """Take the revision that `current` names, if it is another than the one served. Raises OSError."""
        try:
            stat = os.stat(self._places.current)  # noqa: PTH116 (pathlib costs ten times as much, ten times a second)
        except FileNotFoundError:
            return
        seen = (stat.st_mtime_ns, stat.st_ino, stat.st_size)
        if seen == self._seen:
            return
        try:
            current = msgspec.json.decode(self._places.current.read_bytes(), type=Current)
            runtime = self.runtime
            if runtime is None or (current.revision, current.hash) != (runtime.revision, runtime.hash):
                await self._take(current)
            self._seen = seen
            self.problem = ""
        except (msgspec.MsgspecError, DocumentError, LinkError) as error:
            self._seen = seen
            self._complain(str(error))

    async def _take(self, current: Current) -> None:
        runtime = await self._load(current)
        # Everything that can fail has happened. From here on nothing can.
        self._swap(runtime)
        self.runtime = runtime
        self._book.retire(runtime.in_use)
        gc.collect()
        gc.freeze()
        LOG.info("serving revision %d (%s)", runtime.revision, runtime.hash[:12])

    async def _load(self, current: Current) -> Runtime:
        """Read and link a revision, giving way to calls after every step. Raises DocumentError, LinkError, OSError."""
        with self._places.revision(current.revision).open("rb") as lines:
            header = document = None
            for header, document in decode_steps(lines):  # noqa: B007 (the last pair is the result)
                await asyncio.sleep(0)
        if header is None or document is None or header.hash != current.hash:
            raise DocumentError(f"revision {current.revision} is not the document that was announced")
        runtime = Runtime(header, document, self._book, self._env)
        for _ in runtime.link():
            await asyncio.sleep(0)
        return runtime

    def _complain(self, problem: str) -> None:
        if problem != self.problem:
            self.problem = problem
            served = f"revision {self.runtime.revision}" if self.runtime is not None else "nothing"
            LOG.error("cannot take the newest revision: %s; still serving %s", problem, served)
