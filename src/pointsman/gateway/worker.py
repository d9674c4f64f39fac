"""A gateway worker: everything wired by hand, in one dull place."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import math
import os
import secrets
import socket
import time
from collections.abc import Mapping
from typing import Any

import msgspec
import uvicorn

from pointsman.core.places import Places, WorkerStatus, replace_file
from pointsman.gateway.app import App
from pointsman.gateway.revisions import RevisionWatcher
from pointsman.gateway.runtime import PoolBook, Runtime
from pointsman.gateway.serve import CallServer
from pointsman.gateway.server import close_idle, protocol_with
from pointsman.gateway.settings import Settings, settings_from
from pointsman.gateway.settle import Ledger
from pointsman.telemetry.metrics import Counters, Snapshot, merge
from pointsman.telemetry.spool import SpoolWriter
from pointsman.transport import PoolLimits

LOG = logging.getLogger("pointsman.gateway")

STATUS_SECONDS = 1.0
STALE_NS = 10_000_000_000
"""Status files older than this belong to workers that are gone."""


class Worker:
    """One gateway process. `index` tells it from its siblings. Made inside the running event loop."""

    def __init__(self, places: Places, index: int, env: Mapping[str, str]) -> None:
        settings: Settings = settings_from(env)
        self.name = f"w{index}-{os.getpid()}-{secrets.token_hex(3)}"
        self._places = places
        self._status_file = places.workers / f"w{index}.json"
        self._counters = Counters()
        self._scraping = asyncio.Lock()
        self._spool = SpoolWriter(places.spool, self.name)
        self._ledger = Ledger(self._spool, self._counters, asyncio.get_running_loop())
        self._book = PoolBook(PoolLimits(max_connections=settings.max_connections))
        calls = CallServer(
            self.name,
            self._ledger,
            asyncio.get_running_loop(),
            max_body_bytes=settings.max_body_bytes,
            max_in_flight=settings.max_in_flight,
        )
        self.app = App(calls, self._metrics)
        self._watcher = RevisionWatcher(places, self._book, env, self._swap)

    def _swap(self, runtime: Runtime) -> None:
        self.app.runtime = runtime

    async def run(self, listener: socket.socket, stop: asyncio.Event, grace: float) -> None:
        """Serve on `listener` until `stop` is set; then finish the calls in flight, for at most `grace` seconds."""
        config = uvicorn.Config(
            self.app,
            http=protocol_with(self._ledger.flush),
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            server_header=False,
            proxy_headers=False,
            timeout_graceful_shutdown=math.ceil(grace),
        )
        server = _Server(config)
        # Callers who come before the revision is linked wait for a moment; they need not be refused.
        with contextlib.suppress(OSError):  # the watcher, which begins now, meets it again and says so
            await self._watcher.look()
        chores = [asyncio.create_task(self._watcher.run()), asyncio.create_task(self._chores(server))]
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        stopping: asyncio.Task[Any] = asyncio.create_task(stop.wait())
        try:
            # A chore never ends by itself. One that does would leave a worker that looks well and is not.
            await asyncio.wait({serving, stopping, *chores}, return_when=asyncio.FIRST_COMPLETED)
            for chore in chores:
                if chore.done():
                    LOG.critical("a chore of this worker has died; the worker ends", exc_info=chore.exception())
            self.app.draining = True
            server.should_exit = True
            await serving
        finally:
            for chore in (*chores, stopping):
                chore.cancel()
            await asyncio.gather(*chores, stopping, return_exceptions=True)
            self._ledger.flush()
            if self._ledger.backlog:
                LOG.critical("%d call records are lost: the disk refuses them", self._ledger.backlog)
            self._spool.close()
            self._book.close()
            self._withdraw()

    async def _chores(self, server: uvicorn.Server) -> None:
        """Once a second: sync the spool, retry what the disk refused, say what this worker serves."""
        loop = asyncio.get_running_loop()
        reported = (0, "")
        since = 0.0
        while True:
            runtime = self.app.runtime
            news = (runtime.revision if runtime is not None else 0, self._watcher.problem)
            now = loop.time()
            if news != reported or now - since >= STATUS_SECONDS:
                reported, since = news, now
                close_idle(list(server.server_state.connections), now)
                try:
                    self._ledger.flush()
                    sync = self._spool.sync_job()
                    if sync is not None:
                        await loop.run_in_executor(None, sync)
                    if not self.app.draining:
                        # Whoever takes this worker's place may have its file by now.
                        replace_file(self._status_file, self._status(runtime))
                except OSError as error:
                    self._counters.spool_errors += 1
                    LOG.error("the data directory refuses writes: %s", error)
            await asyncio.sleep(0.1)

    def _withdraw(self) -> None:
        """Remove the status file, unless it is a successor's already."""
        with contextlib.suppress(OSError, msgspec.MsgspecError):
            if msgspec.json.decode(self._status_file.read_bytes(), type=WorkerStatus).worker == self.name:
                self._status_file.unlink(missing_ok=True)

    def _status(self, runtime: Runtime | None) -> bytes:
        return msgspec.json.encode(
            WorkerStatus(
                worker=self.name,
                pid=os.getpid(),
                revision=runtime.revision if runtime is not None else 0,
                hash=runtime.hash if runtime is not None else "",
                updated_ns=time.time_ns(),
                problem=self._watcher.problem,
                counters=msgspec.Raw(msgspec.json.encode(self._counters.snapshot(spool_backlog=self._ledger.backlog))),
            )
        )

    async def _metrics(self) -> bytes:
        """Prometheus text over all workers of this machine: the caller cannot choose which one it reaches.

        Written in a thread, one at a time: with thousands of targets it takes longer than a call may wait.
        """
        async with self._scraping:
            mine = msgspec.json.encode(self._counters.snapshot(spool_backlog=self._ledger.backlog))
            runtime = self.app.runtime
            revision = runtime.revision if runtime is not None else 0
            return await asyncio.get_running_loop().run_in_executor(None, self._exposition, mine, revision)

    def _exposition(self, mine: bytes, revision: int) -> bytes:
        from pointsman.telemetry.exposition import render

        snapshots = [msgspec.json.decode(mine, type=Snapshot)]
        revisions = {self._status_file.stem: revision}
        for path in self._places.workers.glob("*.json"):
            if path == self._status_file:
                continue
            with contextlib.suppress(OSError, msgspec.MsgspecError):
                status = msgspec.json.decode(path.read_bytes(), type=WorkerStatus)
                if time.time_ns() - status.updated_ns < STALE_NS:
                    snapshots.append(msgspec.json.decode(status.counters, type=Snapshot))
                    revisions[path.stem] = status.revision
        return render(merge(snapshots), revisions)


class _Server(uvicorn.Server):
    """Uvicorn without signal handling: the process's own loop decides when to stop."""

    @contextlib.contextmanager
    def capture_signals(self) -> Any:
        """Leave signals alone."""
        yield
