"""Starting servers on 127.0.0.1 and, whatever happens, stopping them again."""

from __future__ import annotations

import http.client
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path


class ServerFailedError(Exception):
    """A server ended or did not become ready; the message carries the end of its log."""


def free_port() -> int:
    """A TCP port of 127.0.0.1 that nobody listens on at this moment."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


@contextmanager
def running(
    command: Sequence[str], log: Path, env: Mapping[str, str] | None = None, cwd: Path | None = None
) -> Iterator[subprocess.Popen[bytes]]:
    """Runs a server in a session of its own; on leaving ends it and everything it started."""
    with log.open("ab") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(env or {})},
            cwd=cwd,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        end(process)


def end(process: subprocess.Popen[bytes], patience: float = 10) -> None:
    """Asks the server to end, then insists; leaves nothing of its session behind."""
    if process.poll() is None:
        process.terminate()
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
    _signal_session(process.pid, signal.SIGKILL)
    process.wait()


def _signal_session(leader: int, number: signal.Signals) -> None:
    try:
        os.killpg(leader, number)
    except ProcessLookupError:
        return


def wait_ready(process: subprocess.Popen[bytes], port: int, log: Path, *, path: str = "/", limit: float = 30) -> float:
    """Polls `path` every 5 ms until it answers 200 and returns the seconds waited. Raises ServerFailedError."""
    began = time.monotonic()
    while time.monotonic() - began < limit:
        if process.poll() is not None:
            raise ServerFailedError(f"{log.stem} ended with {process.returncode}:\n{_tail(log)}")
        if status(port, path) == 200:
            return time.monotonic() - began
        time.sleep(0.005)
    raise ServerFailedError(f"{log.stem} was not ready within {limit:.0f} s:\n{_tail(log)}")


def status(port: int, path: str) -> int | None:
    """The status that GET `path` answers, or None when nothing answers."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status
    except (OSError, http.client.HTTPException):
        return None
    finally:
        connection.close()


def _tail(log: Path, lines: int = 15) -> str:
    return "\n".join(log.read_text(errors="replace").splitlines()[-lines:])
