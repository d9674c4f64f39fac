"""Where things lie in the data directory. Gateways and the control process meet here and nowhere else.

current                    JSON `Current`: the revision to serve; replaced atomically, last thing of a publication
revisions/<number>.jsonl   the published document of that revision (core.document)
spool/<writer>-<n>.spool   call records on their way to the store (telemetry.spool)
workers/<worker>.json      JSON `WorkerStatus`: what each gateway worker serves now, with its counters
pointsman.db               the store, unless POINTSMAN_DATABASE_URL says otherwise
serve.lock, control.lock   held by the one supervisor and the one control process of this directory
admin-token                the admin token, made at first start unless POINTSMAN_ADMIN_TOKEN is set (mode 0600)
"""

from __future__ import annotations

from pathlib import Path

import msgspec


class Current(msgspec.Struct, frozen=True):
    """Content of the file `current`."""

    revision: int
    hash: str


class WorkerStatus(msgspec.Struct, frozen=True):
    """What a gateway worker says of itself, rewritten every second and after every swap.

    `revision` 0 means that it serves nothing yet. `problem` is why the newest revision is not the one it serves.
    `counters` is opaque here: the worker's metrics, merged by whichever worker is scraped.
    """

    worker: str
    pid: int
    revision: int
    hash: str
    updated_ns: int
    problem: str = ""
    counters: msgspec.Raw = msgspec.Raw(b"null")


class Places(msgspec.Struct, frozen=True):
    """Paths below one data directory."""

    root: Path

    @property
    def current(self) -> Path:
        """The file that names the revision to serve."""
        return self.root / "current"

    @property
    def revisions(self) -> Path:
        """Folder of published documents."""
        return self.root / "revisions"

    @property
    def spool(self) -> Path:
        """Folder of call records on their way to the store."""
        return self.root / "spool"

    @property
    def workers(self) -> Path:
        """Folder of worker status files."""
        return self.root / "workers"

    @property
    def database(self) -> Path:
        """The SQLite file of the store."""
        return self.root / "pointsman.db"

    @property
    def admin_token(self) -> Path:
        """The file that keeps the generated admin token."""
        return self.root / "admin-token"

    def revision(self, number: int) -> Path:
        """The published document of revision `number`."""
        return self.revisions / f"{number}.jsonl"

    def make(self) -> None:
        """Create the folders, readable by their owner alone. Raises OSError."""
        self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
        for folder in (self.revisions, self.spool, self.workers):
            folder.mkdir(mode=0o700, exist_ok=True)


def replace_file(path: Path, data: bytes) -> None:
    """Write `data` to `path` so that a reader sees the old content or the new, never a part. Raises OSError."""
    scratch = path.with_name(f".{path.name}.new")
    scratch.write_bytes(data)
    scratch.replace(path)
