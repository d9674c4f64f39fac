"""The contenders: how each is configured and started, and which of its processes serve."""

from __future__ import annotations

import hashlib
import json
import secrets
import subprocess
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

from bench import measure, servers, tools

CHAT = "/v1/chat/completions"
POINTSMAN = tools.ROOT / ".venv" / "bin" / "pointsman"
KEY = "bench-key-of-no-value"  # opens nothing but the gateway that this run starts


@dataclass(frozen=True, slots=True)
class Endpoint:
    """Where a request goes and what it must say to be served there."""

    port: int
    model: str = "bench"
    path: str = CHAT
    headers: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Row:
    """One running contender."""

    name: str
    title: str
    unary: Endpoint
    stream: Endpoint
    serving: Callable[[], list[int]]
    tree: Callable[[], list[int]]
    settles: bool = False  # works on after the last answer (ingest): its whole tree is measured until it rests


@dataclass(frozen=True, slots=True)
class Bed:
    """What all contenders share: tools, scratch folder, the two upstreams, and the stack that stops everything."""

    tools: tools.Tools
    folder: Path
    stack: ExitStack
    unary_port: int
    stream_port: int

    def start(
        self, name: str, command: list[str], env: dict[str, str] | None = None
    ) -> tuple[subprocess.Popen[bytes], Path]:
        """Starts a server that stops with the run; returns it and its log."""
        log = self.folder / f"{name}.log"
        return self.stack.enter_context(servers.running(command, log, env, cwd=self.folder)), log


def make_bed(found: tools.Tools, folder: Path, stack: ExitStack) -> Bed:
    """Starts both upstreams: nginx answers 1 KB at once, the C program streams and misbehaves on request."""
    bed = Bed(found, folder, stack, servers.free_port(), servers.free_port())
    process, log = bed.start("upstream", [str(found.upstream), "--port", str(bed.stream_port), "--gap-us", "1000"])
    servers.wait_ready(process, bed.stream_port, log)
    server = f"""
    server {{
        listen 127.0.0.1:{bed.unary_port} backlog=1024;
        default_type application/json;
        location / {{ return 200 '{_answer()}'; }}
    }}"""
    process, log = bed.start("instant", _nginx_command(bed, "instant", server))
    servers.wait_ready(process, bed.unary_port, log)
    return bed


def _answer() -> str:
    message = {"role": "assistant", "content": "points " * 88, "refusal": None}
    choice = {"index": 0, "message": message, "logprobs": None, "finish_reason": "stop"}
    usage = {"prompt_tokens": 180, "completion_tokens": 120, "total_tokens": 300}
    answer = {
        "id": "chatcmpl-bench0000000000000000000000",
        "object": "chat.completion",
        "created": 1760000000,
        "model": "bench-model-1",
        "choices": [choice],
        "usage": usage,
        "system_fingerprint": "fp_bench",
    }
    return json.dumps(answer, separators=(",", ":"))


def direct(bed: Bed) -> Row:
    """No proxy at all: what is subtracted to get *added* latency."""
    return Row(
        "direct",
        "no proxy",
        Endpoint(bed.unary_port),
        Endpoint(bed.stream_port),
        serving=list,
        tree=list,
    )


def _nginx_command(bed: Bed, name: str, server: str) -> list[str]:
    prefix = bed.folder / name
    prefix.mkdir()
    temps = "\n    ".join(
        f"{kind}_temp_path {prefix}/{kind};" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")
    )
    (prefix / "nginx.conf").write_text(f"""daemon off;
worker_processes 1;
pid {prefix}/pid;
error_log {prefix}/error.log warn;
events {{ worker_connections 4096; }}
http {{
    access_log off;
    keepalive_requests 100000000;
    keepalive_timeout 600s;
    tcp_nodelay on;
    {temps}
    {server}
}}
""")
    return [str(bed.tools.nginx), "-p", str(prefix), "-c", str(prefix / "nginx.conf"), "-e", "stderr"]


def nginx(bed: Bed) -> Row:
    """nginx as a plain reverse proxy: one worker, keep-alive on both sides, no buffering."""
    ports = servers.free_port(), servers.free_port()
    blocks = [
        f"""
    upstream up{port} {{ server 127.0.0.1:{to}; keepalive 256; keepalive_requests 100000000; }}
    server {{
        listen 127.0.0.1:{port} backlog=1024;
        location / {{
            proxy_pass http://up{port};
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_buffering {buffering};
        }}
    }}"""
        for port, to, buffering in ((ports[0], bed.unary_port, "on"), (ports[1], bed.stream_port, "off"))
    ]
    process, log = bed.start("nginx", _nginx_command(bed, "nginx", "".join(blocks)))
    servers.wait_ready(process, ports[0], log)
    return Row(
        "nginx",
        "nginx, plain reverse proxy",
        Endpoint(ports[0]),
        Endpoint(ports[1]),
        serving=lambda: _matching(process.pid, "worker process"),
        tree=lambda: measure.process_tree(process.pid),
    )


def _matching(root: int, text: str) -> list[int]:
    found = [pid for pid in measure.process_tree(root) if text in measure.command_line(pid)]
    if not found:
        raise servers.ServerFailedError(f"no process under {root} has {text!r} in its command line")
    return found


def envoy(bed: Bed) -> Row:
    """Envoy as a plain reverse proxy: one worker, keep-alive on both sides, no access log, no admin port."""
    ports = servers.free_port(), servers.free_port()
    config = {
        "static_resources": {
            "listeners": [_listener(port) for port in ports],
            "clusters": [_cluster(port, to) for port, to in zip(ports, (bed.unary_port, bed.stream_port), strict=True)],
        }
    }
    file = bed.folder / "envoy.json"
    file.write_text(json.dumps(config))
    options = ["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]
    process, log = bed.start("envoy", [str(tools.envoy()), "-c", str(file), *options])
    servers.wait_ready(process, ports[0], log)
    return Row(
        "envoy",
        "Envoy, plain reverse proxy",
        Endpoint(ports[0]),
        Endpoint(ports[1]),
        serving=lambda: [process.pid],
        tree=lambda: measure.process_tree(process.pid),
    )


def _address(port: int) -> dict[str, object]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}


def _listener(port: int) -> dict[str, object]:
    router = "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    manager = "type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
    route = {"match": {"prefix": "/"}, "route": {"cluster": f"up{port}", "timeout": "0s"}}
    http = {
        "@type": manager,
        "stat_prefix": f"in{port}",
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [route]}]},
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": router}}],
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": http}]}
    return {"name": f"in{port}", "address": _address(port), "filter_chains": [chain]}


def _cluster(port: int, to: int) -> dict[str, object]:
    endpoint = {"endpoint": {"address": _address(to)}}
    return {
        "name": f"up{port}",
        "type": "STATIC",
        "connect_timeout": "2s",
        "load_assignment": {"cluster_name": f"up{port}", "endpoints": [{"lb_endpoints": [endpoint]}]},
    }


@dataclass(frozen=True, slots=True)
class PointsmanFiles:
    """Where one `pointsman serve` of the bench keeps its things."""

    config: Path
    data: Path


def write_config(bed: Bed, name: str = "pointsman") -> PointsmanFiles:
    """`bench/pointsman.yaml` with this run's ports and key."""
    text = (tools.HERE / "pointsman.yaml").read_text()
    digest = hashlib.sha256(KEY.encode()).hexdigest()
    filled = {"UNARY_PORT": str(bed.unary_port), "STREAM_PORT": str(bed.stream_port), "KEY_HASH": digest}
    for mark, value in filled.items():
        text = text.replace(mark, value)
    config = bed.folder / f"{name}.yaml"
    config.write_text(text)
    return PointsmanFiles(config, bed.folder / f"{name}-data")


def serve_command(files: PointsmanFiles, port: int) -> list[str]:
    """The command line of one worker with everything on."""
    where = ["--port", str(port), "--admin-port", str(servers.free_port()), "--data-dir", str(files.data)]
    return [str(POINTSMAN), "serve", "--config", str(files.config), *where, "--workers", "1"]


def serve_environment() -> dict[str, str]:
    """Settings and credentials that the configuration refers to."""
    return {"BENCH_UPSTREAM_KEY": "none", "POINTSMAN_ADMIN_TOKEN": secrets.token_hex(16)}


def pointsman(bed: Bed, files: PointsmanFiles | None = None, name: str = "pointsman") -> Row:
    """Pointsman with everything on: key, policy, limits, record, cost, metrics, ingest into SQLite."""
    files = files or write_config(bed, name)
    port = servers.free_port()
    process, log = bed.start(name, serve_command(files, port), serve_environment())
    servers.wait_ready(process, port, log, path="/readyz", limit=60)
    headers = (f"Authorization: Bearer {KEY}",)
    return Row(
        name,
        "**Pointsman, everything on**",
        Endpoint(port, "bench-answer", headers=headers),
        Endpoint(port, "bench-stream", headers=headers),
        serving=lambda: _matching(process.pid, "pointsman.gateway"),
        tree=lambda: measure.process_tree(process.pid),
        settles=True,
    )


CONTENDERS: dict[str, Callable[[Bed], Row]] = {"nginx": nginx, "envoy": envoy, "pointsman": pointsman}
