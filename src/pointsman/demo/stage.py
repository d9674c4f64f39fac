"""The processes of the demo: a real model, two simulated providers, and `pointsman serve`."""

from __future__ import annotations

import contextlib
import hashlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

START_SECONDS = 60.0


class StageError(Exception):
    """The demo cannot be set up. The message says what is missing and the mend."""


class Stage:
    """Everything the demo talks to. `folder` keeps its registry, data and logs."""

    def __init__(self, folder: Path, port: int, admin_port: int) -> None:
        self.folder = folder
        self.port = port
        self.admin_port = admin_port
        self.support_key = "pm-demo-" + secrets.token_hex(12)
        self.compliance_key = "pm-demo-" + secrets.token_hex(12)
        self.registry = folder / "pointsman.yaml"
        self.data_dir = folder / "data"
        self.premium_control = ""
        self._processes: list[tuple[str, subprocess.Popen[bytes]]] = []

    @property
    def base_url(self) -> str:
        """What an OpenAI client is pointed at."""
        return f"http://127.0.0.1:{self.port}/v1"

    @property
    def admin_url(self) -> str:
        """Where the commands ask."""
        return f"http://127.0.0.1:{self.admin_port}"

    def build(self) -> None:
        """Start everything and wait until the gateway is ready. Raises StageError."""
        self.folder.mkdir(parents=True, exist_ok=True)
        local, premium, economy, control = (free_port() for _ in range(4))
        self.premium_control = f"http://127.0.0.1:{control}"
        env = {"DEMO_PREMIUM_KEY": "sk-premium-" + secrets.token_hex(8), "DEMO_ECONOMY_KEY": "sk-economy-demo"}
        self.registry.write_text(self._registry(local, premium, economy), encoding="utf-8")
        self._start("local-model", ["local-model", "--port", str(local)], {})
        simulate = ["simulate", "--latency", "80ms", "--token-delay", "4ms"]
        self._start(
            "premium", [*simulate, "--name", "premium", "--port", str(premium), "--control-port", str(control)], {}
        )
        self._start("economy", [*simulate, "--name", "economy", "--port", str(economy)], {})
        serve = ["serve", "--config", str(self.registry), "--port", str(self.port)]
        serve += ["--admin-port", str(self.admin_port), "--data-dir", str(self.data_dir), "--grace", "3"]
        self._start("serve", serve, env)
        for url in (
            f"http://127.0.0.1:{local}/v1/models",
            f"http://127.0.0.1:{premium}/v1/models",
            f"http://127.0.0.1:{economy}/v1/models",
            f"http://127.0.0.1:{self.port}/readyz",
            f"{self.admin_url}/healthz",
        ):
            self._wait_for(url)

    def _registry(self, local: int, premium: int, economy: int) -> str:
        text = resources.files("pointsman.demo").joinpath("registry.yaml").read_text(encoding="utf-8")
        for word, value in (
            ("LOCAL_PORT", str(local)),
            ("PREMIUM_PORT", str(premium)),
            ("ECONOMY_PORT", str(economy)),
            ("SUPPORT_HASH", hashlib.sha256(self.support_key.encode()).hexdigest()),
            ("COMPLIANCE_HASH", hashlib.sha256(self.compliance_key.encode()).hexdigest()),
        ):
            text = text.replace(word, value)
        return text

    def _start(self, name: str, arguments: list[str], env: dict[str, str]) -> None:
        with (self.folder / f"{name}.log").open("wb") as log:
            process = subprocess.Popen(  # noqa: S603 - our own commands
                [sys.executable, "-m", "pointsman", *arguments],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env={**os.environ, **env},
                start_new_session=True,
            )
        self._processes.append((name, process))

    def _wait_for(self, url: str) -> None:
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until:
            for name, process in self._processes:
                if process.poll() is not None:
                    log = (self.folder / f"{name}.log").read_text(encoding="utf-8", errors="replace")
                    raise StageError(f"`pointsman {name}` ended while the demo was starting:\n{log[-2000:]}")
            try:
                with urllib.request.urlopen(url, timeout=2):  # noqa: S310 - our own loopback address
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.05)
        raise StageError(f"{url} did not answer within {START_SECONDS:.0f} seconds; see the logs in {self.folder}")

    def outage(self) -> None:
        """Take the premium provider down: its port refuses connections."""
        self._steer(b'{"faults": ["down"]}')

    def recovery(self) -> None:
        """Bring the premium provider back."""
        self._steer(b'{"faults": []}')

    def _steer(self, body: bytes) -> None:
        request = urllib.request.Request(  # noqa: S310 - our own loopback address
            f"{self.premium_control}/_sim/behaviour", body, {"content-type": "application/json"}
        )
        with urllib.request.urlopen(request, timeout=5):  # noqa: S310
            pass

    def clear(self) -> None:
        """Stop everything, the gateway first."""
        for _, process in reversed(self._processes):
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
        for _, process in self._processes:
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(8)
            if process.poll() is None:
                process.kill()
                process.wait()


def free_port() -> int:
    """A port of the loopback interface that nobody uses now."""
    with contextlib.closing(socket.socket()) as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@contextlib.contextmanager
def staged(folder: Path, port: int, admin_port: int) -> Iterator[Stage]:
    """A stage that is always cleared. Raises StageError."""
    stage = Stage(folder, port, admin_port)
    try:
        stage.build()
        yield stage
    finally:
        stage.clear()
