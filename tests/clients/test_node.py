"""The unmodified OpenAI SDK for Node against a gateway: with simulated providers, and with a real local model."""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from pointsman.testing.local_model import MODEL
from tests.clients.conftest import Rehearsal
from tests.clients.harness import KEY, NARROW_KEY, Gateway
from tests.services import CACHE

NODE = Path(__file__).parent / "node"
ANYWHERE = [
    "chat",
    "stream",
    "stream_usage",
    "parse",
    "streamed_parse",
    "embeddings",
    "embeddings_float",
    "models",
    "headers",
    "not_found",
    "authentication",
    "permission",
    "close_early",
]
SIMULATED = [*ANYWHERE, "tools", "streamed_tools", "stream_error"]


def installed() -> Path:
    """A folder with the script and the packages its lock file names, made once per lock file."""
    lock_file = NODE / "package-lock.json"
    folder = CACHE / f"node-{hashlib.sha256(lock_file.read_bytes()).hexdigest()[:12]}"
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        for name in ("package.json", "package-lock.json", ".npmrc", "run.mjs"):
            shutil.copyfile(NODE / name, folder / name)
        if not (folder / ".installed").exists():
            done = subprocess.run(
                ["npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
                cwd=folder,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                timeout=100,
                check=False,
            )
            assert done.returncode == 0, f"npm ci failed:\n{done.stdout}{done.stderr}"
            (folder / ".installed").touch()
    return folder


def results(cases: list[str], **told: str) -> dict[str, str | None]:
    """What became of each case. Each call is one Node process."""
    done = subprocess.run(
        ["node", "run.mjs"],
        cwd=installed(),
        env={"PATH": os.environ["PATH"], "CLIENT_TEST": json.dumps({"cases": cases, "key": KEY, **told})},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    found: dict[str, str | None] = json.loads(done.stdout)
    return found


@pytest.fixture(scope="module")
def simulated(rehearsal: Rehearsal) -> dict[str, str | None]:
    return results(
        SIMULATED,
        baseURL=rehearsal.gateway.base_url,
        narrowKey=NARROW_KEY,
        model="support-answer",
        embedder="embedder",
        target="sim:premium-2026-01-15",
    )


@pytest.fixture(scope="module")
def with_real_model(real: Gateway) -> dict[str, str | None]:
    return results(
        ANYWHERE,
        baseURL=real.base_url,
        narrowKey=NARROW_KEY,
        model="small-talk",
        embedder="embedder",
        target=f"local:{MODEL}",
    )


@pytest.mark.service("node")
@pytest.mark.parametrize("case", SIMULATED)
def test_node_with_simulated_providers(simulated: dict[str, str | None], case: str) -> None:
    assert simulated[case] is None


@pytest.mark.service("node")
@pytest.mark.parametrize("case", ANYWHERE)
def test_node_with_a_real_model(with_real_model: dict[str, str | None], case: str) -> None:
    assert with_real_model[case] is None
