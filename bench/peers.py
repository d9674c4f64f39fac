"""Other gateways, on request (PEERS=1): each in an environment of its own under `.bench/`, on 127.0.0.1 only.

LiteLLM is pinned to a release that is neither one of the trojaned ones of March 2026 nor newer than what can be
installed; nothing of Pointsman ever imports it.
"""

from __future__ import annotations

import json
import re
import secrets
import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

from bench import measure, servers, tools
from bench.rows import Bed, Endpoint, Row

LITELLM = "1.106.0"
TENSORZERO = "2026.6.0"
PORTKEY = "1.15.2"
# Portkey's own ranges let newer releases in that it does not start with.
_PORTKEY_PINS = {"hono": "4.9.7", "@hono/node-server": "1.13.5", "@hono/node-ws": "1.2.0"}


def litellm(bed: Bed) -> Row:
    """LiteLLM's proxy, one worker, its price map from the package (it would fetch one at start)."""
    folder = tools.python_environment("litellm", f"litellm[proxy]=={LITELLM}")
    models = [
        {
            "model_name": name,
            "litellm_params": {
                "model": "openai/bench-model-1",
                "api_base": f"http://127.0.0.1:{port}/v1",
                "api_key": "none",
            },
        }
        for name, port in (("bench-answer", bed.unary_port), ("bench-stream", bed.stream_port))
    ]
    config = bed.folder / "litellm.json"  # JSON is YAML
    key = "sk-" + secrets.token_hex(24)
    settings = {"general_settings": {"master_key": key}, "litellm_settings": {"telemetry": False}}
    config.write_text(json.dumps({"model_list": models, **settings}))
    port = servers.free_port()
    where = ["--host", "127.0.0.1", "--port", str(port), "--num_workers", "1"]
    command = [str(folder / "bin" / "litellm"), "--config", str(config), *where]
    process, log = bed.start("litellm", command, {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_LOG": "ERROR"})
    servers.wait_ready(process, port, log, path="/health/liveliness", limit=90)
    headers = (f"Authorization: Bearer {key}",)
    unary, stream = (Endpoint(port, name, headers=headers) for name in ("bench-answer", "bench-stream"))
    return _row("litellm", f"LiteLLM {LITELLM}", process, unary, stream)


# The wheel's gateway is inside an extension module; this starts it as the module's own client does.
_TENSORZERO = """
import signal, sys
from tensorzero.tensorzero import _start_http_gateway
gateway = _start_http_gateway(
    config_file=sys.argv[1], clickhouse_url=None, postgres_url=None, valkey_url=None, async_setup=False
)
print("serves", gateway.base_url, flush=True)
signal.pause()
"""


def tensorzero(bed: Bed) -> Row:
    """TensorZero's gateway from its wheel, observability and logging off."""
    folder = tools.python_environment("tensorzero", f"tensorzero=={TENSORZERO}")
    config = bed.folder / "tensorzero.toml"
    config.write_text(
        "[gateway]\nobservability.enabled = false\ndisable_pseudonymous_usage_analytics = true\n"
        + _tensorzero_model("bench-answer", bed.unary_port)
        + _tensorzero_model("bench-stream", bed.stream_port)
    )
    command = [str(folder / "bin" / "python"), "-c", _TENSORZERO, str(config)]
    process, log = bed.start("tensorzero", command, {"RUST_LOG": "off"})
    port = _announced_port(process, log)
    path = "/openai/v1/chat/completions"
    unary, stream = (
        Endpoint(port, f"tensorzero::model_name::{name}", path) for name in ("bench-answer", "bench-stream")
    )
    return _row("tensorzero", f"TensorZero {TENSORZERO}", process, unary, stream)


def _tensorzero_model(name: str, port: int) -> str:
    return f"""
[models.{name}]
routing = ["up"]
[models.{name}.providers.up]
type = "openai"
model_name = "bench-model-1"
api_base = "http://127.0.0.1:{port}/v1/"
api_key_location = "none"
"""


def _announced_port(process: subprocess.Popen[bytes], log: Path, limit: float = 30) -> int:
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline and process.poll() is None:
        found = re.search(r"serves http://127\.0\.0\.1:(\d+)", log.read_text(errors="replace"))
        if found:
            return int(found[1])
        time.sleep(0.05)
    raise servers.ServerFailedError(f"{log.stem} announced no port:\n{log.read_text(errors='replace')[-1000:]}")


# Portkey has no option for the address it listens on and would take all of them.
_LOOPBACK_ONLY = """
const net = require('net');
const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (port, ...rest) {
  const callback = rest.find((argument) => typeof argument === 'function');
  return listen.call(this, port, '127.0.0.1', callback);
};
"""


def portkey(bed: Bed) -> Row:
    """Portkey's gateway on Node, without its console."""
    script = _portkey_installed()
    guard = bed.folder / "loopback.cjs"
    guard.write_text(_LOOPBACK_ONLY)
    port = servers.free_port()
    command = ["node", "--require", str(guard), str(script), f"--port={port}", "--headless"]
    process, log = bed.start(
        "portkey", command, {"NODE_ENV": "production", "TRUSTED_CUSTOM_HOSTS": "127.0.0.1,localhost"}
    )
    servers.wait_ready(process, port, log)
    unary, stream = (_portkey_endpoint(port, upstream) for upstream in (bed.unary_port, bed.stream_port))
    return _row("portkey", f"Portkey {PORTKEY}", process, unary, stream)


def _portkey_endpoint(port: int, upstream: int) -> Endpoint:
    headers = (
        "x-portkey-provider: openai",
        f"x-portkey-custom-host: http://127.0.0.1:{upstream}/v1",
        "Authorization: Bearer none",
    )
    return Endpoint(port, "bench-model-1", headers=headers)


def _portkey_installed() -> Path:
    folder = tools.HOME / "portkey"
    script = folder / "node_modules" / "@portkey-ai" / "gateway" / "build" / "start-server.js"
    manifest = json.dumps(
        {"private": True, "dependencies": {"@portkey-ai/gateway": PORTKEY}, "overrides": _PORTKEY_PINS}
    )
    stamp = folder / "package.json"
    if script.exists() and stamp.exists() and stamp.read_text() == manifest:
        return script
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        raise tools.MissingToolError("Portkey needs Node: install the packages 'nodejs' and 'npm'")
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    stamp.write_text(manifest)
    install = [npm, "install", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund", "--silent"]
    if subprocess.run(install, cwd=folder, check=False).returncode != 0 or not script.exists():
        raise tools.MissingToolError(f"npm could not install @portkey-ai/gateway {PORTKEY}")
    return script


def _row(name: str, title: str, process: subprocess.Popen[bytes], unary: Endpoint, stream: Endpoint) -> Row:
    def tree() -> list[int]:
        return measure.process_tree(process.pid)

    return Row(name, title, unary, stream, serving=tree, tree=tree)


CONTENDERS: dict[str, Callable[[Bed], Row]] = {"litellm": litellm, "tensorzero": tensorzero, "portkey": portkey}
