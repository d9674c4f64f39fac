"""A small registry, a compiler that reads it as plain JSON, and a control side without its process."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
import uvicorn

from pointsman.control.admin_token import Token
from pointsman.control.api.app import make_app
from pointsman.control.compiling import Compile
from pointsman.control.parts import Control
from pointsman.control.publish import Publisher, Sent
from pointsman.control.registry import CurrentRegistry
from pointsman.core.capability import ALL_CAPABILITIES, STREAMING, TOOLS, Task
from pointsman.core.document import AliasSpec, Document, KeySpec, ProviderSpec
from pointsman.core.money import Prices, Rates
from pointsman.core.places import Places, WorkerStatus
from pointsman.core.policy import Candidate, PolicySpec, Requirements, Strategy, WorkflowSpec
from pointsman.core.target import ApprovalState, TargetSpec, Tier
from pointsman.registry.problem import Problem, RegistryInvalid
from pointsman.telemetry.ingest import Ingest
from tests.store.making import ECONOMY, PREMIUM, new_store

TOKEN = Token("a-token-for-tests-only")
BACKUP = "anthropic:claude-sonnet-4-20250514"
EMBEDDER = "openai:text-embedding-3-small"

_PRICES = Prices(Rates(input=2_500_000_000, output=10_000_000_000), source="price list", as_of="2026-11-01")


def _target(name: str, **fields: Any) -> TargetSpec:
    provider, model = name.split(":", 1)
    given = {"state": ApprovalState.APPROVED, "prices": _PRICES, "unknown": ALL_CAPABILITIES, **fields}
    return TargetSpec(name, provider, model, **given)


DOCUMENT = Document(
    providers=(
        ProviderSpec("openai", "openai", "http://127.0.0.1:1/v1"),
        ProviderSpec("anthropic", "openai", "http://x"),
    ),
    targets=(
        _target(
            PREMIUM,
            tier=Tier.PREMIUM,
            tags=("regulated-ok",),
            capabilities=STREAMING | TOOLS,
            unknown=0,
            context_window=1000,
            max_output=500,
        ),
        _target(ECONOMY, tier=Tier.ECONOMY),
        _target(BACKUP, tier=Tier.PREMIUM, tags=("regulated-ok",)),
        _target(EMBEDDER, task=Task.EMBEDDING),
    ),
    aliases=(AliasSpec("gpt-4o", PREMIUM), AliasSpec("embed", EMBEDDER)),
    policies=(
        PolicySpec(
            "regulated-final",
            (Candidate(PREMIUM), Candidate(ECONOMY), Candidate(BACKUP)),
            Requirements(tags=("regulated-ok",)),
        ),
        PolicySpec("spread", (Candidate(ECONOMY, 1), Candidate(PREMIUM, 3)), strategy=Strategy.WEIGHTED),
    ),
    workflows=(WorkflowSpec("support-answer", "regulated-final", owner="support"), WorkflowSpec("draft", "spread")),
    allow_sets=(("gpt-4o",),),
    keys=(
        KeySpec("support-bot", "0" * 64, team="support"),
        KeySpec("narrow", "1" * 64, allow=0),
        KeySpec("openai-only", "2" * 64, providers=("openai",)),
    ),
)


class CompiledJson(msgspec.Struct):
    """What the compiler of these tests gives."""

    document: Document
    facts: dict[str, Any]
    warnings: tuple[Problem, ...] = ()


def text_of(document: Document = DOCUMENT, note: str = "") -> str:
    """A file that compiles to `document`; `note` changes the text and not what it means."""
    return msgspec.json.encode(document).decode() + "\n" * (1 + len(note))


def compile_json(text: str, source: str) -> CompiledJson:
    """Reads a document as JSON. Anything else is one problem."""
    try:
        document = msgspec.json.decode(text, type=Document)
    except msgspec.MsgspecError as error:
        raise RegistryInvalid(
            [Problem("bad_json", str(error), "write JSON", source=source, line=1, column=1)]
        ) from error
    facts = {spec.name: {"task": {"value": str(spec.task), "source": "file"}} for spec in document.targets}
    return CompiledJson(document, facts)


def json_compiler() -> Compile:
    """The compiler of these tests, as the process takes it."""
    return compile_json


def with_alias(name: str) -> Document:
    """The small registry with one alias more."""
    return msgspec.structs.replace(DOCUMENT, aliases=(*DOCUMENT.aliases, AliasSpec(name, PREMIUM)))


def sent(text: str, **fields: Any) -> Sent:
    """A file on its way in."""
    return Sent(**{"text": text, "source": "/etc/pointsman.yaml", "author": "me", "reason": "why", **fields})


def new_control(root: Path) -> Control:
    """The parts of a control process over an empty data directory, nothing of it running."""
    places = Places(root)
    places.make()
    store = new_store(root)
    return Control(
        places, store, Publisher(store, places, compile_json), Ingest(store, places.spool), CurrentRegistry(store)
    )


def worker_says(places: Places, worker: str, revision: int, *, age: float = 0.0, problem: str = "") -> None:
    """Leave the status file of a gateway worker."""
    status = WorkerStatus(worker, 1, revision, "h", time.time_ns() - int(age * 1e9), problem)
    (places.workers / f"{worker}.json").write_bytes(msgspec.json.encode(status))


def until(condition: Callable[[], object], patience: float = 10.0) -> None:
    """Wait for something that has to happen."""
    deadline = time.monotonic() + patience
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


@contextmanager
def served(control: Control) -> Iterator[str]:
    """The admin API of `control` on a port of its own. Gives its address."""
    app: Any = make_app(control, TOKEN)
    server = uvicorn.Server(uvicorn.Config(app, lifespan="off", log_config=None))
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, args=([listener],), daemon=True)
        thread.start()
        until(lambda: server.started)
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        server.should_exit = True
        thread.join(10)
