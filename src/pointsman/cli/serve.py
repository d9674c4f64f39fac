"""`pointsman serve`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pointsman import serve as supervisor


def serve(
    config: Annotated[Path | None, typer.Option(help="Registry file. Without it, the latest stored revision.")] = None,
    host: Annotated[str, typer.Option(help="Address of the gateway; 0.0.0.0 for every interface.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="Port of the gateway.")] = 8080,
    admin_host: Annotated[str, typer.Option(help="Address of the admin API.")] = "127.0.0.1",
    admin_port: Annotated[int, typer.Option(help="Port of the admin API.")] = 8081,
    data_dir: Annotated[Path, typer.Option(help="Store, spool and published revisions.")] = Path("pointsman-data"),
    workers: Annotated[int, typer.Option(help="Gateway processes; one per core is a good number.")] = 1,
    watch: Annotated[bool, typer.Option(help="Publish the registry file again whenever it changes.")] = True,
    pin: Annotated[
        bool, typer.Option(help="Keep each worker on a core of its own, where nothing else wants that core.")
    ] = False,
    grace: Annotated[float, typer.Option(help="Seconds that calls in flight may take when stopping.")] = 30.0,
) -> None:
    """Serve: a gateway on --port and its control process on --admin-port, until Ctrl-C."""
    options = supervisor.Options(
        config=config,
        data_dir=data_dir,
        host=host,
        port=port,
        admin_host=admin_host,
        admin_port=admin_port,
        workers=workers,
        watch=watch,
        grace=grace,
        pin=pin,
    )
    try:
        code = supervisor.serve(options)
    except supervisor.ServeError as error:
        supervisor.say(str(error))
        code = 2
    sys.exit(code)
