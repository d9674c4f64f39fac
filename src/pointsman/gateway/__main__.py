"""`python -m pointsman.gateway`: one worker process. Started by `pointsman serve`."""

from __future__ import annotations

import argparse
import asyncio
import gc
import logging
import os
import signal
import socket
import sys
from pathlib import Path

import uvloop

from pointsman.core.places import Places
from pointsman.gateway.settings import SettingError
from pointsman.gateway.worker import Worker


def main() -> int:
    """Serve until told to stop. Exit code 2 for settings that cannot be used."""
    parser = argparse.ArgumentParser(prog="python -m pointsman.gateway", description=__doc__)
    parser.add_argument("--data-dir", type=Path, required=True)
    parser.add_argument("--listen-fd", type=int, required=True, help="descriptor of the listening socket")
    parser.add_argument("--index", type=int, default=0)
    parser.add_argument("--parent-fd", type=int, default=-1, help="stop when this descriptor reaches its end")
    parser.add_argument("--grace", type=float, default=30.0, help="seconds that calls in flight may take at the end")
    parser.add_argument("--core", type=int, default=-1, help="the core to stay on")
    options = parser.parse_args()
    if options.core >= 0:
        os.sched_setaffinity(0, {options.core})
    logging.basicConfig(level=logging.INFO, format="%(levelname)s %(name)s: %(message)s", stream=sys.stderr)
    logging.getLogger("uvicorn").setLevel(logging.WARNING)
    places = Places(options.data_dir)
    listener = socket.socket(fileno=options.listen_fd)
    try:
        places.make()
        uvloop.run(_run(places, options.index, listener, options.parent_fd, options.grace))
    except (SettingError, OSError) as error:
        sys.stderr.write(f"pointsman: {error}\n")
        return 2
    return 0


async def _run(places: Places, index: int, listener: socket.socket, parent_fd: int, grace: float) -> None:
    worker = Worker(places, index, os.environ)
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    if parent_fd >= 0:
        # Nothing is ever written to it: it becomes readable when the supervisor is gone, and stays so.
        loop.add_reader(parent_fd, _orphaned, loop, parent_fd, stop)
    # What importing made lives as long as the process: the collector need not look at it again. And calls leave next
    # to no cycles: looking for them every 700 objects is time that answers would pay for.
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 50)
    await worker.run(listener, stop, grace)


def _orphaned(loop: asyncio.AbstractEventLoop, parent_fd: int, stop: asyncio.Event) -> None:
    loop.remove_reader(parent_fd)
    stop.set()


if __name__ == "__main__":
    sys.exit(main())
