"""`pointsman serve` as a whole: started, stopped, killed and looked into from outside."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml

from pointsman.cli.client import AdminClient
from pointsman.core.places import Places, WorkerStatus
from tests.clients.harness import POINTSMAN, free_port, wait_until_answering
from tests.system.registry import CREDENTIAL

PATIENCE = 30.0
"""Seconds that anything may take on a busy machine."""


def until(holds: Callable[[], Any], what: str, patience: float = PATIENCE) -> None:
    """Wait until `holds()` is true. Fails naming `what` when the time is over."""
    deadline = time.monotonic() + patience
    while not holds():
        assert time.monotonic() < deadline, f"not within {patience} s: {what}"
        time.sleep(0.02)


def running(pid: int) -> bool:
    """Whether a process runs: neither gone nor waiting for somebody to take note of its end."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return False
    return stat.rpartition(")")[2].split()[0] not in ("Z", "X")


class Served:
    """One `pointsman serve`, its data directory and its file; may be started anew on them."""

    def __init__(
        self,
        folder: Path,
        registry: dict[str, Any],
        *options: str,
        workers: int = 1,
        env: dict[str, str] | None = None,
        with_file: bool = True,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.config = folder / "pointsman.yaml"
        self.log = folder / "serve.log"
        self.port, self.admin_port = free_port(), free_port()
        self.places = Places(folder / "data")
        self._options = ["--config", str(self.config)] if with_file else []
        self._options += ["--workers", str(workers), *options]
        self._env = {
            **{name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ},
            "HOME": str(folder),
            "COLUMNS": "200",
            "SYSTEM_TEST_CREDENTIAL": CREDENTIAL,
            **(env or {}),
        }
        self.token = self._env.get("POINTSMAN_ADMIN_TOKEN", "")
        self._process: subprocess.Popen[bytes] | None = None
        self.edit(registry)

    @property
    def url(self) -> str:
        """The gateway, without `/v1`."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def admin_url(self) -> str:
        """The admin API."""
        return f"http://127.0.0.1:{self.admin_port}"

    @property
    def process(self) -> subprocess.Popen[bytes]:
        """The supervisor."""
        assert self._process is not None
        return self._process

    def edit(self, registry: dict[str, Any] | str) -> None:
        """Replace the registry file in one step."""
        text = registry if isinstance(registry, str) else yaml.safe_dump(registry, sort_keys=False)
        scratch = self.config.with_suffix(".new")
        scratch.write_text(text)
        scratch.replace(self.config)

    def command(self) -> list[str]:
        """The command that serves. Of options that are given twice the last one counts."""
        command = [POINTSMAN, "serve", "--data-dir", str(self.places.root)]
        return [*command, "--port", str(self.port), "--admin-port", str(self.admin_port), *self._options]

    def launch(self) -> None:
        """Start, and do not wait."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                self.command(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                env=self._env,
                start_new_session=True,
            )

    def start(self) -> float:
        """Start and wait until calls are taken. Gives the seconds it took."""
        began = time.monotonic()
        self.launch()
        wait_until_answering(f"{self.url}/readyz", self.process, self.log)
        return time.monotonic() - began

    def await_control(self) -> None:
        """Wait until the admin API answers."""
        wait_until_answering(f"{self.admin_url}/healthz", self.process, self.log)

    def stop(self, number: int = signal.SIGTERM) -> int:
        """Ask it to stop: SIGINT reaches the whole process group, as from a terminal. Gives the exit code."""
        if number == signal.SIGINT:
            os.killpg(self.process.pid, number)
        else:
            self.process.send_signal(number)
        return self.process.wait(PATIENCE)

    def close(self) -> None:
        """Whatever runs, runs no more."""
        if self._process is not None and self._process.poll() is None:
            children = self.children()
            self._process.terminate()
            try:
                self._process.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                for pid in (self._process.pid, *children):
                    os.kill(pid, signal.SIGKILL)
                self._process.wait()
                raise AssertionError(f"serve did not stop:\n{self.said()[-4000:]}") from None

    def said(self) -> str:
        """Everything it has logged."""
        return self.log.read_text(errors="replace")

    def children(self) -> list[int]:
        """The processes under the supervisor."""
        pid = self.process.pid
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]

    def control(self) -> int:
        """The control process. There has to be one."""
        for pid in self.children():
            if b"pointsman.control" in Path(f"/proc/{pid}/cmdline").read_bytes():
                return pid
        raise AssertionError(f"there is no control process:\n{self.said()[-4000:]}")

    def workers(self) -> list[int]:
        """The gateway workers that run."""
        return [pid for pid in self.children() if b"pointsman.gateway" in Path(f"/proc/{pid}/cmdline").read_bytes()]

    def statuses(self) -> list[WorkerStatus]:
        """What the workers say of themselves."""
        files = sorted(self.places.workers.glob("*.json"))
        return [msgspec.json.decode(path.read_bytes(), type=WorkerStatus) for path in files]

    def admin(self) -> AdminClient:
        """A client of the admin API."""
        return AdminClient(self.admin_url, self.token or self.places.admin_token.read_text().strip())

    def run(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """A `pointsman` command against this server."""
        where = {"POINTSMAN_ADMIN_URL": self.admin_url}
        return subprocess.run(
            [POINTSMAN, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            env={**self._env, **where, **(env or {})},
            cwd=self.folder,
            timeout=60,
        )

    def ask(self, *words: str) -> Any:
        """What a command answers with `--json`. The command has to succeed."""
        done = self.run(*words, "--data-dir", str(self.places.root), "--json")
        assert done.returncode == 0, done.stderr
        return msgspec.json.decode(done.stdout)

    def sql(self, query: str) -> list[tuple[Any, ...]]:
        """Rows of the store."""
        with closing(sqlite3.connect(f"file:{self.places.database}?mode=ro", uri=True, timeout=10)) as store:
            return store.execute(query).fetchall()


@contextmanager
def serving(
    folder: Path, registry: dict[str, Any], *options: str, workers: int = 1, env: dict[str, str] | None = None
) -> Iterator[Served]:
    """A server that takes calls, and whose admin API answers."""
    served = Served(folder, registry, *options, workers=workers, env=env)
    try:
        served.start()
        served.await_control()
        yield served
    finally:
        served.close()
