"""`pointsman demo`."""

from __future__ import annotations

import shutil
import signal
import sys
import threading
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from pointsman.demo.play import Play
from pointsman.demo.stage import Stage, StageError, staged


def demo(
    leave: Annotated[
        bool, typer.Option("--exit", help="Leave when the calls are done, instead of serving on.")
    ] = False,
    port: Annotated[int, typer.Option(help="Port of the gateway; 0 for a free one.")] = 8080,
    admin_port: Annotated[int, typer.Option(help="Port of the admin API; 0 for a free one.")] = 8081,
    folder: Annotated[Path, typer.Option(help="Where the demo keeps its registry, data and logs.")] = Path(".demo"),
) -> None:
    """Show it all: a real local model, an outage, and what the records say."""
    openai = _client()
    console = Console(width=100, soft_wrap=True)
    from pointsman.demo.stage import free_port

    shutil.rmtree(folder, ignore_errors=True)
    console.print("Starting a real local model, two simulated providers and Pointsman …")
    try:
        with staged(folder, port or free_port(), admin_port or free_port()) as stage:
            play = Play(stage, openai, console)
            for scene in play.scenes():
                scene()
            _look_further(stage, console)
            if not leave:
                _wait(console)
    except StageError as error:
        sys.stderr.write(f"pointsman: {error}\n")
        sys.exit(1)
    if not play.ok:
        sys.stderr.write("pointsman: the demo did not come out as expected; see above\n")
        sys.exit(1)


def _client() -> Any:
    """The openai package: the demo's application, no dependency of Pointsman itself."""
    try:
        import openai
    except ImportError:
        sys.stderr.write("pointsman: the demo needs the client library: pip install openai (or run `make demo`)\n")
        sys.exit(1)
    return openai


def _look_further(stage: Stage, console: Console) -> None:
    pointsman = sys.argv[0] if "/" in sys.argv[0] else "pointsman"
    where = f"--admin-url {stage.admin_url} --data-dir {stage.data_dir}"
    console.print("\n[bold]To look further[/]")
    for command in (
        f"{pointsman} calls {where}",
        f"{pointsman} coverage {where}",
        f"{pointsman} status {where}",
        f"curl -s http://127.0.0.1:{stage.port}/metrics",
        f"curl -s {stage.base_url}/models -H 'authorization: Bearer {stage.support_key}'",
    ):
        console.print(f"  {command}", markup=False, highlight=False)
    console.print(f"  the registry: {stage.registry}; change it, and it is published at once", highlight=False)


def _wait(console: Console) -> None:
    console.print("\nServing. Ctrl-C ends it.")
    ended = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ended.set())
    try:
        while not ended.wait(1.0):
            pass
    except KeyboardInterrupt:
        console.print("Ending …")
