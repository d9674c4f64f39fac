"""A real `pointsman serve` in front of providers, for clients that know nothing of it."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import yaml

POINTSMAN = shutil.which("pointsman", path=str(Path(sys.executable).parent)) or "pointsman"
READY_SECONDS = 30.0
STOP_SECONDS = 20.0

KEY = "pk-clients-everything"
NARROW_KEY = "pk-clients-narrow"
EXPIRED_KEY = "pk-clients-expired"


class Gateway(msgspec.Struct, frozen=True):
    """A running gateway: `url` without `/v1`, and the file that its output goes to."""

    url: str
    admin_url: str
    data_dir: Path
    log: Path

    @property
    def base_url(self) -> str:
        """What an OpenAI client takes as its base URL."""
        return f"{self.url}/v1"


def free_port() -> int:
    """A port that nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def hash_of(key: str) -> str:
    """A key as the registry file holds it."""
    return f"sha256:{hashlib.sha256(key.encode()).hexdigest()}"


def chat_target(tier: str, **facts: Any) -> dict[str, Any]:
    """A chat target with every fact stated, so that nothing depends on a catalogue."""
    return {
        "state": "approved",
        "tier": tier,
        "task": "chat",
        "context_window": 32_000,
        "max_output": 4_000,
        "prices": {"input": 1, "output": 2},
        "capabilities": {"streaming": "yes", "tools": "yes", "json_schema": "yes", "image_input": "no"},
        **facts,
    }


def embedding_target(**facts: Any) -> dict[str, Any]:
    """An embedding target with every fact stated."""
    return {"state": "approved", "task": "embedding", "context_window": 8_000, "prices": {"input": 1}, **facts}


@contextmanager
def running(command: list[str], log: Path, env: dict[str, str] | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program for the length of a `with` block, in a process group of its own."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], "HOME": str(log.parent), **(env or {})},
            start_new_session=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
                raise AssertionError(f"{command[1]} did not stop within {STOP_SECONDS} s:\n{tail(log)}") from None


def tail(log: Path) -> str:
    """The end of a program's output."""
    return log.read_text(errors="replace")[-4000:]


def wait_until_answering(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    """Wait for a 200 at `url`. Fails with the program's output when it ends or the time is over."""
    deadline = time.monotonic() + READY_SECONDS
    said = ""
    while time.monotonic() < deadline:
        assert process.poll() is None, f"{process.args!r} ended with {process.returncode}:\n{tail(log)}"
        try:
            with urllib.request.urlopen(url, timeout=2) as answer:
                if answer.status == 200:
                    return
        except (urllib.error.URLError, OSError) as error:
            said = str(error)
        time.sleep(0.05)
    raise AssertionError(f"{url} did not answer within {READY_SECONDS} s ({said}):\n{tail(log)}")


@contextmanager
def serve(registry: dict[str, Any], folder: Path, env: dict[str, str] | None = None) -> Iterator[Gateway]:
    """`pointsman serve` on this registry, ready to take calls."""
    folder.mkdir(parents=True, exist_ok=True)
    config = folder / "pointsman.yaml"
    config.write_text(yaml.safe_dump(registry, sort_keys=False))
    port, admin = free_port(), free_port()
    gateway = Gateway(
        f"http://127.0.0.1:{port}", f"http://127.0.0.1:{admin}", folder / "data", folder / "pointsman.log"
    )
    command = [POINTSMAN, "serve", "--config", str(config), "--port", str(port), "--admin-port", str(admin)]
    command += ["--data-dir", str(gateway.data_dir), "--workers", "1"]
    with running(command, gateway.log, env) as process:
        wait_until_answering(f"{gateway.url}/readyz", process, gateway.log)
        yield gateway


@contextmanager
def local_model(folder: Path) -> Iterator[str]:
    """The real local model; gives its base URL."""
    port = free_port()
    log = folder / "local-model.log"
    # One thread: several spin for one another when the machine is busy, and take ten times as long.
    with running([POINTSMAN, "local-model", "--port", str(port), "--threads", "1"], log) as process:
        wait_until_answering(f"http://127.0.0.1:{port}/health", process, log)
        yield f"http://127.0.0.1:{port}/v1"
