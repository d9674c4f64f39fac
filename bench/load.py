"""Driving load at a row and reading what the generators saw."""

from __future__ import annotations

import json
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

import msgspec

from bench import tools
from bench.rows import Bed, Endpoint

REQUEST_BYTES = 1024
CONNECTIONS = 32
STREAMS = 16
CHUNKS = 50


class LoadFailedError(Exception):
    """A generator ended with an error, or a row did not answer as it must."""


class Series(msgspec.Struct, frozen=True):
    """Times in microseconds; -1 where nothing was measured."""

    count: int
    mean: float
    p50: float
    p99: float
    p999: float
    max: float


class Load(msgspec.Struct, frozen=True):
    """What openloop saw. `pieces` counts reads that brought body bytes, `http_chunks` chunks of the coding."""

    sent: int
    seconds: float
    latency_us: Series
    first_us: Series
    status: dict[str, int]
    answers: int
    errors: int
    cancelled: int
    unfinished: int
    unsent: int
    pieces: int
    http_chunks: int

    @property
    def bad(self) -> int:
        """Requests that did not end in a 200."""
        return self.errors + self.unfinished + self.unsent + self.answers - self.status.get("200", 0)


class Wrk(msgspec.Struct, frozen=True):
    """What wrk saw; times in microseconds."""

    requests: int
    seconds: float
    p50: float
    p99: float
    status_errors: int
    socket_errors: int


@dataclass(frozen=True, slots=True)
class Part:
    """A share of a mixed load: a body file, and whether the client hangs up in the middle of the answer."""

    body: Path
    weight: float = 1
    cancel: bool = False

    def __str__(self) -> str:
        return f"{self.weight}:{'cancel' if self.cancel else 'full'}:{self.body}"


def body(folder: Path, endpoint: Endpoint, *, stream: bool = False, text: str = "") -> Path:
    """A file with a chat completion of exactly 1 KB for this endpoint; `text` opens the user's message."""
    request: dict[str, object] = {"model": endpoint.model, "temperature": 0.2, "max_tokens": 256}
    if stream:
        request["stream"] = True
    system = {"role": "system", "content": "You are a careful signal box."}
    request["messages"] = [system, {"role": "user", "content": text}]
    padding = REQUEST_BYTES - len(_json(request))
    request["messages"] = [system, {"role": "user", "content": text + ("route " * 200)[:padding]}]
    name = f"{endpoint.port}-{endpoint.model.replace('/', '_')}-{'stream' if stream else 'unary'}-{text}.json"
    file = folder / name
    file.write_bytes(_json(request))
    return file


def _json(value: object) -> bytes:
    return json.dumps(value, separators=(",", ":")).encode()


def wrk(bed: Bed, endpoint: Endpoint, seconds: float) -> Wrk:
    """32 connections as fast as the row answers. Raises LoadFailedError unless every answer is a 2xx."""
    url = f"http://127.0.0.1:{endpoint.port}{endpoint.path}"
    headers = [part for header in endpoint.headers for part in ("-H", header)]
    shape = ["-t1", f"-c{CONNECTIONS}", f"-d{max(1, round(seconds))}s", "--timeout", "10s"]
    command = [str(bed.tools.wrk), *shape, "-s", str(tools.HERE / "chat.lua"), *headers, url]
    env = {**os.environ, **tools.library_path(), "BENCH_BODY": str(body(bed.folder, endpoint))}
    output = _run(command, env)
    line = next((line for line in output.splitlines() if line.startswith("BENCH ")), None)
    if line is None:
        raise LoadFailedError(f"wrk gave no figures:\n{output[-2000:]}")
    seen = msgspec.json.decode(line.removeprefix("BENCH "), type=Wrk)
    if seen.status_errors or seen.socket_errors or not seen.requests:
        raise LoadFailedError(
            f"wrk saw {seen.requests} answers, {seen.status_errors} of them errors, {seen.socket_errors} broken"
        )
    return seen


def openloop(
    bed: Bed,
    endpoint: Endpoint,
    parts: list[Part],
    *,
    seconds: float,
    connections: int,
    rate: float = 0,
    count: int = 0,
    poisson: bool = False,
    seed: int = 1,
    strict: bool = True,
) -> Load:
    """`rate` requests a second on schedule, or (0) a closed loop. Strict: raises LoadFailedError unless all are 200."""
    command = [str(bed.tools.openloop), "--port", str(endpoint.port), "--path", endpoint.path]
    command += ["--connections", str(connections), "--rate", str(rate), "--seconds", str(seconds)]
    command += ["--count", str(count), "--seed", str(seed), *(["--poisson"] if poisson else [])]
    for header in endpoint.headers:
        command += ["--header", header]
    for part in parts:
        command += ["--body", str(part)]
    seen = msgspec.json.decode(_run(command, dict(os.environ)), type=Load)
    if strict and (seen.bad or not seen.answers):
        raise LoadFailedError(
            f"of {seen.sent + seen.unsent} requests {seen.status.get('200', 0)} got a 200 in {seen.seconds:.1f} s; "
            f"statuses {seen.status}, broken {seen.errors}, unanswered {seen.unfinished}, never sent {seen.unsent}"
        )
    return seen


def _run(command: list[str], env: dict[str, str]) -> str:
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise LoadFailedError(f"{command[0]} ended with {done.returncode}: {done.stderr[-2000:]}")
    return done.stdout
